//! The seed of a command: the requested one, or a random one below `SEED_LIMIT`.

use crate::{
    cli::value::SEED_LIMIT,
    host::{HostError, seed},
};

pub fn or_drawn(asked: Option<u64>) -> Result<u64, HostError> {
    asked.map_or_else(|| Ok(seed::draw()? % SEED_LIMIT), Ok)
}
