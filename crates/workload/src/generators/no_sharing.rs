//! Requests that share nothing: the control against which every use of prefixes is measured.

use serde::{Deserialize, Serialize};

use super::grouped::{Choice, Grouped};
use super::{Built, WorkloadDef, docs, require_arrivals, require_law, require_rate, typed};
use crate::arrivals::ArrivalSpec;
use crate::law::Law;

pub(crate) static DEF: WorkloadDef = WorkloadDef {
    name: "no-sharing",
    summary: "requests that share nothing",
    citation: "lengths near those of Azure's conversation trace of 2023",
    params: || {
        docs::<Params>(&[
            ("rate", "requests per second"),
            ("arrivals", "how requests arrive"),
            ("input", "prompt tokens"),
            ("output", "output tokens"),
        ])
    },
    build: |params, setup| {
        let p: Params = typed(params)?;
        let rate = setup.rate.unwrap_or(p.rate);
        require_rate(rate)?;
        require_arrivals(&p.arrivals)?;
        require_law(&p.input, "input")?;
        require_law(&p.output, "output")?;
        let source = Grouped::new(std::iter::once(0), Choice::Cycle(0), p.input, p.output, setup);
        Ok(Built::one(setup.stream(source, &p.arrivals, rate, "requests", "requests")))
    },
};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    rate: f64,
    arrivals: ArrivalSpec,
    input: Law,
    output: Law,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            rate: 5.5,
            arrivals: ArrivalSpec::default(),
            input: Law::Lognormal(900.0, 0.8),
            output: Law::Lognormal(150.0, 0.9),
        }
    }
}
