//! How fast a generator is: `bench_generate NAME REQUESTS`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark")]

use std::time::Instant;

use trimtab_workload::{GenOptions, generator_by_name};

fn main() {
    let name = std::env::args().nth(1).expect("a generator");
    let requests: u64 = std::env::args().nth(2).expect("how many requests").parse().expect("a number");
    let def = generator_by_name(&name).expect("a known generator");
    let start = Instant::now();
    let options = GenOptions { requests: Some(requests), ..GenOptions::default() };
    let mut workload = def.generate(&serde_json::Value::Null, &options).expect("the defaults are sound");
    let (mut count, mut tokens, mut last) = (0u64, 0u64, trimtab_core::SimTime::ZERO);
    while let Some(request) = workload.next() {
        count += 1;
        tokens += u64::from(request.prompt.tokens);
        last = request.arrival;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{name}: {count} requests in {seconds:.2} s, {:.2} million per second; {} nodes, {:.0} tokens on average, last at {last}",
        count as f64 / seconds / 1e6,
        workload.forest().len(),
        tokens as f64 / count as f64
    );
}
