//! Consistent hashing with bounded loads: walk the ring from the key's owner to the first instance that is not too busy.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::parts::{Ring, hash64};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, Scheduler, SchedulerDef, Signals, params_doc, preset,
    require, typed,
};

/// Consistent hashing with bounded loads in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "chwbl",
    summary: "the first instance clockwise of the prompt head's hash that is not loaded above the mean times a factor",
    citation: "Mirrokni, Thorup and Zadimoghaddam, SODA 2018; defaults of KubeAI (2f32ef4)",
    deviations: &[
        "the key is the first 25 tokens instead of the first 100 characters (4 characters a token)",
        "a fixed 64-bit hash instead of xxHash64: other positions on the ring, the same distribution",
        "one model: no instance is skipped for a missing adapter",
    ],
    signals: Signals::NONE,
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("preset", "whose defaults hold for what is left out: `kubeai` (2f32ef4) or `sglang` (factor 1.5, the arriving request not counted)"),
            ("prefix_tokens", "how many leading tokens are hashed; KubeAI: 100 characters"),
            ("load_factor", "bound on requests in flight relative to the mean; KubeAI: 1.25, SGLang: 1.5"),
            ("count_this", "whether the mean counts the arriving request, (total + 1)/n: KubeAI does, SGLang does not"),
            ("virtual_nodes", "ring points of an instance; KubeAI: 256"),
        ])
    },
    build: |params, _| {
        let sets = [("kubeai", json!({})), ("sglang", json!({ "load_factor": 1.5, "count_this": false }))];
        let params: Params = typed(&preset(params, &sets)?)?;
        require(params.virtual_nodes >= 1, "virtual_nodes", "at least 1")?;
        require(params.prefix_tokens >= 1, "prefix_tokens", "at least 1")?;
        require(params.load_factor > 0.0, "load_factor", "positive")?;
        Ok(Box::new(Chwbl { params, ring: None }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    preset: String,
    prefix_tokens: u32,
    load_factor: f64,
    count_this: bool,
    virtual_nodes: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self { preset: "kubeai".into(), prefix_tokens: 25, load_factor: 1.25, count_this: true, virtual_nodes: 256 }
    }
}

struct Chwbl {
    params: Params,
    ring: Option<Ring>,
}

impl Scheduler for Chwbl {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let members = view.members();
        let load = |i: trimtab_core::InstanceId| view.counters().in_flight[i.index()];
        let total: u64 = members.iter().map(|&i| u64::from(load(i))).sum();
        let mean = (total + u64::from(self.params.count_this)) as f64 / members.len() as f64;
        let bound = self.params.load_factor * mean;
        let ring = self.ring.get_or_insert_with(|| Ring::new(members, self.params.virtual_nodes, 0));
        // Prompts without a first token all have the same head: nothing.
        let hash = hash64(1, arrival.prefix_key(self.params.prefix_tokens).unwrap_or(0));
        let owner = ring.owner(hash).expect("a scheduler is asked only while there is a member");
        let fits = |i: trimtab_core::InstanceId| total == 0 || f64::from(load(i)) <= bound;
        actions.reason(if fits(owner) { "owner" } else { "spill" });
        Decision::Route(ring.walk(hash).find(|&i| fits(i)).unwrap_or(owner))
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if matches!(hook, Hook::Joined { .. } | Hook::Left { .. }) {
            self.ring = None;
        }
    }
}
