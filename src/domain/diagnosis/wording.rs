//! Numbers and names as findings say them.

use crate::domain::Evidence;

/// `28,232`
pub(super) fn grouped(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `nginx (pid 812)`, or the pid alone while it is not described.
pub(super) fn process(evidence: &Evidence<'_>, pid: u32) -> String {
    match evidence.processes.get(pid) {
        Some(process) => format!("{} (pid {pid})", process.name),
        None => format!("pid {pid}"),
    }
}
