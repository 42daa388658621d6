//! Opens standard output, unless the program was started without it, and measures its terminal.
//! Does not write.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Calls `check_descriptors` before std's runtime starts. The runtime opens /dev/null in place of a
/// closed standard output. A later check would find the descriptor open, and all output would be
/// lost silently.
#[expect(unsafe_code, reason = "the section must hold pointers to functions, and this is one")]
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = check_descriptors;

#[cfg(target_os = "linux")]
extern "C" fn check_descriptors() {
    let is_open = rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_ok();
    WAS_CLOSED.store(!is_open, Ordering::Relaxed);
}

/// Locks standard output. Fails with EBADF if the program was started without one (`>&-`).
pub fn open() -> io::Result<io::StdoutLock<'static>> {
    if WAS_CLOSED.load(Ordering::Relaxed) {
        return Err(rustix::io::Errno::BADF.into());
    }
    Ok(io::stdout().lock())
}

/// The terminal of standard output.
#[derive(Clone, Copy, Debug)]
pub struct OutputTerminal {
    /// Number of columns. None: the terminal does not know its size.
    pub columns: Option<usize>,
}

/// Returns the terminal of standard output. None: it is a pipe or a file.
pub fn terminal() -> Option<OutputTerminal> {
    let stdout = rustix::stdio::stdout();
    if !rustix::termios::isatty(stdout) {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stdout).ok();
    let columns = size.map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0);
    Some(OutputTerminal { columns })
}
