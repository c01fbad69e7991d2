//! A trace on round-robin instances, as the comparisons with dynamo-mocker run it.

use std::path::PathBuf;
use std::sync::Arc;

use trimtab_core::{FixedWorkload, PrefixForest, Request};
use trimtab_engine::cost::{Fixed, Polynomial, StepCost};
use trimtab_engine::{
    CacheConfig, ClusterConfig, EvictionConfig, Generated, InstanceConfig, Mixing, Order, RunResult, Visible,
    build_context, run,
};
use trimtab_workload::{ReadOptions, Trace, read_file};

/// Tokens of a block, of the trace and of the engine.
pub(crate) const BLOCK: u32 = 512;

/// dynamo-mocker's published timing models.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timing {
    Fixed,
    Polynomial,
}

/// One instance with dynamo-mocker's rules: blocks can be hit once scheduled, generated blocks stay until evicted, no
/// watermark.
pub(crate) fn instance(timing: Timing, kv_blocks: u64) -> InstanceConfig {
    let cost: Arc<dyn StepCost> = match timing {
        Timing::Fixed => Arc::new(Fixed::default()),
        Timing::Polynomial => Arc::new(Polynomial { kv_tokens: kv_blocks * u64::from(BLOCK) }),
    };
    InstanceConfig {
        cost,
        kv_blocks,
        block_tokens: BLOCK,
        max_batched_tokens: 8192,
        max_seqs: 256,
        mixing: Mixing::DecodeFirst,
        order: Order::Fcfs,
        watermark_blocks: 0,
        cache: CacheConfig { visible: Visible::Scheduled, generated: Generated::Keep, ..CacheConfig::default() },
        eviction: EvictionConfig::default(),
    }
}

/// A real trace of the folder that `TRIMTAB_TRACES` names; `None`, loudly, without it.
#[expect(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
pub(crate) fn trace(name: &str) -> Option<Trace> {
    let Some(folder) = std::env::var_os("TRIMTAB_TRACES") else {
        eprintln!("SKIPPED: set TRIMTAB_TRACES to a folder with {name} to run this test");
        return None;
    };
    Some(read_file(PathBuf::from(folder).join(name), &ReadOptions::default()).expect("the public trace is clean"))
}

/// The trace on so many equal instances.
pub(crate) fn replay(trace: Trace, instance: InstanceConfig, count: usize) -> RunResult {
    round_robin(trace.forest, trace.requests, instance, count)
}

/// The requests on so many equal instances.
pub(crate) fn round_robin(
    forest: PrefixForest,
    requests: Vec<Request>,
    instance: InstanceConfig,
    count: usize,
) -> RunResult {
    let config = ClusterConfig { seed: 1, ..ClusterConfig::new(vec![instance; count]) };
    let registry = trimtab_sched::Registry::default();
    let def = registry.get("round-robin").expect("round robin is built in");
    let scheduler = (def.build)(&serde_json::Value::Null, &build_context(&config)).expect("it has no parameters");
    run(&config, def, scheduler, &mut FixedWorkload::new(forest, requests))
}
