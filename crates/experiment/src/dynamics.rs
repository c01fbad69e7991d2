//! How a cluster changes while it serves, as written.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trimtab_core::nearest_name;
use trimtab_core::{InstanceId, SimTime};
use trimtab_engine::{
    Change, Clients as EngineClients, Dynamics as EngineDynamics, Faults, InstanceConfig, Recovery, Scaling,
};
use trimtab_sched::autoscalers::{AUTOSCALERS, AutoscalerDef, ScalerContext, autoscaler_by_name};

use crate::build::{ScenarioError, invalid};
use crate::scenario::{Cluster, Scenario};

/// What starting takes, what becomes of lost requests, and failures at random.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dynamics {
    /// From the moment that an instance is asked for until it serves, with an empty cache.
    pub startup_s: f64,
    /// How often a request whose instance failed is sent anew before it has failed itself.
    pub retries: u32,
    /// How long the router takes to notice that and to send it anew.
    pub retry_delay_s: f64,
    /// Mean time that an instance serves before it fails; never when absent.
    pub mtbf_s: Option<f64>,
    /// Mean time until it starts again.
    pub mttr_s: f64,
}

impl Default for Dynamics {
    fn default() -> Self {
        Self { startup_s: 0.0, retries: 3, retry_delay_s: 0.0, mtbf_s: None, mttr_s: 60.0 }
    }
}

impl Dynamics {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Clients that do not wait for ever.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// How long a client waits from each time that it asks.
    pub patience_s: f64,
    /// Whether it waits for the last token; for the first one otherwise.
    #[serde(default)]
    pub until_end: bool,
    /// How often it asks again, from scratch.
    #[serde(default)]
    pub retries: u32,
    /// How long after the first time; each following pause is twice as long.
    #[serde(default)]
    pub backoff_s: f64,
    /// Whether it asks again after it was turned away, too; out of the same number of times.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retry_rejected: bool,
}

/// Who adds and removes instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Autoscaler {
    /// By name.
    pub kind: String,
    /// Its parameters; the rest have their defaults.
    #[serde(default)]
    pub params: Value,
    /// How often it is asked.
    #[serde(default = "five")]
    pub every_s: f64,
    /// No fewer instances than this.
    #[serde(default = "one")]
    pub min: u32,
    /// No more than this; those beyond the ones at the start are of the first group.
    pub max: u32,
}

fn five() -> f64 {
    5.0
}

fn one() -> u32 {
    1
}

impl Autoscaler {
    pub(crate) fn def(&self) -> Result<&'static AutoscalerDef, ScenarioError> {
        autoscaler_by_name(&self.kind).ok_or_else(|| {
            let near = nearest_name(&self.kind, AUTOSCALERS.iter().map(|def| def.name));
            let near = near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
            invalid(
                "autoscaler.kind",
                format!("unknown autoscaler `{}`{near}; `trimtab list autoscalers` shows all", self.kind),
            )
        })
    }
}

/// The autoscaler of a scenario; `future` are all its arrivals, for one that must know them.
pub(crate) fn scaling(
    scenario: &Scenario,
    first: &InstanceConfig,
    future: Vec<(SimTime, u32)>,
) -> Result<Option<Scaling>, ScenarioError> {
    let Some(spec) = &scenario.autoscaler else { return Ok(None) };
    let def = spec.def()?;
    if spec.min == 0 || spec.min > spec.max || spec.max > 100_000 {
        return Err(invalid("autoscaler.max", "must be at least `min`, which is at least 1, and at most 100000"));
    }
    let context = ScalerContext {
        slo_ttft: scenario.slo.ttft_s.and_then(SimTime::from_secs_f64),
        startup: time("dynamics.startup_s", scenario.dynamics.startup_s)?,
        prefill_tokens_per_s: trimtab_engine::prefill_tokens_per_s(first),
        future: def.foresees.then_some(future),
    };
    let params = spec.params.clone();
    (def.build)(&params, &context).map_err(|error| invalid("autoscaler.params", error.to_string()))?;
    let make = move || (def.build)(&params, &context).expect("it was built before");
    let every = some_time("autoscaler.every_s", spec.every_s)?;
    Ok(Some(Scaling { every, min: spec.min, max: spec.max, make: Arc::new(make) }))
}

/// Something that happens to the cluster: a time and one of the things that can happen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Event {
    /// When.
    pub at_s: f64,
    /// So many instances are started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<u32>,
    /// So many instances leave: they finish what they have started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<u32>,
    /// With `add` and `remove`: of the group of this number, counted from 0 in the order of `cluster.group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// These instances leave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drain: Vec<u32>,
    /// These instances leave and start again, with empty caches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restart: Vec<u32>,
    /// These instances fail; they start again after `for_s`, or never.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fail: Vec<u32>,
    /// A step of these instances takes `factor` times as long, for `for_s`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slow: Vec<u32>,
    /// The router cannot reach these instances, for `for_s`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<u32>,
    /// The router hears nothing of these instances, for `for_s`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<u32>,
    /// These instances lose their cached blocks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flush: Vec<u32>,
    /// How much longer steps take, in thousandths at the finest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// For how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_s: Option<f64>,
    /// Pause between one instance of a list and the next: a rolling restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_s: Option<f64>,
}

fn time(field: &'static str, seconds: f64) -> Result<SimTime, ScenarioError> {
    SimTime::from_secs_f64(seconds).ok_or_else(|| invalid(field, format!("`{seconds}` is not a number of seconds")))
}

fn some_time(field: &'static str, seconds: f64) -> Result<SimTime, ScenarioError> {
    time(field, seconds)
        .and_then(|time| if time > SimTime::ZERO { Ok(time) } else { Err(invalid(field, "must be more than no time")) })
}

impl Event {
    /// The single changes of this event, in order.
    fn changes(&self, instances: u32) -> Result<Vec<(SimTime, Change)>, ScenarioError> {
        let at = time("event.at_s", self.at_s)?;
        let lists = [&self.drain, &self.restart, &self.fail, &self.slow, &self.cut, &self.freeze, &self.flush];
        let counts = usize::from(self.add.is_some()) + usize::from(self.remove.is_some());
        if counts + lists.iter().filter(|list| !list.is_empty()).count() != 1 {
            let detail = "takes exactly one of add, remove, drain, restart, fail, slow, cut, freeze and flush";
            return Err(invalid("event", detail));
        }
        if let Some(count) = self.add {
            return Ok(vec![(at, Change::Add { count, group: self.group })]);
        }
        if let Some(count) = self.remove {
            return Ok(vec![(at, Change::Remove { count, group: self.group })]);
        }
        let span = self.for_s.map(|seconds| some_time("event.for_s", seconds)).transpose()?;
        let wanted = || span.ok_or_else(|| invalid("event.for_s", "says for how long"));
        let factor = || match self.factor {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 10^6")]
            Some(factor) if (0.001..=1000.0).contains(&factor) => Ok(libm::round(factor * 1000.0) as u64),
            _ => Err(invalid("event.factor", "says how much longer steps take, from 0.001 to 1000")),
        };
        let pause = time("event.every_s", self.every_s.unwrap_or(0.0))?;
        let mut when = at;
        let mut changes = Vec::new();
        for &id in lists.iter().copied().flatten() {
            if id >= instances {
                return Err(invalid(
                    "event",
                    format!("there is no instance {id}: they count from 0 to {}", instances - 1),
                ));
            }
            let instance = InstanceId(id);
            let change = match () {
                () if !self.drain.is_empty() => Change::Drain(instance),
                () if !self.restart.is_empty() => Change::Restart(instance),
                () if !self.fail.is_empty() => Change::Fail { instance, repair: span },
                () if !self.slow.is_empty() => Change::Slow { instance, thousandths: factor()?, span: wanted()? },
                () if !self.cut.is_empty() => Change::Cut { instance, span: wanted()? },
                () if !self.freeze.is_empty() => Change::Freeze { instance, span: wanted()? },
                () => Change::Flush(instance),
            };
            changes.push((when, change));
            when += pause;
        }
        Ok(changes)
    }
}

impl Clients {
    pub(crate) fn config(&self) -> Result<EngineClients, ScenarioError> {
        Ok(EngineClients {
            patience: some_time("clients.patience_s", self.patience_s)?,
            until_end: self.until_end,
            retries: self.retries,
            backoff: time("clients.backoff_s", self.backoff_s)?,
            retry_rejected: self.retry_rejected,
        })
    }
}

/// All instances that a scenario can ever have, and how they change.
pub(crate) fn fleet(scenario: &Scenario) -> Result<(Vec<InstanceConfig>, EngineDynamics), ScenarioError> {
    let groups = scenario.cluster.groups()?;
    let (mut instances, mut of_group) = (Vec::new(), Vec::new());
    for (number, group) in (0..).zip(&groups) {
        let one = group.instance()?;
        instances.extend(std::iter::repeat_n(one, group.instances as usize));
        of_group.extend(std::iter::repeat_n(number, group.instances as usize));
    }
    let at_start = instances.len();
    let all = u32::try_from(at_start).expect("a million instances at most");
    let mut events = Vec::new();
    let spares = scenario.event.iter().filter_map(|event| event.add).fold(0, u32::saturating_add);
    if spares > 1_000_000 {
        return Err(invalid("event.add", "more than 1000000 instances"));
    }
    for event in &scenario.event {
        if event.group.is_some_and(|group| group as usize >= groups.len()) {
            return Err(invalid("event.group", format!("there are {} groups", groups.len())));
        }
        events.extend(event.changes(all.saturating_add(spares))?);
    }
    events.sort_by_key(|&(at, _)| at);
    for (group, cluster) in (0..).zip(&groups) {
        // What is added to any group is of the first one.
        let of = |wanted: &Option<u32>| wanted.unwrap_or(0) == group;
        let mut count = spares_for(&events, of);
        if let Some(scaler) = scenario.autoscaler.as_ref().filter(|_| group == 0) {
            count = count.max(scaler.max.saturating_sub(all));
        }
        instances.extend(std::iter::repeat_n(cluster.instance()?, count as usize));
        of_group.extend(std::iter::repeat_n(group, count as usize));
    }
    let spec = scenario.dynamics;
    let scaling = scaling(scenario, &instances[0], Vec::new())?;
    let dynamics = EngineDynamics {
        scaling,
        standby: (at_start..instances.len()).map(InstanceId::from_index).collect(),
        groups: of_group,
        startup: time("dynamics.startup_s", spec.startup_s)?,
        events,
        faults: match spec.mtbf_s {
            Some(mtbf) => Some(Faults {
                mtbf: some_time("dynamics.mtbf_s", mtbf)?,
                mttr: some_time("dynamics.mttr_s", spec.mttr_s)?,
            }),
            None => None,
        },
        recovery: Recovery { retries: spec.retries, delay: time("dynamics.retry_delay_s", spec.retry_delay_s)? },
    };
    Ok((instances, dynamics))
}

/// How many more instances of a group than at the start there can ever be.
fn spares_for(events: &[(SimTime, Change)], of: impl Fn(&Option<u32>) -> bool) -> u32 {
    let (mut more, mut most) = (0_i64, 0_i64);
    for (_, change) in events {
        match change {
            Change::Add { count, group } if of(group) => more += i64::from(*count),
            // One without a group may be of another.
            Change::Remove { count, group: Some(group) } if of(&Some(*group)) => more -= i64::from(*count),
            _ => {}
        }
        most = most.max(more);
    }
    u32::try_from(most).unwrap_or(u32::MAX)
}

/// Instances of one kind, beside others: what is not said is as in `cluster`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// How many.
    pub instances: u32,
    /// Model, by catalogue name or path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Hardware, by catalogue name or path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Tensor-parallel degree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tp: Option<u32>,
    /// KV cache of an instance in tokens; derived from the group's model and hardware when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_tokens: Option<u64>,
    /// Token budget of a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batched_tokens: Option<u32>,
    /// Sequence limit of a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seqs: Option<u32>,
    /// How long a step takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<crate::scenario::Cost>,
}

impl Cluster {
    /// Clusters of equal instances that make up this one.
    pub(crate) fn groups(&self) -> Result<Vec<Self>, ScenarioError> {
        if self.group.is_empty() {
            return Ok(vec![self.clone()]);
        }
        let of = |group: &Group| {
            if group.instances == 0 {
                return Err(invalid("cluster.group.instances", "must be at least 1"));
            }
            let or = |own: &Option<String>, usual: &String| own.as_ref().unwrap_or(usual).clone();
            Ok(Self {
                instances: group.instances,
                model: or(&group.model, &self.model),
                hardware: or(&group.hardware, &self.hardware),
                tp: group.tp.unwrap_or(self.tp),
                kv_tokens: group.kv_tokens,
                max_batched_tokens: group.max_batched_tokens.unwrap_or(self.max_batched_tokens),
                max_seqs: group.max_seqs.unwrap_or(self.max_seqs),
                cost: group.cost.as_ref().unwrap_or(&self.cost).clone(),
                group: Vec::new(),
                ..self.clone()
            })
        };
        self.group.iter().map(of).collect()
    }

    /// How many instances there are at the start.
    pub fn instances_at_start(&self) -> u32 {
        if self.group.is_empty() { self.instances } else { self.group.iter().map(|group| group.instances).sum() }
    }
}
