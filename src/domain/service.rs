//! Names that services are registered under. Not what really listens there.

/// Which name a port is registered for.
#[derive(Clone, Debug, Default)]
pub struct ServiceNames {}

impl ServiceNames {
    /// None: no name is registered.
    pub fn name(&self, _protocol: crate::domain::Protocol, _port: u16) -> Option<&str> {
        None
    }
}
