//! Queueing theory on the engine alone: systems whose mean waits have closed forms, and laws that hold exactly.
//!
//! Each mean is an interval over independent replications with fixed seeds (Student's t, two-sided). The interval must
//! hold the value of theory, must not hold a value 3 % off, and must move away from theory when every service takes 3 %
//! longer: a test that passes could have failed. `-- --nocapture` prints the intervals.
#![expect(clippy::print_stdout, reason = "the figures of docs/validation.md")]

use std::sync::Arc;

use trimtab_core::{
    FixedWorkload, PS_PER_S, PrefixForest, Prompt, Request, RequestId, RngStreams, SimTime, StreamRng, Workload,
    exponential, uniform01,
};
use trimtab_engine::cost::Linear;
use trimtab_engine::{
    CacheConfig, ClusterConfig, EvictionConfig, InstanceConfig, Mixing, Order, Row, RunResult, build_context, run,
};

/// Tokens of a mean service: so many that rounding to whole tokens, and waiting for the end of a step, vanish in the
/// noise (below 0.01 % of a service).
const MEAN_TOKENS: f64 = 10_000.0;
/// Picoseconds of a token: a mean service is one second.
const TOKEN: u64 = PS_PER_S / 10_000;
/// A service that takes longer by 3 %.
const SLOW_TOKEN: u64 = TOKEN / 100 * 103;

const REPLICATIONS: u64 = 20;
/// Student's t with 19 degrees of freedom: 99.9 %, two-sided.
const T: f64 = 3.883;
/// Requests at the start of a replication that do not count, since it starts empty.
const WARM_UP: usize = 2_000;

/// How one instance serves.
#[derive(Clone, Copy)]
enum System {
    /// One at a time, each its prompt in one step.
    Single,
    /// Up to so many at a time, a token a step; a step takes the same time whatever the batch.
    Servers(u32),
    /// All at a time, a token a step; a step takes time in proportion to the batch.
    Sharing,
}

/// A service time, of mean 1.
type Law = fn(&mut StreamRng) -> f64;

fn constant(_: &mut StreamRng) -> f64 {
    1.0
}

/// Two services in three are short and one is long; squared coefficient of variation 2.
fn two_speeds(rng: &mut StreamRng) -> f64 {
    // Short s with probability 2/3 and long l with 1/3: (2 s + l) / 3 = 1 and 2/9 (l - s)^2 = 2 would need s = 0, so
    // each is itself exponential: E[S^2] = 2 (2 s^2 + l^2) / 3 = 3 with s = 1/2, l = 2.
    exponential(rng) * if uniform01(rng) * 3.0 < 2.0 { 0.5 } else { 2.0 }
}

fn instance(system: System, token: u64) -> InstanceConfig {
    let (cost, max_seqs) = match system {
        System::Single => (Linear { per_prefill_token: token, ..Linear::default() }, 1),
        System::Servers(count) => (Linear { step: token, ..Linear::default() }, count),
        System::Sharing => (Linear { per_seq: token, ..Linear::default() }, 10_000),
    };
    InstanceConfig {
        cost: Arc::new(cost),
        // Never short of memory, and never more than one chunk to a prompt.
        kv_blocks: 1 << 40,
        block_tokens: 1 << 24,
        max_batched_tokens: 1 << 24,
        max_seqs,
        mixing: Mixing::DecodeFirst,
        order: Order::Fcfs,
        watermark_blocks: 0,
        cache: CacheConfig { enabled: false, ..CacheConfig::default() },
        eviction: EvictionConfig::default(),
    }
}

/// Poisson arrivals at `rate` per second, services by `law`.
fn requests(system: System, rate: f64, law: Law, count: u32, seed: u64) -> Vec<Request> {
    let streams = RngStreams::new(seed);
    let (mut gaps, mut lengths) = (streams.stream("arrivals"), streams.stream("lengths"));
    let mut clock = 0.0;
    (0..count)
        .map(|id| {
            clock += exponential(&mut gaps) / rate;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and far below 2^32")]
            let tokens = (law(&mut lengths) * MEAN_TOKENS).round().max(1.0) as u32;
            let (prompt, output) = if matches!(system, System::Single) { (tokens, 1) } else { (1, tokens) };
            let arrival = SimTime::from_secs_f64(clock).expect("within the clock's range");
            Request::new(id, arrival, Prompt { leaf: None, tokens: prompt }, output)
        })
        .collect()
}

/// Counts requests from outside the engine, as they are handed over and as their ends are announced.
struct Counted {
    inner: FixedWorkload,
    inside: u128,
    since: u64,
    /// Integral of the number inside, in picoseconds.
    area: u128,
}

impl Counted {
    fn change(&mut self, now: SimTime) -> &mut u128 {
        self.area += self.inside * u128::from(now.0 - self.since);
        self.since = now.0;
        &mut self.inside
    }
}

impl Workload for Counted {
    fn forest(&self) -> &PrefixForest {
        self.inner.forest()
    }

    fn peek(&mut self) -> Option<SimTime> {
        self.inner.peek()
    }

    fn next(&mut self) -> Option<Request> {
        let request = self.inner.next()?;
        *self.change(request.arrival) += 1;
        Some(request)
    }

    fn ended(&mut self, _: RequestId, now: SimTime) {
        *self.change(now) -= 1;
    }
}

/// Runs requests and asserts Little's law, to the picosecond: of the whole system and of the batches.
fn simulate(config: &ClusterConfig, scheduler: &str, requests: Vec<Request>) -> RunResult {
    let inner = FixedWorkload::new(PrefixForest::new(), requests);
    let mut workload = Counted { inner, inside: 0, since: 0, area: 0 };
    let registry = trimtab_sched::Registry::default();
    let def = registry.get(scheduler).expect("a built-in scheduler");
    let policy = (def.build)(&serde_json::Value::Null, &build_context(config)).expect("its defaults are valid");
    let result = run(config, def, policy, &mut workload);
    let sum = |span: fn(&Row) -> u64| result.rows.iter().map(|row| u128::from(span(row))).sum::<u128>();
    assert_eq!(workload.area, sum(|row| (row.finish - row.arrival).0), "Little's law, system");
    let running: u128 = result.instances.iter().map(|i| i.integrals.running).sum();
    assert_eq!(running, sum(|row| (row.finish - row.admitted).0), "Little's law, batches");
    result
}

fn cluster(instance: InstanceConfig, count: usize, seed: u64) -> ClusterConfig {
    let instances = vec![instance; count];
    ClusterConfig { seed, ..ClusterConfig::new(instances) }
}

/// A mean over replications, plus and minus the half width of its interval.
#[derive(Clone, Copy, Debug)]
struct Interval {
    mean: f64,
    half: f64,
}

impl Interval {
    fn of(samples: &[f64]) -> Self {
        let n = samples.len() as f64;
        let mean = samples.iter().sum::<f64>() / n;
        let variance = samples.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
        Self { mean, half: T * (variance / n).sqrt() }
    }

    fn holds(&self, value: f64) -> bool {
        (self.mean - value).abs() <= self.half
    }
}

/// One system against its closed form.
struct Case {
    name: &'static str,
    system: System,
    /// Share of capacity that is asked for.
    load: f64,
    law: Law,
    /// Of one replication.
    count: u32,
    /// Mean seconds that `measure` must have.
    theory: f64,
    measure: fn(&Row) -> SimTime,
}

impl Case {
    fn interval(&self, token: u64, count: u32) -> Interval {
        let servers = if let System::Servers(count) = self.system { f64::from(count) } else { 1.0 };
        let replication = |seed| {
            let requests = requests(self.system, self.load * servers, self.law, count, seed);
            let result = simulate(&cluster(instance(self.system, token), 1, seed), "round-robin", requests);
            let rows = &result.rows[WARM_UP..];
            rows.iter().map(|row| (self.measure)(row).as_secs_f64()).sum::<f64>() / rows.len() as f64
        };
        Interval::of(&(1..=REPLICATIONS).map(replication).collect::<Vec<_>>())
    }

    fn check(&self) {
        let interval = self.interval(TOKEN, self.count);
        println!("{}: {interval:?} for {}", self.name, self.theory);
        assert!(interval.holds(self.theory), "{}: {interval:?} for {}", self.name, self.theory);
        for off in [0.97, 1.03] {
            assert!(!interval.holds(self.theory * off), "{}: {interval:?} cannot tell {off} of theory", self.name);
        }
        // The waits then grow by 6 % and more, so that a part of the requests is enough to tell.
        let slow = self.interval(SLOW_TOKEN, self.count / 4);
        assert!(!slow.holds(self.theory), "{}: {slow:?} with services 3 % longer", self.name);
    }
}

fn wait(row: &Row) -> SimTime {
    row.admitted - row.arrival
}

fn sojourn(row: &Row) -> SimTime {
    row.finish - row.arrival
}

/// The mean wait of M/M/c for a mean service of 1 (Erlang C).
fn erlang_wait(servers: u32, load: f64) -> f64 {
    let c = f64::from(servers);
    let offered = c * load;
    let (mut term, mut sum) = (1.0, 0.0);
    for k in 0..servers {
        sum += term;
        term *= offered / f64::from(k + 1);
    }
    let waits = term / (1.0 - load);
    waits / (sum + waits) / (c * (1.0 - load))
}

/// The mean wait of M/G/1 for a mean service of 1 and a mean square (Pollaczek and Khinchine).
fn single_wait(load: f64, mean_square: f64) -> f64 {
    load * mean_square / (2.0 * (1.0 - load))
}

#[test]
fn one_server() {
    let case = |name, law, mean_square, count| Case {
        name,
        system: System::Single,
        load: 0.5,
        law,
        count,
        theory: single_wait(0.5, mean_square),
        measure: wait,
    };
    case("M/M/1", exponential, 2.0, 100_000).check();
    case("M/D/1", constant, 1.0, 60_000).check();
    case("M/G/1", two_speeds, 3.0, 200_000).check();
}

#[test]
fn several_servers() {
    for (name, servers, load, count) in [("M/M/2", 2, 0.6, 100_000), ("M/M/4", 4, 0.7, 150_000)] {
        let theory = erlang_wait(servers, load);
        let system = System::Servers(servers);
        Case { name, system, load, law: exponential, count, theory, measure: wait }.check();
    }
}

/// Lindley's recursion, to the picosecond: each request starts when it has come and the one before has gone.
#[test]
fn one_server_starts_each_request_when_it_can() {
    let requests = requests(System::Single, 0.9, exponential, 20_000, 1);
    let services: Vec<SimTime> = requests.iter().map(|r| SimTime(u64::from(r.prompt.tokens) * TOKEN)).collect();
    let result = simulate(&cluster(instance(System::Single, TOKEN), 1, 1), "round-robin", requests);
    let mut free = SimTime::ZERO;
    for (row, service) in result.rows.iter().zip(services) {
        let start = row.arrival.max(free);
        free = start + service;
        assert_eq!((row.admitted, row.finish), (start, free));
    }
}

/// The mean sojourn of processor sharing depends on the mean service alone.
#[test]
fn processor_sharing() {
    for (name, law) in [("M/M/1-PS", exponential as Law), ("M/D/1-PS", constant), ("M/G/1-PS", two_speeds)] {
        let (system, load) = (System::Sharing, 0.5);
        Case { name, system, load, law, count: 60_000, theory: 1.0 / (1.0 - load), measure: sojourn }.check();
    }
}

/// Share of time and instances with at least 1, 2, ... requests, over the second half of the arrivals.
fn tail(rows: &[Row], instances: usize) -> [f64; 5] {
    let (from, to) = (rows[rows.len() / 2].arrival, rows[rows.len() - 1].arrival);
    let mut queues = vec![Vec::new(); instances];
    for row in rows {
        queues[row.instance.index()].push((row.arrival, row.finish));
    }
    let mut time = [0u64; 5];
    for queue in &queues {
        for (i, &(arrival, _)) in queue.iter().enumerate() {
            let next = queue.get(i + 1).map_or(to, |&(arrival, _)| arrival.min(to));
            // Until the next one comes, at least k are there as long as the k-th last is: they leave in order.
            for (k, time) in time.iter_mut().enumerate().take(i + 1) {
                let (_, finish) = queue[i - k];
                *time += next.min(finish).saturating_since(arrival.max(from)).0;
            }
        }
    }
    let whole = (to - from).0 as f64 * instances as f64;
    time.map(|time| time as f64 / whole)
}

/// The better of two random queues: with many instances, a share rho^(2^k - 1) of them has at least k requests
/// (Mitzenmacher 2001, Vvedenskaya and others 1996), where one random queue would give rho^k.
#[test]
fn two_choices() {
    let (instances, load, count) = (1_000, 0.8, 160_000);
    let tails = |token| {
        let replication = |seed| {
            let requests = requests(System::Single, load * instances as f64, exponential, count, seed);
            let config = cluster(instance(System::Single, token), instances, seed);
            tail(&simulate(&config, "power-of-d", requests).rows, instances)
        };
        (1..=REPLICATIONS).map(replication).collect::<Vec<_>>()
    };
    let interval = |tails: &[[f64; 5]], k: usize| Interval::of(&tails.iter().map(|tail| tail[k]).collect::<Vec<_>>());
    let (normal, slow) = (tails(TOKEN), tails(SLOW_TOKEN));
    for (k, power) in [1, 3, 7, 15].into_iter().enumerate() {
        let theory = libm::pow(load, f64::from(power));
        let (normal, slow) = (interval(&normal, k), interval(&slow, k));
        println!("{} or more: {normal:?} for {theory}, slow {slow:?}", k + 1);
        assert!(normal.holds(theory), "{} or more: {normal:?} for {theory}", k + 1);
        assert!(!slow.holds(theory), "{} or more: {slow:?} with services 3 % longer", k + 1);
    }
}
