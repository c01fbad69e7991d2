//! Traffic that is hard for one kind of scheduler or cache.

use serde::{Deserialize, Serialize};

use super::grouped::{Choice, Grouped};
use super::{Built, WorkloadDef, docs, require, require_arrivals, require_law, require_rate, typed};
use crate::arrivals::ArrivalSpec;
use crate::law::Law;

pub(crate) static DEF: WorkloadDef = WorkloadDef {
    name: "adversarial",
    summary: "a hot prefix, a hot prefix that moves, or a cycle just larger than the cache",
    citation: "stress cases chosen here",
    params: || {
        docs::<Params>(&[
            ("rate", "requests per second"),
            ("arrivals", "how requests arrive"),
            ("kind", "`hot` (against cache affinity), `moving` (against learned placement) or `cyclic` (against LRU)"),
            ("prefixes", "how many; for `cyclic`, prefixes times prefix_tokens should just exceed the cache"),
            ("prefix_tokens", "length of each"),
            ("share", "share of requests that the hot one gets"),
            ("move_after", "requests after which the next prefix becomes hot"),
            ("suffix", "tokens after the prefix"),
            ("output", "output tokens"),
        ])
    },
    build: |params, setup| {
        let p: Params = typed(params)?;
        let rate = setup.rate.unwrap_or(p.rate);
        require_rate(rate)?;
        require_arrivals(&p.arrivals)?;
        require((1..=10_000_000).contains(&p.prefixes), "prefixes", "1 to 10 000 000")?;
        require((1..1 << 24).contains(&p.prefix_tokens), "prefix_tokens", "1 to 2^24")?;
        require((0.0..=1.0).contains(&p.share), "share", "a share")?;
        require(p.move_after > 0, "move_after", "at least 1")?;
        require_law(&p.suffix, "suffix")?;
        require_law(&p.output, "output")?;
        let choice = match p.kind {
            Kind::Hot => Choice::Hot { share: p.share, moves_after: None, drawn: 0 },
            Kind::Moving => Choice::Hot { share: p.share, moves_after: Some(p.move_after), drawn: 0 },
            Kind::Cyclic => Choice::Cycle(0),
        };
        let lengths = (0..p.prefixes).map(|_| p.prefix_tokens);
        let source = Grouped::new(lengths, choice, p.suffix, p.output, setup);
        Ok(Built::one(setup.stream(source, &p.arrivals, rate, "requests", "requests")))
    },
};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    rate: f64,
    arrivals: ArrivalSpec,
    kind: Kind,
    prefixes: u32,
    prefix_tokens: u32,
    share: f64,
    move_after: u64,
    suffix: Law,
    output: Law,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Hot,
    Moving,
    Cyclic,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            rate: 10.0,
            arrivals: ArrivalSpec::default(),
            kind: Kind::Hot,
            prefixes: 64,
            prefix_tokens: 4096,
            share: 0.5,
            move_after: 500,
            suffix: Law::Lognormal(256.0, 0.6),
            output: Law::Lognormal(128.0, 0.6),
        }
    }
}
