//! Three workloads of the Preble paper: tools, long documents, videos.
//!
//! Means of prompt, output and shared part as its Table 1 gives them. `ToolBench` draws tools as its source does, with
//! numpy's unbounded zeta law, redrawn beyond the last tool; documents and videos are drawn evenly. Prefixes differ in
//! length by half of the mean either way, in equal steps, so that the mean does not depend on the seed. The spread of
//! questions and outputs is a choice made here.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grouped::{Choice, Grouped};
use super::{Built, ParamDoc, ParamError, Setup, WorkloadDef, docs_of, require_rate};
use super::{require, require_arrivals, require_law, typed_over};
use crate::arrivals::ArrivalSpec;
use crate::law::{Law, Ranks, whole};

const CITATION: &str = "Srivatsa et al., Preble, 2024, Table 1 and its load generators";

pub(crate) static TOOLBENCH: WorkloadDef = WorkloadDef {
    name: "toolbench",
    summary: "tool use after Preble: one long prefix per tool, zeta popularity",
    citation: CITATION,
    params: || documented(&Params::toolbench()),
    build: |params, setup| build(Params::toolbench(), params, setup),
};

pub(crate) static LOOGLE: WorkloadDef = WorkloadDef {
    name: "loogle",
    summary: "questions about long documents, after Preble",
    citation: CITATION,
    params: || documented(&Params::loogle()),
    build: |params, setup| build(Params::loogle(), params, setup),
};

pub(crate) static VIDEOQA: WorkloadDef = WorkloadDef {
    name: "videoqa",
    summary: "questions about videos, after Preble",
    citation: CITATION,
    params: || documented(&Params::videoqa()),
    build: |params, setup| build(Params::videoqa(), params, setup),
};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    rate: f64,
    arrivals: ArrivalSpec,
    prefixes: u32,
    prefix_tokens: u32,
    prefix_spread: f64,
    zeta: Option<f64>,
    question: Law,
    output: Law,
}

impl Params {
    /// 320 tools, a = 1.07; 1 835 / 43 tokens, 85 % shared.
    fn toolbench() -> Self {
        Self {
            rate: 6.0,
            arrivals: ArrivalSpec::default(),
            prefixes: 320,
            prefix_tokens: 1560,
            prefix_spread: 0.0,
            zeta: Some(1.07),
            question: Law::Lognormal(234.0, 0.57),
            output: Law::Lognormal(37.2, 0.55),
        }
    }

    /// 24 documents; 23 474 / 16 tokens, 91 % shared.
    fn loogle() -> Self {
        Self {
            rate: 0.7,
            arrivals: ArrivalSpec::default(),
            prefixes: 24,
            prefix_tokens: 21_361,
            prefix_spread: 0.5,
            zeta: None,
            question: Law::Uniform(1057.0, 3170.0),
            output: Law::Uniform(1.0, 32.0),
        }
    }

    /// 150 videos; 9 865 / 4 tokens, 88 % shared.
    fn videoqa() -> Self {
        Self {
            rate: 3.0,
            arrivals: ArrivalSpec::default(),
            prefixes: 150,
            prefix_tokens: 8681,
            prefix_spread: 0.5,
            zeta: None,
            question: Law::Uniform(592.0, 1777.0),
            output: Law::Uniform(1.0, 8.0),
        }
    }
}

fn documented(defaults: &Params) -> Vec<ParamDoc> {
    docs_of(
        defaults,
        &[
            ("rate", "requests per second"),
            ("arrivals", "how requests arrive"),
            ("prefixes", "how many tools, documents or videos"),
            ("prefix_tokens", "their mean length"),
            ("prefix_spread", "how far lengths lie from the mean at most, relative to it"),
            ("zeta", "exponent of the zeta law of popularity, above 1; even when null"),
            ("question", "tokens after the prefix"),
            ("output", "output tokens"),
        ],
    )
}

fn build(defaults: Params, params: &Value, setup: &mut Setup) -> Result<Built, ParamError> {
    let p = typed_over(defaults, params)?;
    let rate = setup.rate.unwrap_or(p.rate);
    require_rate(rate)?;
    require_arrivals(&p.arrivals)?;
    require((1..=1_000_000).contains(&p.prefixes), "prefixes", "1 to 1 000 000")?;
    require((1..1 << 23).contains(&p.prefix_tokens), "prefix_tokens", "1 to 2^23")?;
    require((0.0..1.0).contains(&p.prefix_spread), "prefix_spread", "a share below 1")?;
    require(p.zeta.is_none_or(|a| a > 1.0 && a < 20.0), "zeta", "above 1 and below 20")?;
    require_law(&p.question, "question")?;
    require_law(&p.output, "output")?;
    let steps = f64::from(p.prefixes.max(2) - 1);
    let lengths = (0..p.prefixes).map(|index| {
        let offset = p.prefix_spread * (2.0 * f64::from(index) / steps - 1.0);
        let offset = if p.prefixes == 1 { 0.0 } else { offset };
        whole(f64::from(p.prefix_tokens) * (1.0 + offset)).max(1)
    });
    let choice = match p.zeta {
        Some(a) => Choice::Zeta(a),
        None => Choice::Ranks(Ranks::zipf(p.prefixes, 0.0)),
    };
    let source = Grouped::new(lengths, choice, p.question, p.output, setup);
    Ok(Built::one(setup.stream(source, &p.arrivals, rate, "requests", "requests")))
}
