//! `orphans-high`: closed but unfinished connections near the kernel's limit.

use crate::domain::{Evidence, Finding};

pub(super) fn check(_evidence: &Evidence<'_>) -> Vec<Finding> {
    Vec::new()
}
