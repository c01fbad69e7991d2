//! How a generator is described and built from its parameters.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use trimtab_core::params::{ParamError, documented, require};

use super::{Built, Setup};
use crate::arrivals::{ArrivalSpec, FASTEST};
use crate::law::Law;

/// A generator.
pub struct WorkloadDef {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Where its laws come from.
    pub citation: &'static str,
    /// Its parameters.
    pub params: fn() -> Vec<ParamDoc>,
    pub(crate) build: fn(&Value, &mut Setup) -> Result<Built, ParamError>,
}

impl fmt::Debug for WorkloadDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadDef").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One parameter of a generator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParamDoc {
    /// Its name.
    pub name: &'static str,
    /// Its default.
    pub default: Value,
    /// What it means.
    pub meaning: &'static str,
}

/// Documents a parameter struct, whose fields must each be named once.
pub(crate) fn docs<P: Default + Serialize>(meanings: &[(&'static str, &'static str)]) -> Vec<ParamDoc> {
    docs_of(&P::default(), meanings)
}

/// The same, with other defaults.
pub(crate) fn docs_of<P: Serialize>(defaults: &P, meanings: &[(&'static str, &'static str)]) -> Vec<ParamDoc> {
    let entry = |(name, default, meaning)| ParamDoc { name, default, meaning };
    documented(defaults, meanings).into_iter().map(entry).collect()
}

/// Refuses a law that cannot be drawn from.
pub(crate) fn require_law(law: &Law, name: &str) -> Result<(), ParamError> {
    require(law.is_sound(), name, "a law with sound numbers, such as {\"lognormal\": [median, sigma]}")
}

/// Refuses a rate above the fastest that arrivals have.
pub(crate) fn require_rate(rate: f64) -> Result<(), ParamError> {
    require(rate > 0.0 && rate <= FASTEST, "rate", "positive, and at most 1e12")
}

/// Refuses an arrival process that makes no sense.
pub(crate) fn require_arrivals(spec: &ArrivalSpec) -> Result<(), ParamError> {
    spec.fault().map_or(Ok(()), |rule| Err(ParamError(format!("parameter `arrivals`: {rule}"))))
}
