//! The table of docs/workloads.md: recomputed, compared, and held to its tolerances.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use trimtab_core::PrefixId;
use trimtab_workload::{GenOptions, Stats, StatsOptions, Trace, generator_by_name};

/// One generator against what it stands in for.
struct Target {
    name: &'static str,
    requests: u64,
    seeds: &'static [u64],
    block: u32,
    /// Relative distance of the mean over seeds, and of any seed.
    tolerance: (f64, f64),
    figures: &'static [(&'static str, f64, Figure)],
}

type Figure = fn(&Trace, &Stats) -> f64;

/// Capacities of the LRU figures, in this order.
const CAPACITIES: [u64; 5] = [5859, 10_000, 30_000, 50_000, 100_000];

const TARGETS: &[Target] = &[
    Target {
        name: "conversation",
        requests: 12_031,
        seeds: &[101, 102, 103, 104, 105],
        block: 512,
        tolerance: (0.05, 0.08),
        figures: &[
            ("input mean", 12_035.0, |_, s| s.input_tokens.mean),
            ("input p50", 6909.0, |_, s| s.input_tokens.p50 as f64),
            ("input p90", 27_367.0, |_, s| s.input_tokens.p90 as f64),
            ("output mean", 343.0, |_, s| s.output_tokens.mean),
            ("output p90", 597.0, |_, s| s.output_tokens.p90 as f64),
            ("unique blocks", 182_790.0, |_, s| s.unique_blocks as f64),
            ("hit ratio, blocks", 0.366, |_, s| s.hit_ratio.blocks),
            ("hit ratio, tokens", 0.374, |_, s| s.hit_ratio.tokens),
            ("hit ratio, full blocks", 0.382, |_, s| s.hit_ratio.full_blocks),
            ("hit ratio, per request", 0.409, |_, s| s.hit_ratio.per_request),
            ("LRU 5 859 blocks", 0.136, |_, s| s.lru[0].hit_blocks),
            ("LRU 10 000 blocks", 0.212, |_, s| s.lru[1].hit_blocks),
            ("LRU 30 000 blocks", 0.326, |_, s| s.lru[2].hit_blocks),
            ("LRU 50 000 blocks", 0.355, |_, s| s.lru[3].hit_blocks),
            ("LRU 100 000 blocks", 0.364, |_, s| s.lru[4].hit_blocks),
            ("half shared, any other, 2 blocks", 0.493, |_, s| s.sharing.half_any_two_blocks),
        ],
    },
    Target {
        name: "toolagent",
        requests: 23_608,
        seeds: &[101, 102, 103],
        block: 512,
        tolerance: (0.05, 0.08),
        figures: &[
            ("input mean", 8596.0, |_, s| s.input_tokens.mean),
            ("output mean", 182.0, |_, s| s.output_tokens.mean),
            ("hit ratio, tokens", 0.59, |_, s| s.hit_ratio.tokens),
            ("share of the first template", 0.378, |trace, _| share_of_root(trace, 1)),
            ("share of the second template", 0.149, |trace, _| share_of_root(trace, 2)),
            ("half shared, any other, 2 blocks", 0.76, |_, s| s.sharing.half_any_two_blocks),
        ],
    },
    preble(
        "toolbench",
        &[
            ("input mean", 1835.0, |_, s| s.input_tokens.mean),
            ("output mean", 43.0, |_, s| s.output_tokens.mean),
            ("hit ratio, tokens", 0.85, |_, s| s.hit_ratio.tokens),
        ],
    ),
    preble(
        "loogle",
        &[
            ("input mean", 23_474.0, |_, s| s.input_tokens.mean),
            ("output mean", 16.0, |_, s| s.output_tokens.mean),
            ("hit ratio, tokens", 0.91, |_, s| s.hit_ratio.tokens),
        ],
    ),
    preble(
        "videoqa",
        &[
            ("input mean", 9865.0, |_, s| s.input_tokens.mean),
            ("output mean", 4.0, |_, s| s.output_tokens.mean),
            ("hit ratio, tokens", 0.88, |_, s| s.hit_ratio.tokens),
        ],
    ),
];

const fn preble(name: &'static str, figures: &'static [(&'static str, f64, Figure)]) -> Target {
    Target { name, requests: 20_000, seeds: &[101, 102, 103], block: 16, tolerance: (0.05, 0.08), figures }
}

/// Share of requests whose prompt starts with the n-th shared prefix.
fn share_of_root(trace: &Trace, n: u32) -> f64 {
    let starts = |leaf: Option<PrefixId>| {
        let mut node = leaf;
        while let Some(parent) = node.and_then(|id| trace.forest.parent(id)) {
            node = Some(parent);
        }
        node == Some(PrefixId(n))
    };
    trace.requests.iter().filter(|r| starts(r.prompt.leaf)).count() as f64 / trace.requests.len() as f64
}

fn measure(target: &Target) -> Vec<Vec<f64>> {
    let options =
        StatsOptions { capacities: CAPACITIES.to_vec(), block_tokens: Some(target.block), partial_tail: true };
    let one = |&seed: &u64| {
        let def = generator_by_name(target.name).expect(target.name);
        let generate = GenOptions { seed, requests: Some(target.requests), ..GenOptions::default() };
        let trace = Trace::record(&mut *def.generate(&Value::Null, &generate).expect("sound defaults"), 1);
        let stats = Stats::of_trace(&trace, &options);
        target.figures.iter().map(|(_, _, figure)| figure(&trace, &stats)).collect()
    };
    target.seeds.iter().map(one).collect()
}

fn table() -> String {
    let mut text = String::new();
    for target in TARGETS {
        let seeds = measure(target);
        let list: Vec<String> = target.seeds.iter().map(ToString::to_string).collect();
        write!(text, "\n### {}\n\n{} requests, seeds {}.\n\n", target.name, target.requests, list.join(", "))
            .expect("memory");
        text.push_str("| figure | real | generated | difference | worst |\n|---|---|---|---|---|\n");
        for (index, (figure, real, _)) in target.figures.iter().enumerate() {
            let values: Vec<f64> = seeds.iter().map(|seed| seed[index]).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let off = |value: f64| value / real - 1.0;
            let worst = values.iter().map(|&v| off(v)).max_by(|a, b| a.abs().total_cmp(&b.abs())).expect("some seeds");
            let digits = if *real < 1.0 { 3 } else { usize::from(*real < 100.0) };
            let (d, w) = (100.0 * off(mean), 100.0 * worst);
            writeln!(text, "| {figure} | {real:.digits$} | {mean:.digits$} | {d:+.1} % | {w:+.1} % |").expect("memory");
            let (of_mean, of_any) = target.tolerance;
            assert!(off(mean).abs() <= of_mean, "{} {figure}: {mean} for {real}", target.name);
            assert!(worst.abs() <= of_any, "{} {figure}: a seed is {w:+.1} % off", target.name);
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_checked_in_table_is_what_is_achieved() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/workloads.md");
    let text = std::fs::read_to_string(&path).expect("docs/workloads.md is checked in");
    let start = text.find("-->\n").expect("a start mark") + "-->\n".len();
    let end = text.find("<!-- end -->").expect("an end mark");
    let fresh = format!("{}{}{}", &text[..start], table(), &text[end..]);
    if std::env::var_os("TRIMTAB_BLESS").is_some() {
        std::fs::write(&path, &fresh).expect("a writable checkout");
    }
    assert!(
        fresh == text || std::env::var_os("TRIMTAB_BLESS").is_some(),
        "docs/workloads.md is stale: set TRIMTAB_BLESS"
    );
}
