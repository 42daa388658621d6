//! Checks before a run whether there are candidates, and whether any can be bound. Does not start
//! the run.

use crate::{
    allocator::{Candidates, privileged},
    domain::{AddressRefusal, LocalAddress, PortRange, Protocols, Text},
    host::{Host, HostBinder},
};

/// Returns the ports of a range that are not reserved.
///
/// Errors, as text: all of them are.
pub fn candidates(range: PortRange, reserved: &[PortRange]) -> Result<Candidates, Text> {
    let candidates = Candidates::new(range, reserved);
    if candidates.len() == 0 {
        return Err(Text::scrub(format!("all ports of {range} are reserved")));
    }
    Ok(candidates)
}

/// Returns a binder for the address.
///
/// Errors, as text: no socket can be created, no port of the address can be bound, every candidate
/// needs a capability that the process lacks, or the host's policy cannot be read.
pub fn binder(
    host: &dyn Host,
    candidates: &Candidates,
    protocols: Protocols,
    address: Option<LocalAddress>,
) -> Result<Box<dyn HostBinder>, Text> {
    let refused = |refusal: &AddressRefusal| Err(Text::around_scrubbed(refusal.to_string()));
    let refusal = host.refusal(protocols, address);
    if let Some(refusal) = refusal.as_ref().filter(|refusal| !refusal.is_policy()) {
        return refused(refusal);
    }
    let mut binder = host.binder(protocols, address)?;
    if let Some(refusal) = &refusal
        && privileged::is_each_denied(&mut *binder, candidates)
    {
        return refused(refusal);
    }
    let (policy, _) = host.policy()?;
    let start = policy.unprivileged_start;
    if candidates.range().last() < start
        && privileged::permitted(&mut *binder, candidates.clone(), start, &[], |_| ()).is_none()
    {
        return refused(&AddressRefusal::missing_right(start));
    }
    Ok(binder)
}
