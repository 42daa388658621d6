//! Finds the commands in an item of advice, so that a report can show each on a line of its own.
//! Runs none.

/// A part of an item of advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdvicePart<'a> {
    Words(&'a str),
    /// A command to paste into a shell.
    Command(&'a str),
}

/// How the commands of the advice begin. A list in parentheses, or the name of a program alone, is
/// part of the words.
const BEGINNINGS: [&str; 14] = [
    "sysctl -w ",
    "ss -",
    "ip link ",
    "ip address ",
    "prlimit --",
    "for pid in ",
    "iptables -",
    "conntrack -",
    "nft list ",
    "watch -",
    "echo ",
    "ls -l /",
    "portscope scan",
    "modprobe -",
];

/// What follows a command in the same sentence.
const ENDS: [&str; 6] = ["; ", ", ", " (", " as root", " lists ", ". "];

/// Splits an item of advice into words and commands, in order.
pub fn parts(advice: &str) -> Vec<AdvicePart<'_>> {
    let mut parts = Vec::new();
    let mut rest = advice;
    while let Some((start, end)) = first_command(rest) {
        push_words(&mut parts, rest.get(..start).unwrap_or_default());
        parts.push(AdvicePart::Command(rest.get(start..end).unwrap_or_default()));
        let after = rest.get(end..).unwrap_or_default();
        rest = after.trim_start_matches([';', ',', '.', ' ']);
    }
    push_words(&mut parts, rest);
    parts
}

fn push_words<'a>(parts: &mut Vec<AdvicePart<'a>>, words: &'a str) {
    let words = words.trim().trim_end_matches(',');
    if !words.is_empty() {
        parts.push(AdvicePart::Words(words));
    }
}

/// Returns where the first command starts and ends, outside of parentheses.
fn first_command(text: &str) -> Option<(usize, usize)> {
    let mut depth = 0;
    let mut is_word_start = true;
    for (start, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && is_word_start => {
                let rest = text.get(start..).unwrap_or_default();
                if let Some(length) = command_length(rest) {
                    return Some((start, start + length));
                }
            }
            _ => {}
        }
        is_word_start = character == ' ';
    }
    None
}

/// Returns the length of the command with which the text begins. None: it begins with words.
fn command_length(text: &str) -> Option<usize> {
    let beginning = BEGINNINGS.into_iter().find(|beginning| text.starts_with(beginning))?;
    match beginning {
        "sysctl -w " => assignments(text, beginning.len()),
        "for pid in " => Some(text.find("; done")? + "; done".len()),
        // Words such as `echo` also occur in sentences.
        "echo " => text.contains(" > /proc/").then(|| end(text)),
        _ => Some(end(text)),
    }
}

fn end(text: &str) -> usize {
    let ends = ENDS.iter().filter_map(|end| text.find(end));
    ends.min().unwrap_or(text.trim_end_matches('.').len())
}

/// Returns the end of the assignments `NAME=VALUE` from `start` on. A value in quotation marks may
/// have spaces. None: there are none.
fn assignments(text: &str, start: usize) -> Option<usize> {
    let mut end = None;
    let mut from = start;
    while let Some(rest) = text.get(from..) {
        let mut is_quoted = false;
        let is_end = |c: char| {
            is_quoted ^= c == '"';
            !is_quoted && matches!(c, ' ' | ';')
        };
        let length = rest.find(is_end).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default().trim_end_matches(['.', ',']);
        if !word.contains('=') || word.starts_with('(') {
            break;
        }
        end = Some(from + word.len());
        from += length + 1;
        if word.len() < length || rest.get(length..).is_some_and(|rest| rest.starts_with(';')) {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::{AdvicePart::*, *};

    #[test]
    fn commands_are_separated_from_the_words_around_them() {
        for (advice, expected) in [
            (
                "now: reuse ports, each 1s later: sysctl -w net.a=1 net.b=1 (not those of bind())",
                &[
                    Words("now: reuse ports, each 1s later:"),
                    Command("sysctl -w net.a=1 net.b=1"),
                    Words("(not those of bind())"),
                ][..],
            ),
            (
                "widen the range: sysctl -w net.ipv4.ip_local_port_range=\"10240 65535\" (now). \
                 For that of another process: nsenter -t PID -n sysctl -w ...",
                &[
                    Words("widen the range:"),
                    Command("sysctl -w net.ipv4.ip_local_port_range=\"10240 65535\""),
                    Words("(now). For that of another process: nsenter -t PID -n sysctl -w ..."),
                ],
            ),
            (
                "increase listen(fd, 4096), and its limit, sysctl -w net.core.somaxconn=4096; \
                 then restart it",
                &[
                    Words("increase listen(fd, 4096), and its limit"),
                    Command("sysctl -w net.core.somaxconn=4096"),
                    Words("then restart it"),
                ],
            ),
            (
                "find the client: run ss -tnp dst 127.0.0.1:5432 as root while it is connected",
                &[
                    Words("find the client: run"),
                    Command("ss -tnp dst 127.0.0.1:5432"),
                    Words("as root while it is connected"),
                ],
            ),
            (
                "watch the failures: conntrack -S (insert_failed); find the destination: conntrack \
                 -L; show the ranges: nft list ruleset",
                &[
                    Words("watch the failures:"),
                    Command("conntrack -S"),
                    Words("(insert_failed); find the destination:"),
                    Command("conntrack -L"),
                    Words("show the ranges:"),
                    Command("nft list ruleset"),
                ],
            ),
            (
                "raise the limit: for pid in 7 8; do prlimit --pid $pid --nofile=9; done",
                &[
                    Words("raise the limit:"),
                    Command("for pid in 7 8; do prlimit --pid $pid --nofile=9; done"),
                ],
            ),
            ("watch -n 0.2 'ss -ltn'", &[Command("watch -n 0.2 'ss -ltn'")]),
        ] {
            assert_eq!(parts(advice), expected, "{advice}");
        }
    }

    #[test]
    fn advice_without_a_command_is_one_piece() {
        for advice in [
            "list the sockets (portscope scan), and close those that are not needed",
            "widen the range of the rule: find it (nft -a list ruleset, or iptables -t nat -S)",
            "add a to /etc/sysctl.d/90-ports.conf, because a reboot undoes sysctl -w",
            "keep connections open and reuse them",
        ] {
            assert_eq!(parts(advice), [Words(advice)]);
        }
    }
}
