//! Generated shared prefixes, as KVRouting and SGLang benchmark with.
//!
//! Source: fzwark/KVRouting, `gsp.sh`: 128 groups of 32 prompts, half of each prompt shared, 4 output tokens, 12 requests
//! per second; its groups' prompts are 512, 1,024, 2,048, 4,096 and 8,192 tokens long in turn, here 4,096 unless said. All
//! groups are equally popular. The workload ends after groups times prompts.

use serde::{Deserialize, Serialize};
use trimtab_core::{StreamRng, uniform01};

use super::grouped::{Choice, Grouped};
use super::{Built, WorkloadDef, docs, require, require_arrivals, require_rate, typed};
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
            ("total_tokens", "length of a prompt; of several lengths, each group has the next one in turn"),
            ("shared", "share of it that the group has in common"),
            ("output_tokens", "output tokens"),
            ("order", "`random`, `grouped` (one group after the other) or `interleaved` (one prompt of each in turn)"),
        ])
    },
    build: |params, setup| {
        let p: Params = typed(params)?;
        let rate = setup.rate.unwrap_or(p.rate);
        require_rate(rate)?;
        require_arrivals(&p.arrivals)?;
        require(p.groups > 0 && p.prompts > 0, "groups", "at least 1, like prompts")?;
        require(u64::from(p.groups) * u64::from(p.prompts) < 1 << 31, "prompts", "below 2^31 in all groups together")?;
        let lengths = p.total_tokens.list();
        let sound = !lengths.is_empty() && lengths.iter().all(|tokens| (2..1 << 24).contains(tokens));
        require(sound, "total_tokens", "2 to 2^24")?;
        require((0.0..1.0).contains(&p.shared), "shared", "a share below 1")?;
        require(p.output_tokens > 0, "output_tokens", "at least 1")?;
        let prefix = |total: u32| whole(f64::from(total) * p.shared).min(total - 1);
        let totals = || lengths.iter().copied().cycle().take(p.groups as usize);
        let suffix = Law::Constant(1.0);
        let output = Law::Constant(f64::from(p.output_tokens));
        let choice = Choice::Listed(p.order.list(p.groups, p.prompts, setup.rng("order")).into_iter());
        let source = Grouped::new(totals().map(prefix), choice, suffix, output, setup)
            .with_suffixes(totals().map(|total| total - prefix(total)));
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
    total_tokens: Lengths,
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
            total_tokens: Lengths::One(4096),
            shared: 0.5,
            output_tokens: 4,
            order: Order::Random,
        }
    }
}

/// The length of all prompts, or of one group after the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Lengths {
    One(u32),
    Cycle(Vec<u32>),
}

impl Lengths {
    fn list(&self) -> &[u32] {
        match self {
            Self::One(tokens) => std::slice::from_ref(tokens),
            Self::Cycle(list) => list,
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
