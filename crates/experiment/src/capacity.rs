//! PLACEHOLDER
use crate::results::SweepError;
use crate::sweep::{Outcome, Runner};

/// A capacity.
#[derive(Clone, Debug)]
pub struct Capacity;

pub(crate) fn search_plan(_: &Runner<'_>, _: &mut Outcome) -> Result<(), SweepError> {
    Err(SweepError::Merge("capacity searches are not there yet".into()))
}
