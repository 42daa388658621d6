//! Decides which bind() calls can be tried on a port without a lasting effect on later calls, and
//! in which order. Makes no system call itself: the caller passes the function that binds.
//!
//! The kernel keeps marks for each TCP port in use (`struct inet_bind_bucket`), and a bind() to a
//! port that other sockets use changes them:
//!
//! - After a successful bind() with SO_REUSEPORT to a wildcard address, a later bind() with
//!   SO_REUSEPORT to another wildcard address may succeed in spite of a conflict: the kernel does
//!   not compare it with the sockets on the port (`sk_reuseport_match`). This ends when a bind() to
//!   the port without SO_REUSEPORT succeeds.
//! - Before Linux 6.18, after any successful bind() to a port with connected sockets, connect()
//!   skips the port until all of these sockets are gone (commit d57f4b874946).

use crate::domain::{
    Gap, Protocol, Snapshot,
    availability::{
        self, Bind, BindAddress, Reuse,
        bind::overlap,
        bound_addresses::{BoundAddresses, Overlap},
    },
};

/// Why a bind() is not tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// The kernel is older than Linux 6.18 or of unknown version, and the port has or may have
    /// connected sockets but no listening or bound one.
    BesideConnection,
    /// The bind() with SO_REUSEPORT to a wildcard address may leave a mark that cannot be removed.
    LeavesMark,
}

impl Skipped {
    pub fn why(self) -> &'static str {
        match self {
            Self::BesideConnection => {
                "before Linux 6.18, a bind() to a port with connections makes connect() skip the \
                 port"
            }
            Self::LeavesMark => {
                "it would let a later bind() to [::] with SO_REUSEPORT succeed in spite of a \
                 conflict"
            }
        }
    }
}

/// The outcome of one bind() of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed<E> {
    /// No probe was requested.
    NotAsked,
    Tried(Result<(), E>),
    Skipped(Skipped),
}

impl<E: Copy> Probed<E> {
    /// Returns the result of the attempt. None: the bind() was not tried.
    pub fn result(self) -> Option<Result<(), E>> {
        match self {
            Self::Tried(result) => Some(result),
            Self::NotAsked | Self::Skipped(_) => None,
        }
    }
}

/// Tries each bind() with `try_bind`, one after another, except those that must be skipped. Returns
/// the results in the order of `binds`. `try_bind` must release the port at once.
///
/// The bind() with SO_REUSEPORT to all addresses comes first. It leaves no mark of its own: it
/// fails, conflicts with no socket, or finds the mark already set by others. Then come the calls
/// without an option, those with SO_REUSEADDR, and the others with SO_REUSEPORT. Each group starts
/// with the widest address. After a success with SO_REUSEPORT, a bind() without an option that
/// succeeded before is repeated to remove the mark.
pub fn probe_each<E: Copy>(
    snapshot: &Snapshot,
    port: u16,
    binds: &[Bind],
    mut try_bind: impl FnMut(Bind) -> Result<(), E>,
) -> Vec<Probed<E>> {
    let mut results = vec![Probed::NotAsked; binds.len()];
    let mut order: Vec<usize> = (0..binds.len()).collect();
    order.sort_by_key(|&number| rank(binds[number]));
    for number in order {
        let bind = binds[number];
        let succeeded = |reuse: Reuse, wide: bool| {
            let tried = binds.iter().zip(&results).find(|(other, result)| {
                let is_wide = other.address == BindAddress::AnyDual;
                let is_same = other.protocol == bind.protocol && other.reuse == reuse;
                is_same && (is_wide || !wide) && matches!(result, Probed::Tried(Ok(())))
            });
            tried.map(|(other, _)| *other)
        };
        let plain = succeeded(Reuse::None, false);
        let is_safe = plain.is_some()
            || succeeded(Reuse::Port, true).is_some()
            || fails_on_all_addresses(snapshot, port, bind);
        results[number] = match skipped(snapshot, port, bind, is_safe) {
            Some(skipped) => Probed::Skipped(skipped),
            None => Probed::Tried(try_bind(bind)),
        };
        if let (true, Some(plain)) = (is_marking(bind, &results[number]), plain) {
            let _ = try_bind(plain);
        }
    }
    results
}

/// Returns whether all sockets on the port conflict with the address of `bind`, and none is
/// unlisted. A bind() that fails on the widest address then also fails on this one.
fn fails_on_all_addresses(snapshot: &Snapshot, port: u16, bind: Bind) -> bool {
    let wanted = BoundAddresses::of_bind(bind.address);
    let mut sockets = snapshot.on_port(bind.protocol, port).iter();
    !availability::may_be_unlisted(snapshot, bind.protocol, port)
        && sockets.all(|socket| overlap(snapshot, &wanted, socket) == Overlap::Certain)
}

/// Returns why the bind() must be skipped. None: it can be tried. `is_safe` means that the bind()
/// fails, or that its mark can be removed or is already set.
fn skipped(snapshot: &Snapshot, port: u16, bind: Bind, is_safe: bool) -> Option<Skipped> {
    if bind.protocol != Protocol::Tcp {
        return None;
    }
    if takes_from_connect(snapshot, port) {
        return Some(Skipped::BesideConnection);
    }
    let leaves_mark =
        bind.reuse == Reuse::Port && matches!(bind.address, BindAddress::Any4 | BindAddress::Any6);
    (leaves_mark && !is_safe).then_some(Skipped::LeavesMark)
}

fn is_marking<E>(bind: Bind, result: &Probed<E>) -> bool {
    let is_shared = bind.protocol == Protocol::Tcp && bind.reuse == Reuse::Port;
    is_shared && matches!(result, Probed::Tried(Ok(())))
}

/// Returns whether a bind() may make connect() skip the port. Returns false if a listening or bound
/// socket on the port has already had this effect.
fn takes_from_connect(snapshot: &Snapshot, port: u16) -> bool {
    let sockets = snapshot.on_port(Protocol::Tcp, port);
    let is_marked = sockets.iter().any(|socket| socket.state.blocks_connect());
    let is_clear = sockets.is_empty() && !snapshot.gaps.iter().any(hides_connections);
    !is_clear && !is_marked && snapshot.machine.is_at_least((6, 18)) != Some(true)
}

fn hides_connections(gap: &Gap) -> bool {
    gap.table().is_some_and(|table| table.protocol() == Protocol::Tcp)
}

/// The position in the order of attempts; lower ones are tried first.
fn rank(bind: Bind) -> (u8, u8) {
    let reuse = match (bind.reuse, bind.address) {
        (Reuse::Port, BindAddress::AnyDual) => 0,
        (Reuse::None, _) => 1,
        (Reuse::Address, _) => 2,
        (Reuse::Port, _) => 3,
    };
    let width = match bind.address {
        BindAddress::AnyDual => 0,
        BindAddress::Any4 => 1,
        BindAddress::Any6 => 2,
        BindAddress::At(_) | BindAddress::Scoped { .. } => 3,
    };
    (reuse, width)
}
