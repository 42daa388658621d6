//! Finds which candidates this process may bind, by real bind() calls. Reads no capabilities.

use crate::{
    allocator::Candidates,
    domain::{Binder, Errno, Outcome, PortRange},
};

/// Number of denied attempts after which a policy that denies port 0 is assumed to deny all other
/// ports. A policy may still allow some: systemd's SocketBindAllow= and Landlock can allow single
/// ports.
pub const DENIED_ATTEMPTS: u32 = 10;

/// Returns whether bind() of `DENIED_ATTEMPTS` evenly spaced candidates, or of all if there are
/// fewer, is always denied (EACCES, EPERM). A port that gets bound is released at once.
pub fn is_each_denied<B: Binder + ?Sized>(binder: &mut B, candidates: &Candidates) -> bool {
    let step = (candidates.len() / DENIED_ATTEMPTS).max(1);
    let numbers = (0..candidates.len()).step_by(step as usize).take(DENIED_ATTEMPTS as usize);
    numbers
        .map(|number| binder.bind(candidates.nth(number)).0)
        .all(|result| result.is_err_and(|refusal| refusal.outcome() == Outcome::Denied))
}

/// Returns the candidates that may be bound; `None` if none may. If only some may be bound, calls
/// `left_out` with a sentence about the others. `start` is `ip_unprivileged_port_start`, and
/// `reserved` are the reserved ports.
///
/// The capability (`CAP_NET_BIND_SERVICE`) is assumed to be missing if bind() of the lowest and of
/// the highest candidate below `start` fails with EACCES; a port that gets bound is released at
/// once. The kernel checks the capability before it checks whether the port is in use
/// (`__inet_bind`).
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
    let (ports, need) = match below {
        1 => ("1 port".to_owned(), "is left out: it needs"),
        below => (format!("{below} ports"), "are left out: they need"),
    };
    left_out(&format!(
        "{ports} below ip_unprivileged_port_start = {start} {need} CAP_NET_BIND_SERVICE"
    ));
    Some(rest)
}
