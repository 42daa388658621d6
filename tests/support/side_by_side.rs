//! Runs the cases of a test at once.

use std::thread;

/// Runs functions without arguments, each in a thread of its own. Returns when all have ended, and
/// panics if one failed.
///
/// The harness runs one test per processor: cases that mostly wait would leave the processors idle.
macro_rules! side_by_side {
    ($($case:expr),* $(,)?) => {
        $crate::side_by_side::run(&[$((stringify!($case), $case)),*])
    };
}
pub(crate) use side_by_side;

/// Runs the cases, each in a thread of its name.
pub fn run(cases: &[(&str, fn())]) {
    thread::scope(|scope| {
        for &(name, case) in cases {
            let thread = thread::Builder::new().name(name.to_owned());
            thread.spawn_scoped(scope, case).expect("a few threads can be started");
        }
    });
}
