//! Formats times and owners for the screens, and cuts and wraps text. Does not draw.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::{
    app::{App, Find, LatestScan},
    domain::{
        Age, Gap, Owner, OwnerKey, Snapshot, Socket, State, Text, Timer, notation,
        owner::is_container,
    },
};

pub use crate::domain::{
    notation::with_others,
    wrap::{pieces, wrapped},
};

/// Formats the age of a socket: `exists for 12s`, `seen for 3m` if the age is only a lower limit, `new`
/// below one second. Returns `None` for a lower limit below one second.
pub fn lasting(age: Age) -> Option<String> {
    match age {
        Age::Exactly(age) if age.as_secs() == 0 => Some("new".to_owned()),
        Age::Exactly(age) => Some(format!("exists for {}", notation::rounded(age.as_secs_f64()))),
        Age::AtLeast(age) if age.as_secs() == 0 => None,
        Age::AtLeast(age) => Some(format!("seen for {}", notation::rounded(age.as_secs_f64()))),
    }
}

/// Formats a part and its whole: `12 of 28,232`.
pub fn of(part: impl Into<u64>, whole: impl Into<u64>) -> String {
    format!("{} of {}", notation::grouped(part), notation::grouped(whole))
}

/// Returns the label and name of a systemd unit or container: `unit nginx.service`, `container
/// docker 3f2a…`.
pub fn unit(unit: &Text) -> (&'static str, &str) {
    let name = unit.as_str();
    if is_container(unit) {
        ("container", name.strip_prefix("container ").unwrap_or(name))
    } else {
        ("unit", name)
    }
}

/// Replaces the symbols of portscope's own texts by ASCII: `→` by `->`. Keeps all other characters.
pub fn ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        match notation::in_ascii(character) {
            Some(replacement) => ascii.push_str(replacement),
            None => ascii.push(character),
        }
    }
    ascii
}

/// Cuts text to `width` columns. Cut text ends with `..` if `width` is at least 2.
pub fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(2);
    let mut cut: String = text
        .chars()
        .take_while(|c| {
            let takes = c.width().unwrap_or(0);
            let fits = takes <= room;
            room = room.saturating_sub(takes);
            fits
        })
        .collect();
    cut.push_str(if width >= 2 { ".." } else { "" });
    cut
}

/// Words after which a reader expects another one: no cut text ends with them.
const LEADING: [&str; 24] = [
    "a", "all", "an", "and", "are", "as", "at", "but", "by", "for", "from", "has", "in", "is",
    "its", "of", "on", "or", "than", "that", "the", "their", "to", "with",
];

/// Cuts text to its last `width` columns. Cut text begins with `..` if `width` is at least 2.
pub fn last_part(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(2);
    let kept = text.char_indices().rev().take_while(|(_, c)| {
        let takes = c.width().unwrap_or(0);
        let fits = takes <= room;
        room = room.saturating_sub(takes);
        fits
    });
    let start = kept.last().map_or(text.len(), |(start, _)| start);
    let dots = if width >= 2 { ".." } else { "" };
    format!("{dots}{}", text.get(start..).unwrap_or_default())
}

/// Wraps a command at its blanks, or anywhere if a word is longer than a row.
pub fn command_rows(text: &str, width: usize) -> Vec<String> {
    let is_broken = text.split(' ').any(|word| word.width() > width);
    if is_broken { pieces(text, width) } else { wrapped(text, width) }
}

/// Returns the first lines; the last one ends with `..` if lines were left out.
pub fn first_lines(lines: &[String], most: usize, width: usize) -> Vec<String> {
    let mut kept: Vec<String> = lines.iter().take(most).cloned().collect();
    if let Some(last) = kept.last_mut().filter(|_| lines.len() > most) {
        while let Some((before, word)) = last.rsplit_once(' ')
            && (last.width() + 3 > width || LEADING.contains(&word))
        {
            last.truncate(before.len());
        }
        last.truncate(last.trim_end_matches([',', ':', ';', ' ']).len());
        last.push_str(" ..");
    }
    kept
}

/// Shortens a text to the parts before a semicolon that fit on one line or, if not even the first one
/// fits, to whole words; these end with ` ..`.
pub fn whole_words(text: &str, width: usize) -> String {
    let ends = text.rmatch_indices("; ").map(|(at, _)| at);
    let mut parts = [text.len()].into_iter().chain(ends).filter_map(|end| text.get(..end));
    if let Some(part) = parts.find(|part| part.width() <= width) {
        return part.to_owned();
    }
    first_lines(&wrapped(text, width), 1, width).pop().unwrap_or_default()
}

/// Shortens a sentence to the clauses that fit on one line: up to a semicolon, a colon, a parenthesis
/// or a comma. After a colon, commas separate the items of a list, which is not shortened. If the
/// clauses would fill less than half of the line, shortens the sentence to whole words; these end
/// with ` ..`.
pub fn whole_clauses(text: &str, width: usize) -> String {
    let colon = text.find(": ").unwrap_or(text.len());
    let marks = ["; ", ": ", " ("].iter().flat_map(|mark| text.match_indices(mark));
    let commas = text.match_indices(", ").filter(|(at, _)| *at < colon);
    let mut ends: Vec<usize> = marks.chain(commas).map(|(at, _)| at).chain([text.len()]).collect();
    ends.sort_unstable();
    let parts = ends.into_iter().rev().filter_map(|end| text.get(..end));
    let mut whole = parts.filter(|part| part.matches('(').count() == part.matches(')').count());
    match whole.find(|part| part.width() <= width) {
        Some(part) if part.len() == text.len() || part.width() * 2 >= width => part.to_owned(),
        _ => first_lines(&wrapped(text, width), 1, width).pop().unwrap_or_default(),
    }
}

/// Shortens a name to `width` columns: leaves out its last words and the pid. Cuts a word only if not
/// even the first one fits.
pub fn short_name(name: &str, width: usize) -> String {
    let ends = [name.len()].into_iter().chain(name.rmatch_indices([' ', '[']).map(|(at, _)| at));
    let mut starts = ends.filter_map(|end| name.get(..end)).map(str::trim_end);
    let whole = starts.find(|start| !start.is_empty() && start.width() <= width);
    whole.map_or_else(|| shorten(name, width), str::to_owned)
}

/// Joins the first `parts` that fit on one line; cuts none of them. Returns the first part even if
/// it is wider than `width`.
pub fn fitted(parts: &[String], separator: &str, width: usize) -> String {
    rows(parts, separator, width).swap_remove(0)
}

/// Puts the parts on as many lines as needed, at least one. Cuts no part, even if it is wider than
/// `width`.
pub fn rows(parts: &[String], separator: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(part),
            Some(line) if line.width() + separator.width() + part.width() <= width => {
                line.push_str(separator);
                line.push_str(part);
            }
            _ => lines.push(part.clone()),
        }
    }
    lines
}

/// Joins the parts with commas, on as many lines as needed; cuts none of them. A comma also ends
/// each line but the last.
pub fn listed(parts: &[String], width: usize) -> Vec<String> {
    let mut lines = rows(parts, ", ", width.saturating_sub(1));
    if let Some((_, others)) = lines.split_last_mut() {
        for line in others {
            line.push(',');
        }
    }
    lines
}

/// Formats a process: `chrome[4121] alice`, or `pid 4121` if it was not read.
pub fn process(app: &App, snapshot: &Snapshot, pid: u32) -> String {
    let uid = app.processes().get(pid).and_then(|process| process.uid);
    let user = uid.map_or_else(String::new, |uid| format!(" {}", user(snapshot, uid)));
    format!("{}{user}", app.processes().named(pid))
}

/// Formats the owner of sockets: `payments-api[4121]`, `hidden, alice`, `kernel`.
pub fn owner_key(app: &App, owner_key: OwnerKey) -> String {
    match owner_key {
        OwnerKey::Process(pid) => app.processes().named(pid).to_string(),
        OwnerKey::Hidden(Some(uid)) => {
            let user = app.scan().map(|scan| format!(", {}", user(&scan.snapshot, uid)));
            owner_key.words() + &user.unwrap_or_default()
        }
        _ => owner_key.words(),
    }
}

pub fn user(snapshot: &Snapshot, uid: u32) -> String {
    snapshot.machine.users.label(uid)
}

/// Names the owners of a socket, one per line. If the socket belongs to the kernel or a backlog,
/// the first line shows that.
pub fn owner(app: &App, snapshot: &Snapshot, socket: &Socket) -> Vec<String> {
    let each = |pids: &[u32]| pids.iter().map(|&p| process(app, snapshot, p)).collect::<Vec<_>>();
    if let Some(tunnels) = snapshot.tunnel_names(socket) {
        return vec![format!("kernel: {tunnels}")];
    }
    let kernel = match socket.state {
        State::TimeWait => "kernel",
        _ => "kernel (closed by its process)",
    };
    match snapshot.owner(socket) {
        Owner::Process(pids) => each(pids),
        Owner::Kernel => vec![kernel.to_owned()],
        Owner::Departed(pids) => {
            let was = each(pids).into_iter().map(|p| format!("was {p}"));
            std::iter::once(kernel.to_owned()).chain(was).collect()
        }
        Owner::Backlog(pids) => {
            let mut owners = each(pids);
            match owners.first_mut() {
                Some(first) => *first = format!("backlog of {first}"),
                None => owners.push("backlog".to_owned()),
            }
            owners
        }
        Owner::Hidden => vec![hidden(snapshot).to_owned()],
        Owner::Nobody | Owner::Unresolved | Owner::NotAsked => {
            vec![owner_key(app, OwnerKey::of(snapshot, socket))]
        }
    }
}

fn hidden(snapshot: &Snapshot) -> &'static str {
    match snapshot.gaps.iter().find(|gap| gap.hidden_owners().is_some()) {
        Some(Gap::OwnersHidden { .. }) => "hidden (run as root)",
        Some(Gap::OwnersElsewhere { .. }) => "hidden (other pid namespace)",
        Some(Gap::OwnersInvisible { .. }) => "hidden (hidepid)",
        _ => "hidden",
    }
}

/// Formats the owners like [`owner`], on one line.
pub fn owner_line(app: &App, snapshot: &Snapshot, socket: &Socket) -> String {
    let owners = owner(app, snapshot, socket);
    with_others(owners.first().cloned().unwrap_or_default(), owners.len() as u64)
}

/// Formats the message that nothing was found that the command line names, with similar names. If
/// owners are hidden, the message is about visible processes only.
pub fn not_found(app: &App, scan: &LatestScan, find: &Find) -> String {
    let are_hidden = scan.snapshot.gaps.iter().any(|gap| gap.hidden_owners().is_some());
    match find {
        Find::Port(port) => format!("no socket on port {port}"),
        Find::Endpoint(endpoint) => format!("no socket has the endpoint {endpoint}"),
        Find::Pid(pid) if are_hidden => format!("pid {pid} has no visible socket"),
        Find::Pid(pid) => format!("pid {pid} has no socket"),
        Find::Process(name) => app.processes().none_named(name, are_hidden),
    }
}

/// Returns the seconds until the kernel removes a socket in TIME-WAIT, rounded up. None: it is in
/// another state, or the time is unknown.
pub fn seconds_left(socket: &Socket) -> Option<u32> {
    let ends = matches!(socket.timer, Timer::TimeWait);
    socket.expires_ms.filter(|_| ends).map(|ms| ms.div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_age_shows_when_it_is_only_a_lower_limit() {
        let (seconds, minutes) = (Duration::from_secs(12), Duration::from_secs(200));
        assert_eq!(lasting(Age::Exactly(seconds)).as_deref(), Some("exists for 12s"));
        assert_eq!(lasting(Age::AtLeast(minutes)).as_deref(), Some("seen for 3m"));
        assert_eq!(lasting(Age::Exactly(Duration::from_millis(300))).as_deref(), Some("new"));
        assert_eq!(lasting(Age::AtLeast(Duration::ZERO)), None);
    }

    #[test]
    fn a_unit_and_a_container_have_different_labels() {
        let reported = |name: &str| {
            let text = Text::scrub(name);
            let (label, name) = unit(&text);
            format!("{label} {name}")
        };
        assert_eq!(reported("nginx.service"), "unit nginx.service");
        assert_eq!(reported("docker 3f2a1b0c9d8e"), "container docker 3f2a1b0c9d8e");
        assert_eq!(reported("container 3f2a1b0c9d8e"), "container 3f2a1b0c9d8e");
    }

    #[test]
    fn cut_text_ends_with_dots_and_fits_its_width() {
        assert_eq!(shorten("payments-api", 12), "payments-api");
        assert_eq!(shorten("payments-api", 8), "paymen..");
        assert_eq!(shorten("日本語", 5), "日..");
        assert_eq!(shorten("ab", 1), "");
        assert_eq!(last_part("payments-api", 8), "..ts-api");
        assert_eq!(last_part("日本語", 5), "..語");
        assert_eq!((last_part("ab", 2), last_part("ab", 1)), ("ab".to_owned(), String::new()));
        assert_eq!(short_name("python3[6627]", 9), "python3");
        assert_eq!(short_name("older than this session", 11), "older than");
        assert_eq!(short_name("payments-api[7]", 8), "paymen..");
        assert_eq!(pieces("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        let text = "the range has 64 ports; the default has 28,232";
        assert_eq!(whole_words(text, 46), text);
        assert_eq!(whole_words(text, 45), "the range has 64 ports");
        assert_eq!(whole_words(text, 20), "the range has 64 ..");
        assert_eq!(whole_words(text, 40), "the range has 64 ports");
        let parts = ["even", "0xC000", "ephemeral"].map(str::to_owned);
        assert_eq!(rows(&parts, " - ", 14), ["even - 0xC000", "ephemeral"]);
        assert_eq!(fitted(&parts, " - ", 14), "even - 0xC000");
        assert_eq!(listed(&parts, 13), ["even, 0xC000,", "ephemeral"]);
        assert_eq!(wrapped("in use, 41.8 % of", 12), ["in use,", "41.8 % of"]);
    }

    #[test]
    fn a_shortened_sentence_ends_with_a_clause_or_a_word_of_its_own() {
        let leak = "sync[7] leaves 720 of its 721 sockets in CLOSE-WAIT, all to 10.0.0.1:80";
        assert_eq!(whole_clauses(leak, leak.len()), leak);
        assert_eq!(whole_clauses(leak, 60), "sync[7] leaves 720 of its 721 sockets in CLOSE-WAIT");
        assert_eq!(whole_clauses(leak, 44), "sync[7] leaves 720 of its 721 sockets ..");
        assert_eq!(whole_clauses(leak, 28), "sync[7] leaves 720 ..");
        let services =
            "3 services listen on unreserved ports of the range: nginx 40000, redis 40001";
        assert_eq!(
            whole_clauses(services, 70),
            "3 services listen on unreserved ports of the range"
        );
        let many = "php-fpm, 40 processes: 1,600 of 1,600 sockets in CLOSE-WAIT (40 each), to ::1";
        assert_eq!(
            whole_clauses(many, 62),
            "php-fpm, 40 processes: 1,600 of 1,600 sockets in CLOSE-WAIT"
        );
        assert_eq!(whole_clauses(many, 50), "php-fpm, 40 processes: 1,600 of 1,600 sockets ..");
        for (text, width) in
            [leak, services, many].iter().flat_map(|t| (20..90).map(move |w| (t, w)))
        {
            let short = whole_clauses(text, width);
            let start = short.strip_suffix(" ..").unwrap_or(&short);
            let rest = text.strip_prefix(start).expect("the beginning of the text");
            assert!(short.width() <= width, "{short}");
            assert!(!rest.starts_with(char::is_alphanumeric), "{short} | {rest}");
        }
    }
}
