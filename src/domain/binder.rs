//! Defines attempts to bind a port and their results. Opens no socket itself.

use std::{
    borrow::Cow,
    fmt,
    io::{self, ErrorKind},
    time::Duration,
};

use crate::domain::{Protocol, Text};

/// Binds one port after another. Returns the duration of each attempt, so that a simulated machine
/// can report simulated time.
pub trait Binder {
    /// Keeps a port bound; dropping it releases the port.
    type Held;

    /// Tries to bind `port` and returns the time it took. Port 0 lets the machine choose, as in
    /// bind(2).
    fn bind(&mut self, port: u16) -> (Result<Self::Held, Refusal>, Duration);

    /// Returns the port that `bind(asked)` bound. It differs from `asked` if the machine chose it.
    fn port_of(&self, _held: &Self::Held, asked: u16) -> u16 {
        asked
    }

    /// Returns the port that the last `bind(asked)` failed to bind. It differs from `asked` if the
    /// machine chose a port for UDP that TCP then refused.
    fn refused_port(&self, asked: u16) -> u16 {
        asked
    }

    /// Discards the datagrams that a held port received since the last call; returns their number.
    fn late_datagrams(&mut self, _held: &mut Self::Held) -> u64 {
        0
    }

    /// Ends the use of a held port: it stays bound but accepts no connections, and pending
    /// connections and datagrams are discarded.
    fn retire(&mut self, _held: &mut Self::Held) {}

    /// Tries the ports that `next` returns until one is bound. None: `next` returned None before
    /// any port was bound.
    ///
    /// Makes many attempts per call, because returning to the caller after each system call is
    /// slow: the kernel evicts the CPU's return predictions. Returning after each attempt cost 230
    /// ns, half the time of a refused bind().
    fn bind_first(&mut self, next: &mut NextPort<'_>) -> Option<Bound<Self::Held>> {
        let mut miss = None;
        while let Some(port) = next(miss) {
            let (result, took) = self.bind(port);
            match result {
                Ok(held) => return Some(Bound { port: self.port_of(&held, port), held, took }),
                Err(refusal) => {
                    miss = Some(Miss { port: self.refused_port(port), refusal, took });
                }
            }
        }
        None
    }
}

/// Returns the next port to try. The argument is the preceding miss; None: no port was tried yet.
/// The result None ends the attempts.
pub type NextPort<'a> = dyn FnMut(Option<Miss>) -> Option<u16> + 'a;

/// A refused attempt.
#[derive(Clone, Copy, Debug)]
pub struct Miss {
    pub port: u16,
    pub refusal: Refusal,
    pub took: Duration,
}

/// A successful attempt.
pub struct Bound<H> {
    pub port: u16,
    pub held: H,
    pub took: Duration,
}

impl<B: Binder + ?Sized> Binder for Box<B> {
    type Held = B::Held;

    fn bind(&mut self, port: u16) -> (Result<Self::Held, Refusal>, Duration) {
        (**self).bind(port)
    }

    fn port_of(&self, held: &Self::Held, asked: u16) -> u16 {
        (**self).port_of(held, asked)
    }

    fn refused_port(&self, asked: u16) -> u16 {
        (**self).refused_port(asked)
    }

    fn late_datagrams(&mut self, held: &mut Self::Held) -> u64 {
        (**self).late_datagrams(held)
    }

    fn retire(&mut self, held: &mut Self::Held) {
        (**self).retire(held);
    }

    fn bind_first(&mut self, next: &mut NextPort<'_>) -> Option<Bound<Self::Held>> {
        (**self).bind_first(next)
    }
}

/// Why a bind() failed, and on which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub protocol: Protocol,
    pub errno: Errno,
}

impl Refusal {
    pub fn outcome(self) -> Outcome {
        match self.errno {
            Errno::EADDRINUSE => Outcome::InUse,
            Errno::EACCES | Errno::EPERM => Outcome::Denied,
            _ => Outcome::Unknown,
        }
    }
}

/// The reason why bind() refuses an address, or the ports below `ip_unprivileged_port_start`: the
/// cause in words and the kernel's errno.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause} ({errno})")]
pub struct AddressRefusal {
    pub errno: Errno,
    pub cause: Text,
    is_missing_right: bool,
}

impl AddressRefusal {
    /// Creates the refusal of ports below `start` (`ip_unprivileged_port_start`).
    pub fn missing_right(start: u16) -> Self {
        let cause =
            format!("ports below ip_unprivileged_port_start = {start} need CAP_NET_BIND_SERVICE");
        Self { errno: Errno::EACCES, cause: Text::scrub(cause), is_missing_right: true }
    }

    /// Creates a refusal by the kernel. Text from outside in `cause` must be scrubbed already.
    pub fn new(errno: Errno, cause: impl AsRef<str>) -> Self {
        Self { errno, cause: Text::around_scrubbed(cause), is_missing_right: false }
    }

    /// Returns whether a policy, such as that of a security module, refused the port that was
    /// tried. The policy may allow other ports.
    pub fn is_policy(&self) -> bool {
        matches!(self.errno, Errno::EACCES | Errno::EPERM) && !self.is_missing_right
    }
}

/// What an attempt shows about the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Bound,
    /// EADDRINUSE, and no other errno.
    InUse,
    /// EACCES or EPERM: a policy or a missing capability, which says nothing about occupancy.
    Denied,
    /// Any other errno: counts neither as in use nor as free.
    Unknown,
}

impl Outcome {
    /// Returns the name in text reports and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::InUse => "in-use",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }
}

/// A Linux errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

/// Defines the constants of [`Errno`] and their names.
macro_rules! errnos {
    ($($name:ident = $number:literal,)*) => {
        impl Errno {
            $(pub const $name: Self = Self($number);)*

            /// Returns the symbol, as in errno(3), or `errno N` if this type has no constant for it.
            pub fn name(self) -> Cow<'static, str> {
                match self {
                    $(Self::$name => Cow::Borrowed(stringify!($name)),)*
                    Self(number) => Cow::Owned(format!("errno {number}")),
                }
            }
        }
    };
}

errnos! {
    EPERM = 1,
    ENOENT = 2,
    ESRCH = 3,
    EINTR = 4,
    EIO = 5,
    EBADF = 9,
    EAGAIN = 11,
    ENOMEM = 12,
    EACCES = 13,
    EXDEV = 18,
    ENODEV = 19,
    ENOTDIR = 20,
    EISDIR = 21,
    EINVAL = 22,
    ENFILE = 23,
    EMFILE = 24,
    ETXTBSY = 26,
    EFBIG = 27,
    ENOSPC = 28,
    EROFS = 30,
    ENAMETOOLONG = 36,
    ENOSYS = 38,
    ELOOP = 40,
    ENODATA = 61,
    EPROTO = 71,
    EBADMSG = 74,
    ENOPROTOOPT = 92,
    EPROTONOSUPPORT = 93,
    EOPNOTSUPP = 95,
    EAFNOSUPPORT = 97,
    EADDRINUSE = 98,
    EADDRNOTAVAIL = 99,
    ENOBUFS = 105,
    ECONNREFUSED = 111,
    ESTALE = 116,
}

impl Errno {
    /// Returns whether the process (EMFILE) or the machine (ENFILE) has no file descriptor left.
    pub fn is_out_of_descriptors(self) -> bool {
        matches!(self, Self::EMFILE | Self::ENFILE)
    }
}

/// Maps an error that did not come from a system call to the nearest errno, or to EIO.
impl From<ErrorKind> for Errno {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::PermissionDenied => Self::EACCES,
            ErrorKind::NotFound => Self::ENOENT,
            ErrorKind::InvalidData => Self::EBADMSG,
            ErrorKind::UnexpectedEof => Self::ENODATA,
            ErrorKind::FileTooLarge => Self::EFBIG,
            ErrorKind::WouldBlock => Self::EAGAIN,
            ErrorKind::OutOfMemory => Self::ENOMEM,
            ErrorKind::Unsupported => Self::EOPNOTSUPP,
            _ => Self::EIO,
        }
    }
}

impl From<&io::Error> for Errno {
    fn from(error: &io::Error) -> Self {
        error.raw_os_error().map_or_else(|| error.kind().into(), Self)
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}
