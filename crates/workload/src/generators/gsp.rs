//! Generated shared prefixes, as KVRouting and SGLang benchmark with.
//!
//! Source: fzwark/KVRouting, `gsp.sh`: 128 groups of 32 prompts, half of each prompt shared, 4 output tokens, 12 requests
//! per second. All groups are equally popular. The workload ends after groups times prompts.

use serde::{Deserialize, Serialize};
use trimtab_core::{StreamRng, uniform01};

use super::grouped::{Choice, Grouped};
use super::{Built, WorkloadDef, docs, require, require_arrivals, typed};
use crate::arrivals::ArrivalSpec;
use crate::law::{Law, whole};

pub(crate) static DEF: WorkloadDef = WorkloadDef {
    name: "gsp",
    summary: "generated shared prefixes: equal groups of prompts, in three orders",
    citation: "KVRouting (fzwark/KVRouting, gsp.sh); SGLang generated-shared-prefix",
    params: || {
        docs::<Params>(&[
            ("rate", "requests per second"),
            ("arrivals", "how requests arrive"),
            ("groups", "how many prefixes"),
            ("prompts", "prompts of each group"),
            ("total_tokens", "length of a prompt"),
            ("shared", "share of it that the group has in common"),
            ("output_tokens", "output tokens"),
            ("order", "`random`, `grouped` (one group after the other) or `interleaved` (one prompt of each in turn)"),
        ])
    },
    build: |params, setup| {
        let p: Params = typed(params)?;
        let rate = setup.rate.unwrap_or(p.rate);
        require(rate > 0.0 && rate.is_finite(), "rate", "positive")?;
        require_arrivals(&p.arrivals)?;
        require(p.groups > 0 && p.prompts > 0, "groups", "at least 1, like prompts")?;
        require(u64::from(p.groups) * u64::from(p.prompts) < 1 << 31, "prompts", "below 2^31 in all groups together")?;
        require((2..1 << 24).contains(&p.total_tokens), "total_tokens", "2 to 2^24")?;
        require((0.0..1.0).contains(&p.shared), "shared", "a share below 1")?;
        require(p.output_tokens > 0, "output_tokens", "at least 1")?;
        let prefix = whole(f64::from(p.total_tokens) * p.shared).min(p.total_tokens - 1);
        let suffix = Law::Constant(f64::from(p.total_tokens - prefix));
        let output = Law::Constant(f64::from(p.output_tokens));
        let choice = Choice::Listed(p.order.list(p.groups, p.prompts, setup.rng("order")).into_iter());
        let source = Grouped::new((0..p.groups).map(|_| prefix), choice, suffix, output, setup);
        Ok(Built::one(setup.stream(source, &p.arrivals, rate, "requests", "requests")))
    },
};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    rate: f64,
    arrivals: ArrivalSpec,
    groups: u32,
    prompts: u32,
    total_tokens: u32,
    shared: f64,
    output_tokens: u32,
    order: Order,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            rate: 12.0,
            arrivals: ArrivalSpec::default(),
            groups: 128,
            prompts: 32,
            total_tokens: 4096,
            shared: 0.5,
            output_tokens: 4,
            order: Order::Random,
        }
    }
}

/// In which order the prompts come.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Random,
    Grouped,
    Interleaved,
}

impl Order {
    /// The group of each request.
    fn list(self, groups: u32, prompts: u32, mut rng: StreamRng) -> Vec<u32> {
        match self {
            Self::Grouped => (0..groups).flat_map(|group| (0..prompts).map(move |_| group)).collect(),
            Self::Interleaved => (0..prompts).flat_map(|_| 0..groups).collect(),
            Self::Random => {
                let mut list = Self::Grouped.list(groups, prompts, rng.clone());
                // Fisher and Yates.
                for last in (1..list.len()).rev() {
                    let other = whole(uniform01(&mut rng) * (last + 1) as f64) as usize;
                    list.swap(last, other);
                }
                list
            }
        }
    }
}
