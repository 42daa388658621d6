//! `bind-before-connect`: ports bound before connect() are taken for all destinations.

use crate::domain::{Evidence, Finding};

pub(super) fn check(_evidence: &Evidence<'_>) -> Vec<Finding> {
    Vec::new()
}
