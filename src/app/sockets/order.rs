//! Which columns the list of sockets has, and by which it is sorted next. Does not sort.

use crate::{app::Size, domain::listing::SocketColumn};

/// Returns the columns of a terminal of this size, from left to right.
pub fn shown(size: Size) -> &'static [SocketColumn] {
    use SocketColumn::{Age, Local, Owner, Protocol, Queue, Remote, State, Unit, User};
    match size.columns {
        ..100 => &[State, Local, Remote, Owner, Age],
        100..120 => &[Protocol, State, Local, Remote, Owner, User, Age],
        120..150 => &[Protocol, State, Local, Remote, Owner, User, Queue, Age],
        _ => &[Protocol, State, Local, Remote, Owner, User, Unit, Queue, Age],
    }
}

/// Returns the next column that sorts, of those that are shown. The protocol sorts as the local
/// port does.
pub(super) fn next(column: SocketColumn, size: Size) -> SocketColumn {
    let shown = shown(size).iter().filter(|&&column| column != SocketColumn::Protocol);
    let shown: Vec<SocketColumn> = shown.copied().collect();
    let at = shown.iter().position(|&shown| shown == column);
    shown[at.map_or(0, |at| (at + 1) % shown.len())]
}
