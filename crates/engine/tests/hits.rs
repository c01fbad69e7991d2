//! Hit ratios of the Mooncake conversation trace, against values that others computed from the trace alone: no timing
//! takes part where requests do not overlap. `-- --nocapture` prints the ratios.
#![expect(clippy::print_stdout, reason = "the figures of docs/validation.md")]

mod replay;

use replay::{BLOCK, Timing, instance, replay, trace};
use trimtab_core::{PS_PER_S, SimTime};
use trimtab_engine::cost::Linear;
use trimtab_engine::{CacheConfig, Generated, InstanceConfig, Row, RunResult, Visible};

const TRACE: &str = "mooncake_conversation.jsonl";

/// The four definitions: hit blocks over all blocks, hit tokens over all tokens, hit blocks over full
/// blocks, and the mean over requests of the hit share of their tokens.
#[derive(Debug)]
struct Ratios {
    blocks: f64,
    tokens: f64,
    full_blocks: f64,
    per_request: f64,
}

impl Ratios {
    fn of(result: &RunResult) -> Self {
        let sum = |one: fn(&Row) -> f64| result.rows.iter().map(one).sum::<f64>();
        let hit_blocks = sum(|row| f64::from(row.hit_blocks));
        let share = |row: &Row| f64::from(row.hit_tokens) / f64::from(row.prompt_tokens);
        Self {
            blocks: hit_blocks / sum(|row| f64::from(row.prompt_tokens.div_ceil(BLOCK))),
            tokens: sum(|row| f64::from(row.hit_tokens)) / sum(|row| f64::from(row.prompt_tokens)),
            full_blocks: hit_blocks / sum(|row| f64::from(row.prompt_tokens / BLOCK)),
            per_request: sum(share) / result.rows.len() as f64,
        }
    }
}

/// Requests one after the other: each has 200 s for itself, more than any needs here.
fn alone(kv_blocks: u64, partial_tail: bool) -> Option<Ratios> {
    let mut trace = trace(TRACE)?;
    for (at, request) in (0..).zip(&mut trace.requests) {
        request.arrival = SimTime(at * 200 * PS_PER_S);
    }
    let cache = CacheConfig { partial_tail, generated: Generated::Free, ..CacheConfig::default() };
    let result = replay(trace, InstanceConfig { cache, ..instance(Timing::Fixed, kv_blocks) }, 1);
    for pair in result.rows.windows(2) {
        assert!(pair[0].finish <= pair[1].arrival, "requests do not overlap");
    }
    Some(Ratios::of(&result))
}

fn near(name: &str, value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{name}: {value} for {expected} +- {tolerance}");
}

#[test]
fn one_cache_that_never_evicts() {
    for (partial_tail, expected) in [(false, [0.366, 0.373, 0.382, 0.408]), (true, [0.366, 0.374, 0.382, 0.409])] {
        let Some(ratios) = alone(1 << 20, partial_tail) else { return };
        println!("one infinite cache, partial_tail {partial_tail}: {ratios:?}");
        let values = [ratios.blocks, ratios.tokens, ratios.full_blocks, ratios.per_request];
        for ((name, value), expected) in
            ["blocks", "tokens", "full blocks", "per request"].iter().zip(values).zip(expected)
        {
            near(name, value, expected, 0.000_5);
        }
    }
}

#[test]
fn three_million_tokens_least_recently_used() {
    for (partial_tail, expected) in [(false, 0.144), (true, 0.139)] {
        let Some(ratios) = alone(3_000_000 / u64::from(BLOCK), partial_tail) else { return };
        println!("3,000,000 tokens, partial_tail {partial_tail}: {ratios:?}");
        near("tokens", ratios.tokens, expected, 0.004);
    }
}

#[test]
fn round_robin_over_eight() {
    let fixed = || instance(Timing::Fixed, 2_048);
    let with = |visible, generated| CacheConfig { visible, generated, ..CacheConfig::default() };
    // 5 ms a step and 60 us a prompt token: slower than the fixed times, so that more requests overlap.
    let linear =
        Linear { step: 5 * PS_PER_S / 1_000, per_prefill_token: 60 * PS_PER_S / 1_000_000, ..Linear::default() };
    for (name, instance) in [
        ("fixed, as the peer", fixed()),
        ("polynomial, as the peer", instance(Timing::Polynomial, 2_048)),
        ("fixed", InstanceConfig { cache: with(Visible::Computed, Generated::Free), ..fixed() }),
        ("linear", InstanceConfig { cost: std::sync::Arc::new(linear), cache: CacheConfig::default(), ..fixed() }),
    ] {
        let Some(trace) = trace(TRACE) else { return };
        let ratios = Ratios::of(&replay(trace, instance, 8));
        println!("round robin, {name}: {ratios:?}");
        near(name, ratios.tokens, 0.082_5, 0.001_5);
    }
}
