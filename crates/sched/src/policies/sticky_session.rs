//! Sticky sessions: the first turn goes to the shortest queue, later turns follow it.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use trimtab_core::{InstanceId, SessionId, SimTime};

use crate::parts::{LOADS, Load};
use crate::{
    Actions, Arrival, ClusterView, Decision, ParamError, Scheduler, SchedulerDef, Signals, params_doc, typed,
};

/// Sticky sessions in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "sticky-session",
    summary: "the first turn of a session to the shortest queue, later turns to the same instance",
    citation: "textbook; session affinity of most gateways",
    deviations: &["requests without a session go to the shortest queue"],
    signals: Signals { snapshots: true, ..Signals::NONE },
    hooks: false,
    params: || {
        params_doc::<Params>(&[
            ("load", LOADS),
            ("ttl_s", "seconds without a request after which a session is placed afresh; null: never (textbook)"),
        ])
    },
    build: |params, _| {
        let params: Params = typed(params)?;
        let ttl = params.ttl_s.map(|s| {
            SimTime::from_secs_f64(s).ok_or_else(|| ParamError("parameter `ttl_s` must be a span of time".into()))
        });
        Ok(Box::new(StickySession { load: params.load, ttl: ttl.transpose()?, homes: FxHashMap::default() }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    load: Load,
    ttl_s: Option<f64>,
}

impl Default for Params {
    fn default() -> Self {
        Self { load: Load::InFlight, ttl_s: None }
    }
}

struct StickySession {
    load: Load,
    ttl: Option<SimTime>,
    homes: FxHashMap<SessionId, (InstanceId, SimTime)>,
}

impl Scheduler for StickySession {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let Some(session) = arrival.session else {
            actions.reason("no session");
            return Decision::Route(self.load.least(view));
        };
        let fresh = |last: SimTime| self.ttl.is_none_or(|ttl| view.now().saturating_since(last) <= ttl);
        let home = self.homes.get(&session).filter(|(home, last)| view.is_member(*home) && fresh(*last));
        let chosen = home.map_or_else(|| self.load.least(view), |&(home, _)| home);
        self.homes.insert(session, (chosen, view.now()));
        Decision::Route(chosen)
    }

    fn learn(&mut self, arrival: &Arrival<'_>, to: InstanceId, now: SimTime) {
        if let Some(session) = arrival.session {
            self.homes.insert(session, (to, now));
        }
    }
}
