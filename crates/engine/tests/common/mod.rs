//! Shared by the tests of the engine.

pub(crate) mod generate;
pub(crate) mod scaler;
