//! Capacities of queues whose capacity is known.

use trimtab_core::{FixedWorkload, PrefixForest, Prompt, Request, RngStreams, SimTime, exponential};
use trimtab_engine::Stepping;
use trimtab_experiment::capacity::{Answer, Rule, Sample, ladder, search};
use trimtab_experiment::diagnose::diagnose;
use trimtab_experiment::metrics::metrics;
use trimtab_experiment::scenario::{Cluster, Cost, Scenario, Scheduler, Slo};
use trimtab_experiment::simulate::simulate;
use trimtab_sched::Registry;

/// Service time of a request, in seconds; one at a time on each instance.
const SERVICE: f64 = 0.1;
/// The objective in service times: up to four of waiting, one of service.
const PATIENCE: u32 = 4;
const TARGET: f64 = 0.9;
const REQUESTS: u32 = 6_000;

/// P(wait <= PATIENCE services) in M/D/1 at load `rho` (Erlang 1909; Crommelin 1932).
fn within(rho: f64) -> f64 {
    let mut factorial = 1.0;
    let sum: f64 = (0..=PATIENCE)
        .map(|j| {
            factorial *= f64::from(j.max(1));
            let x = rho * f64::from(PATIENCE - j);
            libm::pow(-x, f64::from(j)) / factorial * libm::exp(x)
        })
        .sum();
    (1.0 - rho) * sum
}

/// The rate at which an instance meets the objective for just the target share.
fn crossing() -> f64 {
    let (mut lo, mut hi) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(lo, hi);
        if within(middle) >= TARGET { lo = middle } else { hi = middle }
    }
    lo / SERVICE
}

/// One run: Poisson arrivals, one token out, so that a request is its prefill.
fn run(instances: u32, rate: f64, seed: u64) -> Sample {
    let scenario = Scenario {
        seed,
        cluster: Cluster {
            instances,
            kv_tokens: Some(1 << 20),
            max_seqs: 1,
            cost: Cost::Fixed { prefill_ms: SERVICE * 1e3, decode_ms: 0.0 },
            ..Cluster::default()
        },
        scheduler: Scheduler { kind: "random".into(), ..Scheduler::default() },
        slo: Slo { ttft_s: Some(SERVICE * f64::from(PATIENCE + 1)), ..Slo::default() },
        warmup_requests: 500,
        ..Scenario::default()
    };
    let mut rng = RngStreams::new(seed).stream("arrivals");
    let mut now = 0.0;
    let requests = (0..REQUESTS)
        .map(|id| {
            now += exponential(&mut rng) / rate;
            Request::new(id, SimTime::from_secs_f64(now).unwrap(), Prompt { leaf: None, tokens: 16 }, 1)
        })
        .collect();
    let mut workload = FixedWorkload::new(PrefixForest::new(), requests);
    let result = simulate(&scenario, &Registry::default(), &mut workload, Stepping::Macro).unwrap();
    let attainment = metrics(&scenario, &result).joint_attainment.unwrap();
    Sample { attainment, drift_share: diagnose(&result.rows, 500).drift_share().unwrap() }
}

/// Repetitions of the search with fresh seeds: how often its interval holds the truth, and its widths.
fn repeat(instances: u32, repetitions: u64) -> (u64, Vec<f64>) {
    let truth = crossing() * f64::from(instances);
    let ladder = ladder(truth * 0.5, truth * 1.3, 0.01);
    let mut held = 0;
    let mut widths: Vec<f64> = (0..repetitions)
        .map(|repetition| {
            let rule = Rule { target: TARGET, seeds: (1..=10).map(|s| 1000 * repetition + s).collect(), max_seeds: 10 };
            let measure =
                |rate: f64, seeds: &[u64]| Ok::<_, ()>(seeds.iter().map(|&seed| run(instances, rate, seed)).collect());
            let probes = search(&ladder, &rule, None, measure).unwrap();
            let rate_of = |answer, last: bool| {
                let mut rates = probes.iter().filter(|p| p.answer == answer).map(|p| p.rate_rps);
                if last { rates.next_back() } else { rates.next() }.unwrap()
            };
            let (lo, hi) = (rate_of(Answer::Pass, true), rate_of(Answer::Fail, false));
            held += u64::from(lo <= truth && truth <= hi);
            (hi - lo) / truth
        })
        .collect();
    widths.sort_by(f64::total_cmp);
    (held, widths)
}

/// How many repetitions: few in every test run, 200 when `TRIMTAB_REPETITIONS` says so.
fn repetitions() -> u64 {
    std::env::var_os("TRIMTAB_REPETITIONS").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(3)
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures of a long run, for whoever asked for one")]
fn known_capacities_are_inside_their_intervals() {
    // 91 %, as promised, less three standard deviations of a binomial for small counts.
    let n = repetitions();
    let slack = if n >= 200 { 0.0 } else { 3.0 * libm::sqrt(0.91 * 0.09 * n as f64) };
    for instances in [1, 4] {
        let (held, widths) = repeat(instances, n);
        let median = widths[widths.len() / 2];
        eprintln!(
            "{instances} instances: {held} of {n} intervals hold the truth, median width {:.1} %",
            median * 100.0
        );
        assert!(held as f64 >= (0.91 * n as f64 - slack).max(1.0), "{instances} instances: {held} of {n}");
        assert!(median <= 0.10, "{instances} instances: median width {median}");
    }
}

#[test]
fn the_simulated_queue_is_the_known_one() {
    // Ten runs at a load of 0.7: about 1e-2 of noise on the share.
    for instances in [1, 4] {
        let rate = 0.7 / SERVICE * f64::from(instances);
        let found = (1..=10).map(|seed| run(instances, rate, seed).attainment).sum::<f64>() / 10.0;
        assert!((found - within(0.7)).abs() < 0.015, "{instances}: {found} {}", within(0.7));
    }
}
