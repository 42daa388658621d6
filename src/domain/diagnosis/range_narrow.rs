//! `range-narrow`: the ephemeral range is smaller than it could be.

use crate::domain::{Evidence, Finding};

pub(super) fn check(_evidence: &Evidence<'_>) -> Vec<Finding> {
    Vec::new()
}
