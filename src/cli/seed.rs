//! The seed of a command: the one asked for, or a random one. Does not use it.

use crate::{
    cli::settings::SEED_LIMIT,
    host::{HostError, seed},
};

pub fn or_drawn(asked: Option<u64>) -> Result<u64, HostError> {
    asked.map_or_else(|| Ok(seed::draw()? % SEED_LIMIT), Ok)
}
