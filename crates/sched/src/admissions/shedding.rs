//! llm-d's shedding: requests of low priority are turned away while the pool is saturated, or ever more likely on the way
//! there.

use rand::RngExt;
use serde::{Deserialize, Serialize};
use trimtab_core::StreamRng;

use super::{Admission, AdmissionDef, Verdict, span};
use crate::parts::{Detector, Limits, shed_probability};
use crate::{Arrival, ClusterView, Signals, params_doc, require, typed};

/// Shedding in the list.
pub(super) const DEF: AdmissionDef = AdmissionDef {
    name: "shedding",
    summary: "turns requests of low priority away while the pool is saturated, or with a probability that grows with saturation",
    citation: "llm-d scheduler, probabilistic admitter and saturation detectors at 520af47 (2026-05-17)",
    deviations: &[],
    signals: Signals { snapshots: true, ..Signals::NONE },
    params: || {
        params_doc::<Params>(&[
            ("below", "requests of a priority below this can be turned away; llm-d: 0"),
            ("rule", "`probabilistic`: with min(1, 300 x saturation^5), certain from 0.32; `saturated`: from saturation 1 on"),
            ("detector", "of saturation: `utilization`, `concurrency-requests` or `concurrency-tokens`, with llm-d's limits"),
            ("stale_ms", "an instance whose last report is older counts as saturated; llm-d: 200"),
        ])
    },
    build: |params, context| {
        let params: Params = typed(params)?;
        require(params.stale_ms >= 0.0, "stale_ms", "not negative")?;
        let limits = Limits::llm_d(span("stale_ms", params.stale_ms / 1000.0)?);
        Ok(Box::new(Shedding { params, limits, rng: context.streams.stream("admission/shedding") }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    below: i16,
    rule: Rule,
    detector: Detector,
    stale_ms: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { below: 0, rule: Rule::Probabilistic, detector: Detector::Utilization, stale_ms: 200.0 }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Rule {
    Probabilistic,
    Saturated,
}

struct Shedding {
    params: Params,
    limits: Limits,
    rng: StreamRng,
}

impl Admission for Shedding {
    fn ask(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>) -> Verdict {
        if arrival.priority >= self.params.below {
            return Verdict::Admit;
        }
        let saturation = self.params.detector.saturation(view, &self.limits);
        let sheds = match self.params.rule {
            Rule::Saturated => saturation >= 1.0,
            Rule::Probabilistic => self.rng.random::<f64>() < shed_probability(saturation),
        };
        if sheds { Verdict::Reject } else { Verdict::Admit }
    }
}
