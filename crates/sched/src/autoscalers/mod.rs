//! Autoscalers: how many instances there should be. One file each.
//!
//! The engine asks at fixed intervals, and starts or drains instances until there are as many as the answer says, within
//! the bounds of the spec.

use std::ops::RangeInclusive;

use serde_json::Value;
use trimtab_core::SimTime;

use crate::{ClusterView, ParamError, ParamsDoc};

macro_rules! autoscalers {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*

        /// The built-in autoscalers.
        pub static AUTOSCALERS: &[AutoscalerDef] = &[$($module::DEF),*];
    };
}

autoscalers! {
    reactive,
    slo_target,
    scheduled,
    oracle,
}

/// What became of requests since the autoscaler was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// Requests that arrived.
    pub arrived: u64,
    /// First tokens that came.
    pub served: u64,
    /// Of these, within the TTFT objective.
    pub in_time: u64,
    /// Requests that were rejected or failed.
    pub turned_away: u64,
}

/// A cluster as an autoscaler sees it.
pub struct FleetView<'a> {
    /// The instances that can be chosen, with every signal.
    pub cluster: ClusterView<'a>,
    /// Instances that serve, reached by the router or not, or start.
    pub current: u32,
    /// The bounds of the spec.
    pub bounds: RangeInclusive<u32>,
    /// What happened since the last time.
    pub recent: Recent,
}

/// What an autoscaler may know when it is built.
#[derive(Clone, Debug, Default)]
pub struct ScalerContext {
    /// The TTFT objective, when the spec has one.
    pub slo_ttft: Option<SimTime>,
    /// How long an instance takes to start.
    pub startup: SimTime,
    /// How many prompt tokens an instance of the first group prefills in a second.
    pub prefill_tokens_per_s: u64,
    /// All arrivals to come with their prompt tokens, when they are known in advance: for bounds only.
    pub future: Option<Vec<(SimTime, u32)>>,
}

/// Decides how many instances there should be.
pub trait Autoscaler: Send {
    /// How many instances there should be, those that are starting included. More or fewer than the spec allows are cut.
    fn target(&mut self, fleet: &FleetView<'_>) -> u32;
}

/// Builds an autoscaler from a JSON object of parameters.
pub type BuildScaler = fn(&Value, &ScalerContext) -> Result<Box<dyn Autoscaler>, ParamError>;

/// An autoscaler in the list.
#[derive(Clone, Copy)]
pub struct AutoscalerDef {
    /// Its name, lower-case kebab.
    pub name: &'static str,
    /// One line: what it does.
    pub summary: &'static str,
    /// Its parameters with their defaults.
    pub params: fn() -> ParamsDoc,
    /// Whether it must know all arrivals in advance.
    pub foresees: bool,
    /// Builds it from a JSON object of parameters.
    pub build: BuildScaler,
}

impl std::fmt::Debug for AutoscalerDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AutoscalerDef").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The autoscaler of this name.
pub fn autoscaler_by_name(name: &str) -> Option<&'static AutoscalerDef> {
    AUTOSCALERS.iter().find(|def| def.name == name)
}

/// No change sooner after the last one than this, in either direction.
#[derive(Clone, Copy, Debug, Default)]
struct CoolDown {
    up: SimTime,
    down: SimTime,
    last: Option<SimTime>,
}

impl CoolDown {
    fn new(up_s: f64, down_s: f64) -> Result<Self, ParamError> {
        let time = |name: &str, seconds| {
            SimTime::from_secs_f64(seconds)
                .ok_or_else(|| ParamError(format!("parameter `{name}` must be a span of time")))
        };
        Ok(Self { up: time("cooldown_up_s", up_s)?, down: time("cooldown_down_s", down_s)?, last: None })
    }

    /// The wish within the bounds, if it is not too soon for it; what there is otherwise.
    fn limit(&mut self, fleet: &FleetView<'_>, wish: u32) -> u32 {
        let (now, current) = (fleet.cluster.now(), fleet.current);
        let wish = wish.clamp(*fleet.bounds.start(), *fleet.bounds.end());
        let pause = if wish > current { self.up } else { self.down };
        let free = self.last.is_none_or(|last| now.saturating_since(last) >= pause);
        if wish == current || !free {
            return current;
        }
        self.last = Some(now);
        wish
    }
}

#[cfg(test)]
mod tests {
    use trimtab_core::{InstanceId, RequestId};

    use super::*;
    use crate::{Counters, Probe, Queued, Signals, Snapshot};

    /// What an autoscaler is shown: all instances are alike.
    #[derive(Clone, Copy, Default)]
    pub(super) struct Look {
        pub(super) at_s: f64,
        pub(super) waiting: u32,
        /// Of 100.
        pub(super) used_blocks: u64,
        pub(super) queue_s: f64,
        pub(super) served: u64,
        pub(super) in_time: u64,
    }

    impl Probe for Look {
        fn snapshot(&self, _: InstanceId) -> Snapshot {
            Snapshot { waiting: self.waiting, used_blocks: self.used_blocks, total_blocks: 100, ..Snapshot::default() }
        }
        fn hit_tokens(&self, _: RequestId, _: InstanceId) -> u32 {
            0
        }
        fn all_hit_tokens(&self, _: RequestId, _: &mut Vec<u32>) {}
        fn prefill_ps(&self, _: InstanceId, _: u32, _: u32) -> u64 {
            0
        }
        fn queue_ps(&self, _: InstanceId) -> u64 {
            SimTime::from_secs_f64(self.queue_s).unwrap().0
        }
        fn queued(&self, _: InstanceId, _: &mut Vec<Queued>) {}
    }

    /// Objective: 1 s, starts: 2 s, prefill: 1000 tokens a second; a prompt of 1000 tokens at each of these seconds.
    fn context(arrivals_s: &[f64]) -> ScalerContext {
        ScalerContext {
            slo_ttft: SimTime::from_secs_f64(1.0),
            startup: SimTime::from_secs_f64(2.0).unwrap(),
            prefill_tokens_per_s: 1000,
            future: Some(arrivals_s.iter().map(|&at| (SimTime::from_secs_f64(at).unwrap(), 1000)).collect()),
        }
    }

    /// Shows an autoscaler one look after the other, beginning with 4 instances of 2 to 8, and checks how many it wants.
    pub(super) fn check(name: &str, params: &Value, arrivals_s: &[f64], looks: &[(Look, u32)]) {
        let def = autoscaler_by_name(name).unwrap();
        let mut scaler = (def.build)(params, &context(arrivals_s)).unwrap();
        let (mut current, counters) = (4, Counters::default());
        for (look, wanted) in looks {
            let members: Vec<InstanceId> = (0..current).map(InstanceId).collect();
            let now = SimTime::from_secs_f64(look.at_s).unwrap();
            let recent = Recent { served: look.served, in_time: look.in_time, ..Recent::default() };
            let cluster = ClusterView::new(now, &members, Signals::ALL, &counters, look);
            let target = scaler.target(&FleetView { cluster, current, bounds: 2..=8, recent });
            assert_eq!(target, *wanted, "{name} {params} at {} s with {current}", look.at_s);
            current = target;
        }
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        let cases = [
            ("reactive", serde_json::json!({ "above": 1.0, "below": 1.0 })),
            ("reactive", serde_json::json!({ "step": 0 })),
            ("reactive", serde_json::json!({ "metric": "temperature" })),
            ("reactive", serde_json::json!({ "cooldown_up_s": -1.0 })),
            ("slo-target", serde_json::json!({ "target": 1.5 })),
            ("slo-target", serde_json::json!({ "growth": 0.5 })),
            ("scheduled", serde_json::json!({ "plan": [[5.0, 2], [1.0, 3]] })),
            ("oracle", serde_json::json!({ "horizon_s": 0.0 })),
            ("oracle", serde_json::json!({ "load": 0.0 })),
        ];
        for (name, params) in cases {
            let def = autoscaler_by_name(name).unwrap();
            assert!((def.build)(&params, &context(&[])).is_err(), "{name} {params}");
            assert!((def.build)(&Value::Null, &context(&[])).is_ok(), "{name} by default");
        }
    }

    #[test]
    fn those_that_need_an_objective_or_the_future_are_refused_without() {
        for (name, params) in [
            ("slo-target", Value::Null),
            ("reactive", serde_json::json!({ "metric": "late" })),
            ("oracle", Value::Null),
        ] {
            let def = autoscaler_by_name(name).unwrap();
            assert!((def.build)(&params, &ScalerContext::default()).is_err(), "{name}");
        }
    }
}
