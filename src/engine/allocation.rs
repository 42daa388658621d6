//! The allocation thread: owns the strategy, the binder and all held sockets.
