//! A port and those behind it, bound together or not at all. Chooses no port.

use std::time::Duration;

use crate::domain::{Binder, Refusal};

/// Binds `count` ports for each that it is asked for; at least 1, and the last is no more than 65535.
pub struct Neighbours<B> {
    pub binder: B,
    pub count: u16,
}

impl<B: Binder> Binder for Neighbours<B> {
    /// Ascending.
    type Held = Vec<(u16, B::Held)>;

    /// The time is that of all of them; the first refusal ends it.
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
