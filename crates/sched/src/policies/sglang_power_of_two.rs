//! SGLang's power of two choices: two random workers, compared by the token loads that a monitor polls.

use serde::{Deserialize, Serialize};
use trimtab_core::{InstanceId, SimTime};

use crate::parts::Ties;
use crate::{
    Actions, Arrival, BuildContext, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals, Snapshot,
    params_doc, typed,
};

/// SGLang's power-of-two policy in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "sglang-power-of-two",
    summary: "the less loaded of two random workers, by polled token loads, or by requests in flight where one is missing",
    citation: "SGLang model gateway, `power_of_two`: sgl-model-gateway/src/policies/power_of_two.rs (065f331), read 2026-11",
    deviations: &[
        "the polled load of a worker, its KV tokens in use and its waiting prompt tokens, is the KV blocks that requests \
         hold and the prompt tokens still to be computed",
        "a poll happens at the first decision after its time",
    ],
    signals: Signals { snapshots: true, ..Signals::NONE },
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("loads", "`polled` token loads, as shipped, or `requests` in flight, as when the monitor fails"),
            ("poll_s", "seconds between two polls of the loads (worker_startup_check_interval, CLI: 30); 0: what was reported last"),
        ])
    },
    build,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    loads: Loads,
    poll_s: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { loads: Loads::Polled, poll_s: 30.0 }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Loads {
    Polled,
    Requests,
}

fn build(params: &serde_json::Value, context: &BuildContext) -> Result<Box<dyn Scheduler>, ParamError> {
    let params: Params = typed(params)?;
    let period = SimTime::from_secs_f64(params.poll_s)
        .ok_or_else(|| ParamError("parameter `poll_s` must be a span of time".into()))?;
    let block_tokens = context.instances.iter().map(|info| info.block_tokens).collect();
    let ties = Ties::new(&context.streams);
    Ok(Box::new(PowerOfTwo { loads: params.loads, polled: PolledLoads::new(period, block_tokens), ties }))
}

struct PowerOfTwo {
    loads: Loads,
    polled: PolledLoads,
    ties: Ties,
}

impl Scheduler for PowerOfTwo {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let members = view.members();
        if members.len() == 1 {
            return Decision::Route(members[0]);
        }
        let first = self.ties.below(members.len());
        let second = (first + 1 + self.ties.below(members.len() - 1)) % members.len();
        let pair = [members[first], members[second]];
        if self.loads == Loads::Polled {
            self.polled.refresh(view);
        }
        let tokens = pair.map(|i| self.polled.of(i).filter(|_| self.loads == Loads::Polled));
        // Units are never mixed.
        let loads = match tokens {
            [Some(a), Some(b)] => [a, b],
            _ => pair.map(|i| u64::from(view.counters().in_flight[i.index()])),
        };
        actions.score(pair[0], loads[0] as f64);
        actions.score(pair[1], loads[1] as f64);
        Decision::Route(if loads[0] <= loads[1] { pair[0] } else { pair[1] })
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if let Hook::Left { instance } = *hook {
            self.polled.forget(instance);
        }
    }
}

/// Token loads as a monitor polled them last.
pub(super) struct PolledLoads {
    period: SimTime,
    next: SimTime,
    block_tokens: Vec<u32>,
    loads: Vec<Option<u64>>,
}

impl PolledLoads {
    /// Polled at the start and then once in each period; a period of zero polls at every decision.
    pub(super) fn new(period: SimTime, block_tokens: Vec<u32>) -> Self {
        Self { period, next: SimTime::ZERO, block_tokens, loads: Vec::new() }
    }

    /// Polls if it is time; whether it did.
    pub(super) fn refresh(&mut self, view: &ClusterView<'_>) -> bool {
        if view.now() < self.next {
            return false;
        }
        self.next = match (view.now().0 - self.next.0).checked_div(self.period.0) {
            Some(missed) => SimTime(self.next.0.saturating_add((missed + 1).saturating_mul(self.period.0))),
            None => view.now(),
        };
        for &i in view.members() {
            if self.loads.len() <= i.index() {
                self.loads.resize(i.index() + 1, None);
            }
            let block = self.block_tokens.get(i.index()).or(self.block_tokens.first()).copied().unwrap_or(1);
            self.loads[i.index()] = Some(token_load(&view.snapshot(i), block));
        }
        true
    }

    /// The load of a worker; `None` before its first poll.
    pub(super) fn of(&self, instance: InstanceId) -> Option<u64> {
        self.loads.get(instance.index()).copied().flatten()
    }

    pub(super) fn forget(&mut self, instance: InstanceId) {
        if let Some(load) = self.loads.get_mut(instance.index()) {
            *load = None;
        }
    }
}

fn token_load(snapshot: &Snapshot, block_tokens: u32) -> u64 {
    snapshot.used_blocks * u64::from(block_tokens) + snapshot.pending_prefill_tokens
}
