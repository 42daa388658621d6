//! What a snapshot shows of the candidates: which look free. Not whether a bind will succeed.

use std::rc::Rc;

/// Which ports look free; only a bind can tell for sure.
pub trait Sight {
    fn looks_free(&self, port: u16) -> bool;
}

/// A bit a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreePorts {
    taken: Box<[u64; 1024]>,
}

impl FreePorts {
    /// Nothing is known: everything looks free.
    pub fn everything() -> Self {
        Self { taken: Box::new([0; 1024]) }
    }

    pub fn without(taken: impl IntoIterator<Item = u16>) -> Self {
        let mut ports = Self::everything();
        taken.into_iter().for_each(|port| ports.take(port));
        ports
    }

    pub fn take(&mut self, port: u16) {
        self.taken[usize::from(port >> 6)] |= 1 << (port & 63);
    }

    pub fn release(&mut self, port: u16) {
        self.taken[usize::from(port >> 6)] &= !(1 << (port & 63));
    }
}

impl Sight for FreePorts {
    fn looks_free(&self, port: u16) -> bool {
        self.taken[usize::from(port >> 6)] >> (port & 63) & 1 == 0
    }
}

impl<S: Sight + ?Sized> Sight for Rc<S> {
    fn looks_free(&self, port: u16) -> bool {
        (**self).looks_free(port)
    }
}
