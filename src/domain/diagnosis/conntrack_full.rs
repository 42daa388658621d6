//! `conntrack-full`: the connection tracking table is full, or nearly.

use crate::domain::{Evidence, Finding};

pub(super) fn check(_evidence: &Evidence<'_>) -> Vec<Finding> {
    Vec::new()
}
