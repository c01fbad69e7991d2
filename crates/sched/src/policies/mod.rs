//! Every built-in scheduler, one file each.

use crate::SchedulerDef;

macro_rules! schedulers {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*

        /// The built-in schedulers, in the order in which they are listed and coloured.
        pub static ALL: &[SchedulerDef] = &[$($module::DEF),*];
    };
}

schedulers! {
    round_robin,
    random,
    power_of_d,
    join_shortest_queue,
    least_loaded,
    sticky_session,
    consistent_hash,
    chwbl,
    prefix_hash,
    cache_affinity,
    dualmap,
    preble,
    min_ttft,
    mooncake,
    sglang_cache_aware,
    sglang_power_of_two,
    sglang_prefix_hash,
    sglang_bounded_hash,
    sglang_bucket,
    sglang_least_load,
    dynamo_kv,
    oracle_min_ttft,
    llm_d,
    aibrix_prefix_cache,
    aibrix_preble,
    aibrix_least_request,
    aibrix_least_kv_cache,
    aibrix_least_latency,
    aibrix_throughput,
    aibrix_vtc_basic,
    production_stack_session,
    production_stack_prefixaware,
    production_stack_kvaware,
    ray_prefix_affinity,
    vllm_data_parallel,
    xllm_cache_aware,
    lmetric,
    approx_radix,
    lbgr,
}
