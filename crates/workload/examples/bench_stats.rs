//! The statistics of a trace, and how long they take: `bench_stats FILE [--partial-tail]`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark")]

use std::time::Instant;

use trimtab_workload::{ReadOptions, Stats, StatsOptions, read_file};

fn main() {
    let path = std::env::args().nth(1).expect("a trace file");
    let partial_tail = std::env::args().any(|arg| arg == "--partial-tail");
    let capacities = vec![1000, 3000, 5859, 10_000, 30_000, 50_000, 100_000, 1_000_000];
    let trace = read_file(&path, &ReadOptions::default()).expect("a good trace");
    let start = Instant::now();
    let stats = Stats::of_trace(&trace, &StatsOptions { capacities, partial_tail, ..StatsOptions::default() });
    let took = start.elapsed();
    print!("{}", stats.render());
    println!("{:.2} ms after reading", took.as_secs_f64() * 1e3);
}
