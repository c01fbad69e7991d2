//! Several workloads at once, by weight.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use trimtab_core::SimTime;

use super::{Built, ParamError, WorkloadDef, docs, generator_by_name, require, require_rate, typed};

pub(crate) static DEF: WorkloadDef = WorkloadDef {
    name: "mixture",
    summary: "several workloads at once, by weight",
    citation: "any of the others",
    params: || {
        docs::<Params>(&[
            ("rate", "requests per second of all parts together"),
            ("parts", "each with `workload`, `weight` (its share of the rate) and `params`"),
        ])
    },
    build: |params, setup| {
        let p: Params = typed(params)?;
        let rate = setup.rate.unwrap_or(p.rate);
        require_rate(rate)?;
        let total: f64 = p.parts.iter().map(|part| part.weight).sum();
        let weights = p.parts.iter().all(|part| part.weight > 0.0) && total > 0.0 && total.is_finite();
        require(weights, "parts", "a list of parts with positive weights")?;
        require(setup.scope.matches('/').count() < MAX_DEPTH, "parts", "mixtures of mixtures only a few levels deep")?;
        let scope = setup.scope.clone();
        let mut streams = Vec::new();
        let mut tick = None::<SimTime>;
        for (index, part) in p.parts.iter().enumerate() {
            let def = generator_by_name(&part.workload)?;
            setup.rate = Some(rate * part.weight / total);
            setup.scope = format!("{scope}{index}/");
            let built = (def.build)(&part.params, setup)
                .map_err(|error| ParamError(format!("part {index} (`{}`): {error}", part.workload)))?;
            streams.extend(built.streams);
            tick = Some(tick.map_or(built.tick, |tick| tick.min(built.tick)));
        }
        setup.scope = scope;
        Ok(Built { streams, tick: tick.unwrap_or_default() })
    },
};

/// Mixtures of mixtures, at most so deep.
const MAX_DEPTH: usize = 8;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    rate: f64,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    workload: String,
    weight: f64,
    #[serde(default)]
    params: Value,
}

impl Default for Params {
    fn default() -> Self {
        let part = |workload: &str| Part { workload: workload.to_owned(), weight: 1.0, params: Value::Null };
        Self { rate: 5.0, parts: vec![part("conversation"), part("agentic")] }
    }
}
