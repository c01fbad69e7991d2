//! The statistics against figures computed elsewhere.

use trimtab_workload::{ReadOptions, Stats, StatsOptions, read_file};

use crate::support::{read_bytes, real_trace};

fn near(name: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{name}: {found}, expected {expected} +- {tolerance}");
}

/// Figures of an independent analysis of the public trace, in which partial last blocks match.
#[test]
fn the_real_conversation_trace() {
    let Some(path) = real_trace("mooncake_conversation.jsonl") else { return };
    let trace = read_file(path, &ReadOptions::default()).expect("the public trace is clean");
    let capacities = vec![1000, 3000, 5859, 10_000, 30_000, 50_000, 100_000, 1_000_000];
    let options = StatsOptions { capacities, partial_tail: true, ..StatsOptions::default() };
    let s = Stats::of_trace(&trace, &options);
    assert_eq!((s.rows, s.distinct_times, s.blocks, s.unique_blocks), (12_031, 1180, 288_500, 182_790));
    near("rate", s.rate_rps.expect("a span"), 3.40, 0.005);
    // Nearest rank; interpolated, the 99 % quantiles are 85 400 and 1 118.
    let (i, o) = (s.input_tokens, s.output_tokens);
    assert_eq!((i.p50, i.p90, i.p99, i.max, o.p50, o.p90, o.p99), (6909, 27_367, 85_401, 126_195, 350, 597, 1120));
    near("input mean", i.mean, 12_035.0, 0.5);
    near("output mean", o.mean, 343.0, 0.5);
    let hit = s.hit_ratio;
    for (name, found, expected) in [
        ("blocks", hit.blocks, 0.366),
        ("tokens", hit.tokens, 0.374),
        ("full", hit.full_blocks, 0.382),
        ("per request", hit.per_request, 0.409),
        ("1 block", s.sharing.one_block_earlier, 0.9999),
        ("2 blocks", s.sharing.two_blocks_earlier, 0.387),
        ("half earlier", s.sharing.half_earlier, 0.425),
        ("half any", s.sharing.half_any, 0.602),
        ("half any, 2 blocks", s.sharing.half_any_two_blocks, 0.493),
        ("used once", s.sharing.used_once, 0.758),
        ("1 turn", s.sessions.turns[0], 0.694),
        ("2 turns", s.sessions.turns[1], 0.178),
        ("keep all", s.sessions.keep_all, 0.850),
        ("top 2-block prefix", s.popularity.prefixes[1].top, 0.0036),
    ] {
        near(name, found, expected, 0.001);
    }
    let lru = [0.045, 0.065, 0.136, 0.212, 0.326, 0.355, 0.364, 0.366];
    for (point, expected) in s.lru.iter().zip(lru) {
        near(&format!("LRU {}", point.capacity_blocks), point.hit_blocks, expected, 0.001);
    }
    let arrivals = &s.arrivals;
    near("gap CV", arrivals.gap_cv.expect("gaps"), 3.03, 0.005);
    near("ticks", arrivals.tick_dispersion.expect("ticks"), 1.10, 0.005);
    assert_eq!((arrivals.windows[0].peak, arrivals.windows[1].peak), (28, 247));
    near("minutes", arrivals.windows[1].dispersion, 2.9, 0.05);
    near("5 minutes", arrivals.windows[2].dispersion, 7.3, 0.1);
    assert_eq!(s.sharing.fully_cached, 118);
    let depth = s.sharing.depth_blocks;
    assert_eq!((depth.p50, depth.p90, depth.p99, depth.max), (3, 34, 128, 240));
    let branches = s.sharing.branches;
    assert_eq!((branches.p50, branches.p90, branches.max, s.sharing.fan_out), (2, 4, 23, 11));
    assert_eq!((s.sharing.most_used.as_slice(), s.sharing.used_10_to_99), (&[12_031, 43][..], 1340));
    let reuse = s.reuse.requests;
    assert_eq!((reuse.p50, reuse.p90, reuse.p99), (384, 1748, 5527));
    near("reuse s", s.reuse.ms.p50 as f64 / 1e3, 114.0, 0.5);
    let zipf = s.popularity.prefixes[1].zipf.expect("a fit");
    near("Zipf", zipf.s, 0.43, 0.005);
    assert_eq!(zipf.ranks, 2259);
    let sessions = &s.sessions;
    assert_eq!((sessions.roots, sessions.follow_ups, sessions.forked), (7373, 4658, 13));
    assert_eq!((sessions.turns_quantiles.p99, sessions.turns_quantiles.max), (8, 43));
    assert_eq!((sessions.growth.p50, sessions.growth.p75), (471, 831));
    assert_eq!((sessions.growth_less_output.p50, sessions.growth_less_output.p75), (26, 356));
    near("kept part", sessions.kept_part, 0.34, 0.005);
    for (share, expected) in sessions.continuation.iter().zip([0.31, 0.42, 0.51, 0.59, 0.59, 0.68, 0.77]) {
        near("continuation", *share, expected, 0.006);
    }

    // Full blocks only.
    let s = Stats::of_trace(&trace, &StatsOptions { capacities: vec![5859], ..StatsOptions::default() });
    for (name, found, expected) in [
        ("blocks", s.hit_ratio.blocks, 0.366),
        ("tokens", s.hit_ratio.tokens, 0.373),
        ("full", s.hit_ratio.full_blocks, 0.382),
        ("per request", s.hit_ratio.per_request, 0.408),
        ("LRU", s.lru[0].hit_blocks, 0.141),
    ] {
        near(name, found, expected, 0.001);
    }
}

#[test]
fn the_real_azure_trace() {
    let Some(path) = real_trace("azure_conv_2023.csv") else { return };
    let trace = read_file(path, &ReadOptions::default()).expect("the public trace is clean");
    let s = Stats::of_trace(&trace, &StatsOptions::default());
    assert_eq!(s.rows, 19_366);
    near("span", s.span_s, 3502.0, 0.5);
    near("rate", s.rate_rps.expect("a span"), 5.53, 0.005);
    let (i, o) = (s.input_tokens, s.output_tokens);
    assert_eq!((i.p50, i.p90, i.max, o.p50, o.p90), (1020, 2735, 14_050, 129, 424));
    near("input mean", i.mean, 1155.0, 0.5);
    near("output mean", o.mean, 211.0, 0.5);
    near("input p99", i.p99 as f64, 4142.0, 5.0);
    near("output p99", o.p99 as f64, 601.0, 2.0);
    near("gap CV", s.arrivals.gap_cv.expect("gaps"), 1.09, 0.005);
    near("minutes", s.arrivals.windows[1].dispersion, 16.0, 0.5);
    assert_eq!((s.arrivals.windows[0].peak, s.arrivals.windows[1].peak), (16, 507));
    assert!(s.hit_ratio.tokens.abs() < 1e-12);
}

/// Worked by hand: three prompts of two, three and two blocks; the second continues the first, the third repeats it.
const SMALL: &str = r#"{"timestamp": 0, "input_length": 32, "output_length": 5, "hash_ids": [0, 1]}
{"timestamp": 2000, "input_length": 40, "output_length": 7, "hash_ids": [0, 1, 2]}
{"timestamp": 4000, "input_length": 32, "output_length": 6, "hash_ids": [0, 1]}
"#;

#[test]
fn a_small_trace() {
    let read = ReadOptions { block_tokens: Some(16), ..ReadOptions::default() };
    let trace = read_bytes(SMALL.as_bytes(), &read).expect("good");
    let s = Stats::of_trace(&trace, &StatsOptions { capacities: vec![1, 2, 3], ..StatsOptions::default() });
    assert_eq!((s.rows, s.blocks, s.unique_blocks, s.distinct_times), (3, 7, 2, 3));
    assert_eq!((s.span_s.to_string(), s.rate_rps), ("4".to_owned(), Some(0.75)));
    near("blocks", s.hit_ratio.blocks, 4.0 / 7.0, 1e-12);
    near("tokens", s.hit_ratio.tokens, 64.0 / 104.0, 1e-12);
    near("full", s.hit_ratio.full_blocks, 4.0 / 6.0, 1e-12);
    near("per request", s.hit_ratio.per_request, (0.0 + 32.0 / 40.0 + 1.0) / 3.0, 1e-12);
    let lru: Vec<f64> = s.lru.iter().map(|point| point.hit_blocks * 7.0).collect();
    assert_eq!(lru.iter().map(|hits| hits.round().to_string()).collect::<Vec<_>>(), ["2", "4", "4"]);
    let tails = Stats::of_trace(&trace, &StatsOptions { partial_tail: true, ..StatsOptions::default() });
    assert_eq!(tails.unique_blocks, 3);
    let json = serde_json::to_value(&s).expect("plain data");
    for key in ["rows", "span_s", "rate_rps", "blocks", "unique_blocks", "block_tokens", "distinct_times"] {
        assert!(json[key].is_number(), "{key}");
    }
    for (object, keys) in [
        ("input_tokens", &["mean", "p50", "p90", "p99", "max"][..]),
        ("output_tokens", &["mean", "p50", "p90", "p99", "max"]),
        ("hit_ratio", &["tokens", "blocks", "full_blocks", "per_request"]),
    ] {
        for key in keys {
            assert!(json[object][key].is_number(), "{object}.{key}");
        }
    }
    for key in ["capacity_blocks", "hit_blocks", "hit_tokens"] {
        assert!(json["lru"][0][key].is_number(), "lru.{key}");
    }
}

#[test]
fn one_request_has_no_rate() {
    let line = SMALL.lines().next().expect("a line");
    let read = ReadOptions { block_tokens: Some(16), ..ReadOptions::default() };
    let s = Stats::of_trace(&read_bytes(line.as_bytes(), &read).expect("good"), &StatsOptions::default());
    assert_eq!((s.rate_rps, s.arrivals.gap_cv), (None, None));
    assert!(s.render().contains("n/a") && !s.render().contains("NaN"), "{}", s.render());
}

/// Every label leaves room for its value.
#[test]
fn the_table() {
    let read = ReadOptions { block_tokens: Some(16), ..ReadOptions::default() };
    let trace = read_bytes(SMALL.as_bytes(), &read).expect("good");
    assert_eq!(Stats::of_trace(&trace, &StatsOptions::default()).render(), TABLE);
}

const TABLE: &str = "\
requests                            3
span, rate                          4.0 s, 0.750 /s
distinct times                      3 of 3
gap CV, longest gap                 0.00, 2.0 s
variance/mean per tick              0.00
requests in 1 s                     mean 0.5, peak 1, variance/mean 0.50
input tokens                        mean 35, p50 32, p90 40, p99 40, max 40
output tokens                       mean 6, p50 6, p90 7, p99 7, max 7
blocks, unique                      7, 2 (16 tokens; full blocks only)
hit ratio, infinite cache
  blocks / all blocks               0.571
  tokens / all tokens               0.615
  blocks / full blocks              0.667
  mean of requests                  0.600
hit ratio, LRU                      blocks  tokens
       1000 blocks                  0.571   0.615
share >= 1, >= 2 blocks, earlier    66.67 %, 66.67 %
share half, with an earlier         66.67 %
share half, with any other          100.00 %
share half, any other, >= 2 blocks  100.00 %
fully cached prompts                1
shared depth in blocks              p50 2, p90 2, p99 2, max 2
branches on a prompt's path         p50 0, p90 0, p99 0, max 0
blocks used once                    0.00 %
reuse distance, s                   p50 2, p90 2, p99 2, max 2
reuse distance, requests            p50 1, p90 1, p99 1, max 1
commonest prefix of 1 blocks        100.00 %, top ten 100.00 %
commonest prefix of 2 blocks        100.00 %, top ten 100.00 %
commonest prefix of 3 blocks        0.00 %, top ten 0.00 %
commonest prefix of 6 blocks        0.00 %, top ten 0.00 %
commonest prefix of 13 blocks       0.00 %, top ten 0.00 %
popularity of all blocks            too few for a fit
sessions by prefix                  1 roots, 2 follow-ups
  of 1, 2, 3, 4 turns               0.00 %, 0.00 %, 100.00 %, 0.00 %
  turns                             p50 3, p90 3, p99 3, max 3
  follow-ups that keep all blocks   100.00 %
  their growth in tokens            p50 0, p90 8, p99 8, max 8
  less the previous output          p50 0, p90 3, p99 3, max 3
  the others keep on average        0.00 %
  gap between turns, s              p50 2, p90 2, p99 2, max 2
";
