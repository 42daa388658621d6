//! Which candidates this process may bind at all, tried by real bind(). Reads no capabilities.

use crate::{
    allocator::Candidates,
    domain::{Binder, Errno, Outcome, PortRange},
};

/// Attempts after which a policy that refuses port 0 is taken to refuse the others. It may allow
/// some: systemd's SocketBindAllow= and Landlock name ports.
pub const DENIED_ATTEMPTS: u32 = 10;

/// Whether a policy refuses `DENIED_ATTEMPTS` candidates, evenly apart; one that is bound is
/// released at once.
pub fn is_each_denied<B: Binder + ?Sized>(binder: &mut B, candidates: &Candidates) -> bool {
    let step = (candidates.len() / DENIED_ATTEMPTS).max(1);
    let numbers = (0..candidates.len()).step_by(step as usize).take(DENIED_ATTEMPTS as usize);
    numbers
        .map(|number| binder.bind(candidates.nth(number)).0)
        .all(|result| result.is_err_and(|refusal| refusal.outcome() == Outcome::Denied))
}

/// Those of `candidates` that may be bound; None: none may. `left_out` receives a sentence on those
/// that may not, if there are others.
///
/// The right (`CAP_NET_BIND_SERVICE`) is missing if a bind() of the lowest and of the highest
/// candidate below `start` fails with EACCES; a port that is bound is released at once. The kernel
/// looks at the right before it looks at what is on the port (`__inet_bind`).
pub fn permitted<B: Binder + ?Sized>(
    binder: &mut B,
    candidates: Candidates,
    start: u16,
    reserved: &[PortRange],
    left_out: impl FnOnce(&str),
) -> Option<Candidates> {
    let below = candidates.ports().take_while(|&port| port < start).count() as u32;
    let mut is_refused = |number: u32| {
        let (result, _) = binder.bind(candidates.nth(number));
        result.is_err_and(|refusal| refusal.errno == Errno::EACCES)
    };
    if below == 0 || !is_refused(0) || !is_refused(below - 1) {
        return Some(candidates);
    }
    let range = candidates.range();
    let rest = PortRange::new(range.first().max(start), range.last()).ok()?;
    let rest = Candidates::new(rest, reserved);
    if rest.len() == 0 {
        return None;
    }
    left_out(&format!(
        "{below} ports below ip_unprivileged_port_start = {start} are left out: they need \
         CAP_NET_BIND_SERVICE"
    ));
    Some(rest)
}
