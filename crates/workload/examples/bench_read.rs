//! How long reading a trace takes: `bench_read FILE [REPEATS]`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark")]

use std::time::Instant;

use trimtab_workload::{ReadOptions, read_file};

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("a trace file");
    let repeats = args.next().map_or(5, |n| n.parse().expect("a number of repeats"));
    for _ in 0..repeats {
        let start = Instant::now();
        match read_file(&path, &ReadOptions::default()) {
            Ok(trace) => println!(
                "{:.2} ms: {} requests, {} nodes, span {}",
                start.elapsed().as_secs_f64() * 1e3,
                trace.requests.len(),
                trace.forest.len(),
                trace.span()
            ),
            Err(error) => println!("{error}"),
        }
    }
}
