//! Whether any port can be bound at all, before a run begins. Runs nothing.

use crate::{
    allocator::{Candidates, privileged},
    domain::{AddressRefusal, LocalAddress, Protocols, Text},
    host::{Host, HostBinder, HostError},
};

/// A binder of that address.
///
/// Errors, in words: no socket can be made, no port of the address can be bound, or none of the
/// candidates without a right that is missing.
pub fn binder(
    host: &dyn Host,
    candidates: &Candidates,
    protocols: Protocols,
    address: Option<LocalAddress>,
) -> Result<Box<dyn HostBinder>, Text> {
    let words = |error: HostError| Text::around_scrubbed(error.to_string());
    let refused = |refusal: &AddressRefusal| Err(Text::around_scrubbed(refusal.to_string()));
    let refusal = host.refusal(protocols, address);
    if let Some(refusal) = refusal.as_ref().filter(|refusal| !refusal.is_policy()) {
        return refused(refusal);
    }
    let mut binder = host.binder(protocols, address).map_err(words)?;
    if let Some(refusal) = &refusal
        && privileged::is_each_denied(&mut *binder, candidates)
    {
        return refused(refusal);
    }
    let (policy, _) = host.policy().map_err(words)?;
    let start = policy.unprivileged_start;
    if candidates.range().last() < start
        && privileged::permitted(&mut *binder, candidates.clone(), start, &[], |_| ()).is_none()
    {
        return refused(&AddressRefusal::missing_right(start));
    }
    Ok(binder)
}
