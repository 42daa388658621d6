//! The owner of sockets as a list shows it: processes of the same name are one owner.

use crate::domain::{OwnerKey, Text};

/// An owner in a list or on the map. Processes of the same name are one owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OwnerName {
    Process(Text),
    /// A process whose name is not known yet, or no process.
    Unnamed(OwnerKey),
}

impl OwnerName {
    pub fn words(&self) -> String {
        match self {
            Self::Process(name) => name.to_string(),
            Self::Unnamed(key) => key.words(),
        }
    }
}
