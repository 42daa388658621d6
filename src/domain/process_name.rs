//! Finds processes by a name that a person typed. Does not read the machine.

use std::collections::BTreeSet;

use crate::domain::{ProcessTable, Text};

/// Number of bytes of /proc/PID/comm, where the kernel cuts a longer name off (`TASK_COMM_LEN`).
const LONGEST_NAME: usize = 15;

/// Maximum number of letters in which a name that a person means differs from the name typed.
const MOST_WRONG: usize = 2;

/// Maximum number of names returned by `ProcessTable::nearest_names`.
const MAX_NEAREST: usize = 3;

impl ProcessTable {
    /// Returns the pids of the processes with this name, ascending. If there are none, returns
    /// those with the same letters in another case, or else those whose name begins with it in any
    /// case. A name longer than the kernel keeps matches the part that the kernel keeps.
    pub fn pids_named(&self, typed: &str) -> Vec<u32> {
        let lower = typed.to_lowercase();
        let is_cut = |name: &str| name.len() == LONGEST_NAME && typed.starts_with(name);
        let is_prefix = |name: &str| !lower.is_empty() && name.to_lowercase().starts_with(&lower);
        let exact = self.pids_where(|name| name == typed || is_cut(name));
        let other_case = || self.pids_where(|name| name.to_lowercase() == lower);
        let found = Some(exact).filter(|pids| !pids.is_empty()).unwrap_or_else(other_case);
        if found.is_empty() { self.pids_where(is_prefix) } else { found }
    }

    /// Returns up to three names of processes that are similar to the name typed, the most similar
    /// first: they contain it, or differ in at most two letters, but not in all of them.
    pub fn nearest_names(&self, typed: &str) -> Vec<&Text> {
        let lower = typed.to_lowercase();
        let length = lower.chars().count();
        let distance = |name: &Text| {
            let name = name.as_str().to_lowercase();
            let letters = differing_letters(&lower, &name);
            let begins = name.chars().take(length).collect::<String>();
            let letters = letters.min(differing_letters(&lower, &begins));
            let is_near = letters <= MOST_WRONG && letters < length;
            (is_near || (length > 1 && name.contains(&lower))).then_some(letters)
        };
        let names = self.iter().map(|process| &process.name);
        let near: BTreeSet<(usize, &str, &Text)> =
            names.filter_map(|name| Some((distance(name)?, name.as_str(), name))).collect();
        near.into_iter().map(|(_, _, name)| name).take(MAX_NEAREST).collect()
    }

    /// Formats the message that no process has the name typed, with similar names. `are_hidden`: the
    /// owner of a socket is hidden, so that only visible processes are known.
    pub fn none_named(&self, typed: &str, are_hidden: bool) -> String {
        let visible = if are_hidden { "visible " } else { "" };
        let nearest: Vec<&str> = self.nearest_names(typed).into_iter().map(Text::as_str).collect();
        let nearest = match nearest[..] {
            [] => String::new(),
            _ => format!("; nearest: {}", nearest.join(", ")),
        };
        format!("no {visible}process named '{typed}' has a socket{nearest}")
    }

    fn pids_where(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<u32> {
        let wanted = self.iter().filter(|process| is_wanted(process.name.as_str()));
        wanted.map(|process| process.pid).collect()
    }
}

/// Counts the letters to insert, remove or replace to turn one word into the other (Levenshtein
/// distance).
pub fn differing_letters(word: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (number, letter) in word.chars().enumerate() {
        let mut left = number + 1;
        let mut next = vec![left];
        for ((expected, diagonal), above) in other.chars().zip(&row).zip(row.iter().skip(1)) {
            let replaced = diagonal + usize::from(letter != expected);
            left = replaced.min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Process;

    fn table(names: &[&str]) -> ProcessTable {
        (1..).zip(names).map(|(pid, name)| Process::new(pid, Text::scrub(name))).collect()
    }

    #[test]
    fn name_matches_exactly_or_in_another_case_or_as_a_prefix() {
        let all = table(&["nginx", "Nginx", "nginx-debug", "redis-server", "payments-api-se"]);
        for (typed, pids) in [
            ("nginx", &[1][..]),
            ("NGINX", &[1, 2]),
            ("ngin", &[1, 2, 3]),
            ("Redis", &[4]),
            ("payments-api-server", &[5]),
            ("server", &[]),
            ("", &[]),
        ] {
            assert_eq!(all.pids_named(typed), pids, "{typed}");
        }
    }

    #[test]
    fn nearest_names_are_similar_or_contain_the_name_typed() {
        let all = table(&["nginx", "redis-server", "postgres", "python3", "python3"]);
        for (typed, names) in [
            ("ngnix", &["nginx"][..]),
            ("server", &["redis-server"]),
            ("postgers", &["postgres"]),
            ("pyhton", &["python3"]),
            ("java", &[]),
            ("x", &[]),
        ] {
            let nearest: Vec<&str> =
                all.nearest_names(typed).into_iter().map(Text::as_str).collect();
            assert_eq!(nearest, names, "{typed}");
        }
    }

    #[test]
    fn letters_are_inserted_removed_and_replaced() {
        for (word, other, letters) in
            [("", "scan", 4), ("scan", "", 4), ("scan", "scan", 0), ("sitting", "kitten", 3)]
        {
            assert_eq!(differing_letters(word, other), letters, "{word} {other}");
        }
    }
}
