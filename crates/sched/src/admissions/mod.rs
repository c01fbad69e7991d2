//! Admission: which requests are let in to the router at all, and when. One file each.
//!
//! A run has any number of them, one behind the other in the order of the spec: a request that one lets in asks the next,
//! and the scheduler is asked about those that all have let in. Requests that lost their instance do not ask again.

use serde_json::Value;
use trimtab_core::{RequestId, SimTime};

use crate::{Arrival, BuildContext, ClusterView, ParamError, ParamsDoc, Signals};

macro_rules! admissions {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*

        /// The built-in admission policies.
        pub static ADMISSIONS: &[AdmissionDef] = &[$($module::DEF),*];
    };
}

admissions! {
    token_bucket,
    flow_control,
    shedding,
    early_rejection,
}

/// What becomes of a request that asks to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is let in.
    Admit,
    /// It waits until [`Admission::next`] names it.
    Wait,
    /// It is turned away.
    Reject,
}

/// Decides who is let in. Members of the view may be none.
pub trait Admission: Send {
    /// A request asks to be let in.
    fn ask(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>) -> Verdict;

    /// The next of the requests that wait whose time has come, and whether it is let in or turned away. The engine asks
    /// until there is none: at the end of every instant at which the router learnt of a first token or an end or took a
    /// request back, reports of load arrived or an instance joined, and at [`Self::wake`].
    fn next(&mut self, view: &ClusterView<'_>) -> Option<(RequestId, bool)> {
        let _ = view;
        None
    }

    /// When it wants to be asked for the next one, if nothing happens before.
    fn wake(&self) -> Option<SimTime> {
        None
    }

    /// A request that waits is gone: its client hung up.
    fn gone(&mut self, request: RequestId) {
        let _ = request;
    }
}

/// Builds an admission policy from a JSON object of parameters.
pub type BuildAdmission = fn(&Value, &BuildContext) -> Result<Box<dyn Admission>, ParamError>;

/// An admission policy in the list.
#[derive(Clone, Copy)]
pub struct AdmissionDef {
    /// Its name, lower-case kebab.
    pub name: &'static str,
    /// One line: what it does.
    pub summary: &'static str,
    /// Where it comes from.
    pub citation: &'static str,
    /// How it differs from its source, one entry each.
    pub deviations: &'static [&'static str],
    /// The signals it reads.
    pub signals: Signals,
    /// Its parameters with their defaults.
    pub params: fn() -> ParamsDoc,
    /// Builds it from a JSON object of parameters.
    pub build: BuildAdmission,
}

impl std::fmt::Debug for AdmissionDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdmissionDef").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The admission policy of this name.
pub fn admission_by_name(name: &str) -> Option<&'static AdmissionDef> {
    ADMISSIONS.iter().find(|def| def.name == name)
}

/// A span of time among parameters.
fn span(name: &str, seconds: f64) -> Result<SimTime, ParamError> {
    SimTime::from_secs_f64(seconds).ok_or_else(|| ParamError(format!("parameter `{name}` must be a span of time")))
}

#[cfg(test)]
mod tests;
