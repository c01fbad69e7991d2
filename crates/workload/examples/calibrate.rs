//! The statistics of a generator, mean over seeds: `calibrate NAME REQUESTS SEED...`.
#![allow(clippy::print_stdout, reason = "an example")]

use trimtab_workload::{GenOptions, Stats, StatsOptions, Trace, generator_by_name};

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().expect("a generator");
    let requests = args.next().expect("how many requests").parse().expect("a number");
    let def = generator_by_name(&name).expect("a known generator");
    let capacities = vec![1000, 3000, 5859, 10_000, 30_000, 50_000, 100_000];
    let options = StatsOptions { capacities, block_tokens: Some(512), partial_tail: true };
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for seed in args.map(|seed| seed.parse().expect("a seed")) {
        let generate = GenOptions { seed, requests: Some(requests), ..GenOptions::default() };
        let mut workload = def.generate(&serde_json::Value::Null, &generate).expect("sound defaults");
        let s = Stats::of_trace(&Trace::record(&mut *workload, 512), &options);
        let (i, o, hit) = (s.input_tokens, s.output_tokens, s.hit_ratio);
        let mut row = vec![s.span_s, i.mean, i.p50 as f64, i.p90 as f64, i.p99 as f64, o.mean, o.p90 as f64];
        row.extend([s.unique_blocks as f64, hit.blocks, hit.tokens, hit.full_blocks, hit.per_request]);
        row.extend(s.lru.iter().map(|point| point.hit_blocks));
        row.extend([s.sharing.half_any_two_blocks, s.arrivals.windows[1].dispersion, s.sessions.roots as f64]);
        rows.push(row);
    }
    let names = "span in in50 in90 in99 out out90 unique hit/blk hit/tok hit/full hit/req 1k 3k 5859 10k 30k 50k 100k half disp roots";
    for (column, name) in names.split(' ').enumerate() {
        let values: Vec<f64> = rows.iter().map(|row| row[column]).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let texts: Vec<String> = values.iter().map(|v| format!("{v:.4}")).collect();
        println!("{name:<9} {mean:>12.4}   {}", texts.join(" "));
    }
}
