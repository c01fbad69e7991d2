//! Schedulers: who serves which request. Papers also say router, dispatcher or gateway.
//!
//! A [`Scheduler`] looks at the cluster through a [`ClusterView`], which offers what a real router can know with the age
//! that a real router knows it, and answers with decisions as data, which the engine carries out.
//!
//! Adding a scheduler is one file in `policies/` and one line in [`policies`].
//!
//! Architecture invariant: this crate sees `trimtab-core` and nothing else of the project; no IO, no clock, no unseeded
//! randomness. A scheduler never learns the true output length of a request that is still running.

mod actions;
pub mod admissions;
pub mod autoscalers;
pub mod parts;
pub mod policies;
mod registry;
mod view;

pub use actions::{Action, Actions, Decision, Hook};
pub use registry::{
    BuildContext, BuildFn, InstanceInfo, NoParams, ParamsDoc, Registry, SchedulerDef, no_params, params_doc, preset,
};
use trimtab_core::{InstanceId, SimTime};

pub use trimtab_core::params::{ParamError, require, typed};
pub use view::{Arrival, ClusterView, Counters, History, LONGEST_PS, Probe, Queued, Signals, Snapshot};

/// A request scheduler.
///
/// Simultaneous arrivals are routed one after the other, and each decision is visible in the router's counters before
/// the next one is asked for.
pub trait Scheduler: Send {
    /// Where a new request goes. Also asked again for a request that has to be placed anew (its instance left or failed
    /// before it started).
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision;

    /// Where another replica of the router sent a request, told when the replicas sync: a scheduler that remembers what was
    /// sent where takes note.
    fn learn(&mut self, arrival: &Arrival<'_>, to: InstanceId, now: SimTime) {
        let _ = (arrival, to, now);
    }

    /// Something happened that the scheduler asked to be told of (see [`SchedulerDef::hooks`]).
    fn hook(&mut self, hook: &Hook, view: &ClusterView<'_>, actions: &mut Actions) {
        let _ = (hook, view, actions);
    }
}

/// The guide's example is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/writing-a-scheduler.md")]
pub struct WritingAScheduler;
