//! `time-wait-pile`: TIME-WAIT holds a large part of the ports.

use crate::domain::{Evidence, Finding};

pub(super) fn check(_evidence: &Evidence<'_>) -> Vec<Finding> {
    Vec::new()
}
