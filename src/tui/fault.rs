//! Panics on purpose, to test that the terminal is restored. Not for users.

use std::sync::Arc;

use crate::{
    domain::{LocalAddress, Machine, Protocols, Snapshot},
    host::{Describer, Host, HostBinder, HostError, OwnerDepth, Scanner},
};

/// Where to panic (`--fault`, hidden).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// In the event loop, after a frame is on screen.
    PanicMain,
    /// In the scanner thread, at its second scan.
    PanicWorker,
}

/// A host whose scanner panics at its second scan.
pub struct FaultyHost(pub Arc<dyn Host>);

impl Host for FaultyHost {
    fn machine(&self) -> Arc<Machine> {
        self.0.machine()
    }

    fn scanner(&self) -> Result<Box<dyn Scanner>, HostError> {
        Ok(Box::new(FaultyScanner { inner: self.0.scanner()?, scans: 0 }))
    }

    fn describer(&self) -> Box<dyn Describer> {
        self.0.describer()
    }

    fn binder(
        &self,
        protocols: Protocols,
        address: Option<LocalAddress>,
    ) -> Result<Box<dyn HostBinder>, HostError> {
        self.0.binder(protocols, address)
    }
}

struct FaultyScanner {
    inner: Box<dyn Scanner>,
    scans: u32,
}

impl Scanner for FaultyScanner {
    fn scan(&mut self, owners: OwnerDepth, snapshot: &mut Snapshot) -> Result<(), HostError> {
        assert!(self.scans == 0, "asked for by --fault panic-worker");
        self.scans += 1;
        self.inner.scan(owners, snapshot)
    }
}
