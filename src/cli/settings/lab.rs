//! What the arguments of `lab` mean. Asks no machine.

use crate::cli::{args::LabArguments, settings::BadInput};

pub struct LabSettings {}

impl TryFrom<LabArguments> for LabSettings {
    type Error = BadInput;

    fn try_from(_: LabArguments) -> Result<Self, BadInput> {
        Ok(Self {})
    }
}
