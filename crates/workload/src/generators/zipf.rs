//! Groups that share a prefix, with Zipf popularity.
//!
//! Rank r has probability proportional to r^-exponent over a bounded number of groups: exponent 0 is uniform, 2 gives the
//! first group more than half of the traffic.

use serde::{Deserialize, Serialize};

use super::grouped::{Choice, Grouped};
use super::{Built, WorkloadDef, docs, require, require_arrivals, require_law, require_rate, typed};
use crate::arrivals::ArrivalSpec;
use crate::law::{Law, Ranks};

pub(crate) static DEF: WorkloadDef = WorkloadDef {
    name: "zipf",
    summary: "groups that share a prefix, with Zipf popularity",
    citation: "bounded Zipf law, P(rank) ~ rank^-exponent",
    params: || {
        docs::<Params>(&[
            ("rate", "requests per second"),
            ("arrivals", "how requests arrive"),
            ("groups", "how many prefixes"),
            ("exponent", "of the popularity, 0 to 2"),
            ("prefix_tokens", "length of each prefix"),
            ("suffix", "tokens after the prefix"),
            ("output", "output tokens"),
        ])
    },
    build: |params, setup| {
        let p: Params = typed(params)?;
        let rate = setup.rate.unwrap_or(p.rate);
        require_rate(rate)?;
        require_arrivals(&p.arrivals)?;
        require((1..=10_000_000).contains(&p.groups), "groups", "1 to 10 000 000")?;
        require((0.0..=2.0).contains(&p.exponent), "exponent", "0 to 2")?;
        require(p.prefix_tokens < 1 << 24, "prefix_tokens", "below 2^24")?;
        require_law(&p.suffix, "suffix")?;
        require_law(&p.output, "output")?;
        let lengths = (0..p.groups).map(|_| p.prefix_tokens);
        let choice = Choice::Ranks(Ranks::zipf(p.groups, p.exponent));
        let source = Grouped::new(lengths, choice, p.suffix, p.output, setup);
        Ok(Built::one(setup.stream(source, &p.arrivals, rate, "requests", "requests")))
    },
};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    rate: f64,
    arrivals: ArrivalSpec,
    groups: u32,
    exponent: f64,
    prefix_tokens: u32,
    suffix: Law,
    output: Law,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            rate: 10.0,
            arrivals: ArrivalSpec::default(),
            groups: 64,
            exponent: 1.0,
            prefix_tokens: 4096,
            suffix: Law::Lognormal(256.0, 0.6),
            output: Law::Lognormal(128.0, 0.6),
        }
    }
}
