//! Mooncake's early rejection: a request whose first token is predicted to come too late is not worth starting.

use serde::{Deserialize, Serialize};
use trimtab_core::SimTime;

use super::{Admission, AdmissionDef, Verdict, span};
use crate::{Arrival, ClusterView, ParamError, Signals, params_doc, require, typed};

/// Early rejection in the list.
pub(super) const DEF: AdmissionDef = AdmissionDef {
    name: "early-rejection",
    summary: "turns a request away when no instance is predicted to give its first token within the objective",
    citation: "Mooncake, arXiv 2407.00079, section 7 (load of the prefill pool over its TTFT objective)",
    deviations: &[
        "the load of the prefill side alone: there are no decode pools",
        "load is that of the best instance for the request, its cached prefix included; a scheduler may choose another one",
        "what a request has waited at the router counts as well",
        "the threshold is said to be predefined; 1 is a choice",
    ],
    signals: Signals { prefix: true, latency: true, ..Signals::NONE },
    params: || {
        params_doc::<Params>(&[
            ("threshold", "turned away above this many times the objective; 1 is a choice"),
            ("ttft_slo_s", "the objective in seconds; null: that of the spec, or else 30 (Mooncake's)"),
            ("max_priority", "only requests of at most this priority are turned away; null: all"),
        ])
    },
    build: |params, context| {
        let params: Params = typed(params)?;
        require(params.threshold > 0.0 && params.threshold <= 1e6, "threshold", "above 0")?;
        let slo = match (params.ttft_slo_s, context.slo_ttft) {
            (None, Some(slo)) => slo,
            (seconds, _) => span("ttft_slo_s", seconds.unwrap_or(30.0))?,
        };
        let limit = SimTime::from_secs_f64(slo.as_secs_f64() * params.threshold)
            .ok_or_else(|| ParamError("parameter `threshold` makes a limit that is no span of time".into()))?;
        Ok(Box::new(EarlyRejection { limit, spares: params.max_priority, hits: Vec::new() }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    threshold: f64,
    ttft_slo_s: Option<f64>,
    max_priority: Option<i16>,
}

impl Default for Params {
    fn default() -> Self {
        Self { threshold: 1.0, ttft_slo_s: None, max_priority: None }
    }
}

struct EarlyRejection {
    limit: SimTime,
    /// Requests of a higher priority than this are always let in.
    spares: Option<i16>,
    hits: Vec<u32>,
}

impl Admission for EarlyRejection {
    fn ask(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>) -> Verdict {
        if self.spares.is_some_and(|most| arrival.priority > most) {
            return Verdict::Admit;
        }
        view.all_hit_tokens(arrival.id, &mut self.hits);
        let ttft = |&i: &trimtab_core::InstanceId| {
            view.queue_ps(i) + view.prefill_prompt_ps(i, arrival.prompt.tokens, self.hits[i.index()])
        };
        // Without an instance nothing can be predicted.
        let Some(best) = view.members().iter().map(ttft).min() else { return Verdict::Admit };
        let waited = view.now().saturating_since(arrival.arrival);
        if waited.0.saturating_add(best) > self.limit.0 { Verdict::Reject } else { Verdict::Admit }
    }
}
