//! vLLM production-stack `session`: a consistent-hash ring of sessions.

use serde::{Deserialize, Serialize};
use trimtab_core::{InstanceId, SimTime};

use crate::parts::{Choices, Placement, SendRates};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals, params_doc, require,
    typed,
};

/// The session router of production-stack in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "production-stack-session",
    summary: "the session's owner on a hash ring; without a session the instance that was sent the fewest lately",
    citation: "vLLM production-stack, src/vllm_router/routers/routing_logic.py at a6c01db (2026-08-05)",
    deviations: &[
        "a fixed 64-bit hash instead of that of `uhashring`: other positions on the ring, the same distribution",
    ],
    signals: Signals::NONE,
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("virtual_nodes", "ring points of an instance; 160 is the default of `uhashring` (ring.py)"),
            ("window_s", "over how long the request rate is taken; the product's --request-stats-window: 60"),
        ])
    },
    build: |params, _| {
        let params: Params = typed(params)?;
        params.check()?;
        Ok(Box::new(Session(SessionRing::new(&params))))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    virtual_nodes: u32,
    window_s: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { virtual_nodes: 160, window_s: 60.0 }
    }
}

impl Params {
    fn check(&self) -> Result<(), ParamError> {
        require(self.virtual_nodes >= 1, "virtual_nodes", "at least 1")?;
        require(SimTime::from_secs_f64(self.window_s).is_some(), "window_s", "a span of time")
    }
}

/// Where sessions go, and requests without one.
pub(super) struct SessionRing {
    owners: Choices,
    rates: SendRates,
}

impl SessionRing {
    fn new(params: &Params) -> Self {
        Self::with(params.virtual_nodes, SimTime::from_secs_f64(params.window_s).expect("checked when built"))
    }

    /// A ring with so many points for each instance, and rates over this window.
    pub(super) fn with(virtual_nodes: u32, window: SimTime) -> Self {
        Self { owners: Choices::new(Placement::Ring, 1, virtual_nodes, 0), rates: SendRates::new(window) }
    }

    pub(super) fn choose(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>) -> InstanceId {
        match arrival.session {
            Some(session) => self.owners.of(u64::from(session.0), view.members()).as_slice()[0],
            None => self.rates.lowest(view.now(), view.members()),
        }
    }

    /// A request went there.
    pub(super) fn record(&mut self, now: SimTime, to: InstanceId) {
        self.rates.record(now, to);
    }

    pub(super) fn hear(&mut self, hook: &Hook) {
        if matches!(hook, Hook::Joined { .. } | Hook::Left { .. }) {
            self.owners.members_changed();
        }
    }
}

struct Session(SessionRing);

impl Scheduler for Session {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        actions.reason(if arrival.session.is_some() { "session" } else { "lowest rate" });
        let chosen = self.0.choose(arrival, view);
        self.0.record(view.now(), chosen);
        Decision::Route(chosen)
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        self.0.hear(hook);
    }
}
