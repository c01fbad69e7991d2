//! Least recently released first.

use trimtab_sched::{no_params, typed};

use super::{EvictionDef, Order};

pub(super) const DEF: EvictionDef = EvictionDef {
    name: "lru",
    summary: "least recently released first, of one prompt the tail before the prefix",
    citation: "vLLM v1 (free-block queue); SGLang (leaf LRU)",
    deviations: &[],
    clairvoyant: false,
    params: no_params,
    build: |params, _| typed::<trimtab_sched::NoParams>(params).map(|_| Order::Released),
};
