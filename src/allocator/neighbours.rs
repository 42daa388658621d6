//! Binds a port and the ports after it, all or none. Chooses no port.

use std::time::Duration;

use crate::domain::{Binder, Refusal};

/// Binds `count` consecutive ports, from the requested port on. `count` is at least 1. Ports above
/// 65535 are left out.
pub struct Neighbours<B> {
    pub binder: B,
    pub count: u16,
}

impl<B: Binder> Binder for Neighbours<B> {
    /// The bound ports in ascending order, each with what keeps it bound.
    type Held = Vec<(u16, B::Held)>;

    /// Stops at the first refusal, and releases the ports bound before. The time is the sum over
    /// all bind() calls.
    fn bind(&mut self, port: u16) -> (Result<Self::Held, Refusal>, Duration) {
        let mut held = Vec::new();
        let mut all = Duration::ZERO;
        for port in port..=port.saturating_add(self.count - 1) {
            let (result, took) = self.binder.bind(port);
            all += took;
            match result {
                Ok(one) => held.push((port, one)),
                Err(refusal) => return (Err(refusal), all),
            }
        }
        (Ok(held), all)
    }
}
