//! Agreement with dynamo-mocker 1.6.1: its measured figures for the Mooncake conversation trace, and the one rule in
//! which it differs. `benches/dynamo-mocker` repeats the measurements.

mod replay;

use replay::{BLOCK, Timing, instance, replay, round_robin, trace};
use trimtab_core::{PS_PER_MS, PrefixForest, Prompt, Request, SimTime, Summary};
use trimtab_engine::{Row, RunResult};

const INSTANCES: usize = 8;

/// A column of the results.
type Column = fn(&Row) -> u64;

/// What dynamo-mocker said. Times in milliseconds, as mean and 50, 90 and 99 % quantiles.
struct Published {
    timing: Timing,
    kv_blocks: u64,
    ttft: [f64; 4],
    tpot: [f64; 4],
    e2e: [f64; 4],
    reuse: f64,
    passes: u64,
    evicted: u64,
    /// Sums of (line number x value) over all requests, lines from 1: first token and finish in ns since the first
    /// arrival, and hit tokens. They tell whether the requests agree one by one.
    weighted: [u128; 3],
    /// How many ns its floating clock may be off in any one request.
    drift_ns: u128,
}

const FIXED: Published = Published {
    timing: Timing::Fixed,
    kv_blocks: 2_048,
    ttft: [64.165_821_627_462_39, 39.0, 121.0, 331.0],
    tpot: [10.193_037_351_284_355, 10.051_546_391_752_577, 10.253_164_556_962_025, 12.5],
    e2e: [3_519.967_500_623_389_7, 3_601.0, 6_121.0, 11_380.0],
    reuse: 0.082_460_976_253_109_91,
    passes: 2_391_412,
    evicted: 245_092,
    weighted: [175_888_657_466_972_000_000, 176_136_364_136_612_000_000, 71_082_082_304],
    drift_ns: 0,
};

const FIXED_LARGE: Published = Published {
    timing: Timing::Fixed,
    kv_blocks: 100_000,
    ttft: [61.421_743_828_443_19, 39.0, 120.0, 330.0],
    tpot: [10.183_168_944_164_66, 10.050_251_256_281_408, 10.240_120_060_030_016, 12.222_222_222_222_221],
    e2e: [3_515.285_096_833_181, 3_600.0, 6_111.0, 11_380.0],
    reuse: 0.138_956_645_961_340_5,
    passes: 2_392_210,
    evicted: 0,
    weighted: [175_888_431_140_706_000_000, 176_135_973_434_826_000_000, 127_322_219_008],
    drift_ns: 0,
};

const POLYNOMIAL: Published = Published {
    timing: Timing::Polynomial,
    kv_blocks: 2_048,
    ttft: [320.916_361_733_895_7, 183.569_523_999_933_15, 701.810_866_000_014_4, 2_048.455_549_998_558],
    tpot: [8.100_284_916_858_744, 6.815_820_199_992_907, 10.117_281_871_345_725, 22.771_322_086_410_322],
    e2e: [2_913.049_211_610_258_7, 2_621.374_360_004_44, 5_252.486_361_997_435, 10_888.567_819_995_806],
    reuse: 0.082_372_574_691_946_63,
    passes: 2_794_664,
    evicted: 245_115,
    weighted: [175_906_895_545_341_179_602, 176_091_894_030_693_547_775, 70_943_905_792],
    drift_ns: 1,
};

fn check(published: &Published) {
    let Some(trace) = trace("mooncake_conversation.jsonl") else { return };
    let result = replay(trace, instance(published.timing, published.kv_blocks), INSTANCES);
    assert_eq!(result.rows.len(), 12_031);

    let passes: u64 = result.instances.iter().map(|i| i.iterations).sum();
    let evicted: u64 = result.instances.iter().map(|i| i.evicted_blocks).sum();
    assert_eq!((passes, evicted), (published.passes, published.evicted));

    let one_by_one: [(Column, u128); 3] = [
        (|row| row.first_token.0 / 1_000, published.drift_ns),
        (|row| row.finish.0 / 1_000, published.drift_ns),
        (|row| u64::from(row.hit_tokens), 0),
    ];
    for ((value, drift), expected) in one_by_one.into_iter().zip(published.weighted) {
        let (mut sum, mut most) = (0, 0);
        for (line, row) in (1..).zip(&result.rows) {
            sum += line * u128::from(value(row));
            most += line * drift;
        }
        assert!(sum.abs_diff(expected) <= most, "{sum} for {expected}: some requests differ");
    }

    for (name, value, published) in [
        ("TTFT", summary(&result, Row::ttft), published.ttft),
        ("TPOT", summary(&result, Row::tpot), published.tpot),
        ("E2E", summary(&result, Row::e2e), published.e2e),
    ] {
        let ms = |ps: u64| ps as f64 / PS_PER_MS as f64;
        let mean = value.mean / PS_PER_MS as f64;
        assert!((mean - published[0]).abs() < 2e-6, "mean {name}: {mean} for {} ms", published[0]);
        // Not all quantiles are exact: it interpolates between samples, we name a sample.
        for (ours, theirs) in [ms(value.p50), ms(value.p90), ms(value.p99)].into_iter().zip(&published[1..]) {
            assert!((ours / theirs - 1.0).abs() < 0.01, "{name}: {ours} for {theirs} ms");
        }
    }
    let hits: u64 = result.rows.iter().map(|row| u64::from(row.hit_tokens)).sum();
    let prompts: u64 = result.rows.iter().map(|row| u64::from(row.prompt_tokens)).sum();
    let reuse = hits as f64 / prompts as f64;
    assert!((reuse - published.reuse).abs() < 1e-12, "reuse {reuse} for {}", published.reuse);
}

fn summary(result: &RunResult, of: impl Fn(&Row) -> Option<SimTime>) -> Summary {
    Summary::of(&mut result.rows.iter().filter_map(|row| of(row).map(|time| time.0)).collect::<Vec<_>>())
}

#[test]
fn fixed_pass_times() {
    check(&FIXED);
}

#[test]
fn fixed_pass_times_with_a_cache_that_never_evicts() {
    check(&FIXED_LARGE);
}

#[test]
fn the_polynomial() {
    check(&POLYNOMIAL);
}

/// The difference: what becomes of a preempted request. Two requests of 600 + 500 tokens share five blocks of 512. Both
/// need a third block for their 1,025th token; there is one, so the second request loses its blocks after 425 tokens, and
/// comes back when the first has finished, at 5,010 ms.
///
/// dynamo-mocker finds both its full blocks again, the second of which holds 424 generated tokens, so that no token of
/// its prompt is left to compute; computing generated tokens again is no prefill there: 75 decode passes, done at
/// 5,760 ms. Here generated tokens that no other prompt can name are not found again: the end of the prompt and they are
/// one prefill step of 20 ms, then 74 decode steps: 10 ms later.
#[test]
fn a_preempted_request_computes_its_generated_tokens_again() {
    let mut forest = PrefixForest::new();
    let mut request = |id| {
        let leaf = Some(forest.add(None, 600).expect("it is not empty"));
        Request::new(id, SimTime::ZERO, Prompt { leaf, tokens: 600 }, 500)
    };
    let requests = vec![request(0), request(1)];
    let result = round_robin(forest, requests, instance(Timing::Fixed, 5), 1);
    let seen: Vec<_> = result
        .rows
        .iter()
        .map(|row| (row.first_token.0 / PS_PER_MS, row.finish.0 / PS_PER_MS, row.preemptions, row.recomputed_tokens))
        .collect();
    // It held 1,025 tokens and hits one block of 512 of them.
    assert_eq!(seen, [(20, 5_010, 0, 0), (20, 5_770, 1, 1_025)]);
    assert_eq!(result.rows[1].prompt_tokens.div_ceil(BLOCK), 2);
}
