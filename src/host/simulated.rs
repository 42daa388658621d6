//! A machine that exists only in memory. Not a demo mode: it is a `Host` like the real one.
