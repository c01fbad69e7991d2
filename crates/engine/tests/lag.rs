//! Signals that are late, sent at intervals or lost: what the router is shown is what a naive reading of the same reports
//! says.

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::sync::{Arc, Mutex};

use common::generate::Case;
use rand::RngExt;
use trimtab_core::{
    FixedWorkload, InstanceId, PrefixForest, Prompt, Request, RequestId, RngStreams, SimTime, uniform01,
};
use trimtab_engine::cost::Linear;
use trimtab_engine::{
    CacheConfig, Change, ClusterConfig, Lag, Outcome, PrefixSignal, RouterConfig, Row, SignalsConfig, Stepping, run,
};
use trimtab_sched::{
    Actions, Arrival, ClusterView, Counters, Decision, History, Hook, Scheduler, SchedulerDef, Signals, no_params,
};

const fn def(signals: Signals) -> SchedulerDef {
    SchedulerDef {
        name: "test",
        summary: "of this test",
        citation: "test",
        deviations: &[],
        signals,
        hooks: false,
        params: no_params,
        build: |_, _| unreachable!("built by hand"),
    }
}

fn lag(every: u64, delay: u64, jitter: u64, loss: f64) -> Lag {
    Lag { every: SimTime(every), delay: SimTime(delay), jitter: SimTime(jitter), loss }
}

/// When a report of a stream arrives that is sent at `sent`.
fn arrival(seed: u64, stream: &str, number: u64, sent: u64, lag: Lag) -> Option<u64> {
    let mut rng = RngStreams::new(seed).stream(stream);
    rng.set_word_pos(u128::from(number) * 16);
    if lag.loss > 0.0 || lag.jitter > SimTime::ZERO {
        if uniform01(&mut rng) < lag.loss {
            return None;
        }
        return Some(sent + lag.delay.0 + rng.random_range(0..=lag.jitter.0));
    }
    Some(sent + lag.delay.0)
}

/// Writes down what is believed cached of each probe, and turns it away.
struct Prober {
    seen: Arc<Mutex<Vec<u32>>>,
}

impl Scheduler for Prober {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        if arrival.session.is_none() {
            return Decision::Route(InstanceId(0));
        }
        let mut hits = Vec::new();
        view.all_hit_tokens(arrival.id, &mut hits);
        assert_eq!(hits[0], view.hit_tokens(arrival.id, InstanceId(0)));
        self.seen.lock().expect("one thread").push(hits[0]);
        Decision::Reject
    }
}

const HORIZON: u64 = 1500;

/// What is believed cached at every odd time up to `HORIZON` of the prompt of a case's last request.
fn probed(case: &Case, stepping: Stepping, prefix: PrefixSignal) -> Vec<u32> {
    let mut instance = case.config.instances[0].clone();
    // Everything but the probes happens at even times.
    instance.cost = Arc::new(Linear { step: 10, per_prefill_token: 2, per_seq: 2, per_context: 2 });
    let prompt = case.workload.requests.last().expect("a case has requests").prompt;
    let mut requests: Vec<Request> = case.workload.requests.clone();
    for request in &mut requests {
        request.arrival = SimTime(request.arrival.0 % HORIZON / 2 * 2);
        // Only probes have one.
        request.session = None;
    }
    let probe = |at| Request { session: Some(trimtab_core::SessionId(0)), ..Request::new(0, SimTime(at), prompt, 1) };
    requests.extend((0..HORIZON / 2).map(|k| probe(2 * k + 1)));
    requests.sort_by_key(|request| request.arrival);
    for (id, request) in (0..).zip(&mut requests) {
        request.id = RequestId(id);
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let config = ClusterConfig {
        stepping,
        seed: case.config.seed,
        signals: SignalsConfig { prefix, ..SignalsConfig::default() },
        ..ClusterConfig::new(vec![instance])
    };
    let mut workload = FixedWorkload::new(case.workload.forest.clone(), requests);
    run(
        &config,
        &def(Signals { prefix: true, ..Signals::NONE }),
        Box::new(Prober { seen: seen.clone() }),
        &mut workload,
    );
    seen.lock().expect("one thread").clone()
}

#[test]
fn events_are_the_true_cache_a_while_ago() {
    let (mut grew, mut shrank) = (0, 0);
    for seed in 0..400 {
        let case = Case::steady(seed);
        let truth = probed(&case, Stepping::Macro, PrefixSignal::Oracle);
        for (stepping, ticks) in [(Stepping::Macro, 1), (Stepping::Macro, 37), (Stepping::Every, 37)] {
            let late = probed(&case, stepping, PrefixSignal::Events { lag: Lag::of(SimTime(2 * ticks)) });
            let ticks = usize::try_from(ticks).expect("small");
            assert!(late[..ticks].iter().all(|&hit| hit == 0), "seed {seed}");
            assert_eq!(late[ticks..], truth[..truth.len() - ticks], "seed {seed}, {ticks} ticks, {stepping:?}");
        }
        grew += truth.windows(2).filter(|w| w[0] < w[1]).count();
        shrank += truth.windows(2).filter(|w| w[0] > w[1]).count();
    }
    assert!(grew > 200 && shrank > 50, "the cases exercise growth ({grew}) and eviction ({shrank})");
}

/// What a router believes of a prompt that is one node of the forest: the last of its reports that arrived.
#[test]
fn batched_late_and_lost_events_are_the_last_that_arrived() {
    let (mut late, mut stale) = (0, 0);
    for seed in 0..1500 {
        let case = Case::steady(seed);
        let (instance, prompt) = (&case.config.instances[0], case.workload.requests.last().expect("requests").prompt);
        let mut path = Vec::new();
        case.workload.forest.path(prompt, &mut path);
        let whole = prompt.leaf.is_some_and(|leaf| case.workload.forest.end(leaf) == prompt.tokens);
        if path.len() != 1 || !whole || prompt.tokens % instance.block_tokens == 0 || instance.cache.partial_tail {
            continue;
        }
        let truth = probed(&case, Stepping::Macro, PrefixSignal::Oracle);
        for lag in [lag(60, 0, 0, 0.0), lag(0, 0, 0, 0.5), lag(40, 20, 90, 0.3), lag(0, 7, 50, 0.0)] {
            // Probe k sees what happened up to the even time 2k.
            let (mut reports, mut before, mut last) = (Vec::new(), 0, 0);
            for (k, &hit) in truth.iter().enumerate() {
                if hit != before {
                    let sent = lag.every.0.max(1) * (2 * k as u64).div_ceil(lag.every.0.max(1));
                    let stream = "signals/events/instance-0";
                    if let Some(arrives) = arrival(case.config.seed, stream, sent, sent, lag) {
                        last = arrives.max(last);
                        reports.push((last, hit));
                    }
                }
                before = hit;
            }
            for stepping in [Stepping::Macro, Stepping::Every] {
                let seen = probed(&case, stepping, PrefixSignal::Events { lag });
                for (k, &hit) in seen.iter().enumerate() {
                    let now = 2 * k as u64 + 1;
                    let believed = reports.iter().take_while(|&&(at, _)| at <= now).last().map_or(0, |&(_, hit)| hit);
                    assert_eq!(hit, believed, "seed {seed} at {now}, {lag:?}, {stepping:?}");
                    late += usize::from(hit < truth[k]);
                    stale += usize::from(hit > truth[k]);
                }
            }
        }
    }
    assert!(late > 1000 && stale > 50, "beliefs are too low ({late}) and too high ({stale})");
}

/// Sends each request where the case says, and keeps what instance 0 says it has completed.
struct Historian {
    route: Vec<usize>,
    told: Arc<Mutex<Vec<(SimTime, History)>>>,
}

impl Scheduler for Historian {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        self.told.lock().expect("one thread").push((view.now(), view.history(InstanceId(0))));
        Decision::Route(InstanceId::from_index(self.route[arrival.id.index()]))
    }
}

/// The totals are those of the rows that had ended by the newest report that has arrived.
#[test]
fn history_is_what_had_completed() {
    let (mut busy, mut overtaken) = (0, 0);
    let lags = [
        lag(0, 0, 0, 0.0),
        lag(1, 0, 0, 0.0),
        lag(700, 0, 0, 0.0),
        lag(50, 30, 0, 0.0),
        lag(50, 0, 0, 0.4),
        lag(20, 10, 200, 0.3),
    ];
    for (seed, lag) in (0..600).zip(lags.into_iter().cycle()) {
        let case = Case::steady(seed);
        let told = Arc::new(Mutex::new(Vec::new()));
        let scheduler = Historian { route: case.route.clone(), told: told.clone() };
        let signals = SignalsConfig { load: lag, ..SignalsConfig::default() };
        let config = ClusterConfig { signals, ..case.config.clone() };
        let history = def(Signals { history: true, ..Signals::NONE });
        let result = run(&config, &history, Box::new(scheduler), &mut case.workload.clone());
        for &(now, seen) in told.lock().expect("one thread").iter() {
            let reported = if lag.every == SimTime::ZERO {
                now.0
            } else {
                let arrives =
                    |n: u64| arrival(case.config.seed, "signals/load/instance-0", n - 1, n * lag.every.0, lag);
                let all = (1..=now.0 / lag.every.0).filter(|&n| arrives(n).is_some_and(|at| at <= now.0));
                let newest = all.clone().max().unwrap_or(0);
                overtaken += all.filter(|&n| n < newest && arrives(n) > arrives(newest)).count();
                newest * lag.every.0
            };
            let mut expected = History::default();
            let ended = |row: &&Row| row.outcome == Outcome::Completed && row.instance == InstanceId(0);
            for row in result.rows.iter().filter(ended).filter(|row| row.finish.0 <= reported) {
                expected.requests += 1;
                expected.queue_ps += u128::from((row.admitted - row.routed).0);
                expected.prefill_ps += u128::from((row.first_token - row.admitted).0);
                expected.decode_ps += u128::from((row.finish - row.first_token).0);
                expected.prompt_tokens += u64::from(row.prompt_tokens);
                expected.output_tokens += u64::from(row.output_tokens);
            }
            assert_eq!(seen, expected, "seed {seed} at {now:?}, reports {lag:?}");
            busy += seen.requests;
        }
    }
    assert!(busy > 1000, "the cases complete requests: {busy}");
    assert!(overtaken > 100, "reports overtake each other: {overtaken}");
}

/// Sends each request where the case says, and keeps the router's books.
struct Bookkeeper {
    route: Vec<usize>,
    books: Arc<Mutex<Vec<(SimTime, Counters)>>>,
}

impl Scheduler for Bookkeeper {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        self.books.lock().expect("one thread").push((view.now(), view.counters().clone()));
        Decision::Route(InstanceId::from_index(self.route[arrival.id.index()]))
    }
}

/// The router's books count a request until the report of its end arrives, and its prompt until that of its first token.
#[test]
fn books_close_when_feedback_arrives() {
    const TIMEOUT: u64 = 5000;
    let (mut open, mut waiting) = (0, 0);
    let lags = [lag(0, 0, 0, 0.0), lag(0, 300, 0, 0.0), lag(100, 0, 0, 0.0), lag(30, 20, 500, 0.4), lag(0, 0, 0, 0.5)];
    for (seed, feedback) in (0..600).zip(lags.into_iter().cycle()) {
        let case = Case::steady(seed);
        let books = Arc::new(Mutex::new(Vec::new()));
        let scheduler = Bookkeeper { route: case.route.clone(), books: books.clone() };
        let signals = SignalsConfig { feedback, feedback_timeout: SimTime(TIMEOUT), ..SignalsConfig::default() };
        let config = ClusterConfig { signals, ..case.config.clone() };
        let result = run(&config, &def(Signals::NONE), Box::new(scheduler), &mut case.workload.clone());
        let known = |id: usize, row: &Row| {
            let number = |what: u64| (id as u64) << 9 | what;
            let arrives = |what, at: SimTime| {
                arrival(case.config.seed, "signals/feedback", number(what), feedback_sent(at, feedback), feedback)
            };
            let first = arrives(0, row.first_token);
            let end = arrives(1, row.finish).unwrap_or(row.finish.0 + TIMEOUT).max(first.unwrap_or(0));
            (first.unwrap_or(end), end)
        };
        for (number, (now, seen)) in books.lock().expect("one thread").iter().enumerate() {
            let mut expected = Counters {
                dispatched: vec![0; case.config.instances.len()],
                in_flight: vec![0; case.config.instances.len()],
                in_flight_tokens: vec![0; case.config.instances.len()],
                active_prefill_tokens: vec![0; case.config.instances.len()],
                pending_prefill_tokens: seen.pending_prefill_tokens.clone(),
            };
            for (id, row) in result.rows[..number].iter().enumerate() {
                if row.outcome != Outcome::Completed {
                    continue;
                }
                let (instance, (first, end)) = (row.instance.index(), known(id, row));
                expected.dispatched[instance] += 1;
                if end > now.0 {
                    expected.in_flight[instance] += 1;
                    expected.in_flight_tokens[instance] += u64::from(row.prompt_tokens);
                    open += usize::from(row.finish.0 <= now.0);
                }
                if first > now.0 {
                    expected.active_prefill_tokens[instance] += u64::from(row.prompt_tokens);
                    waiting += usize::from(row.first_token.0 <= now.0);
                }
            }
            assert_eq!(format!("{seen:?}"), format!("{expected:?}"), "seed {seed} at {now:?}, {feedback:?}");
        }
    }
    assert!(open > 500 && waiting > 500, "the router learns late of ends ({open}) and of first tokens ({waiting})");
}

/// When what happened at `at` is sent.
fn feedback_sent(at: SimTime, lag: Lag) -> u64 {
    if lag.every == SimTime::ZERO { at.0 } else { at.0.div_ceil(lag.every.0) * lag.every.0 }
}

/// Always to the first instance.
struct First;

impl Scheduler for First {
    fn route(&mut self, _: &Arrival<'_>, _: &ClusterView<'_>, _: &mut Actions) -> Decision {
        Decision::Route(InstanceId(0))
    }
}

/// Two requests with one prompt of 100 tokens, blocks of 16: 96 tokens are cached between them, unless they are lost.
#[test]
fn beliefs_are_written_down_beside_the_truth() {
    let shadow = PrefixSignal::Shadow { capacity_tokens: None, ttl: None };
    let events = |delay| PrefixSignal::Events { lag: Lag::of(SimTime(delay)) };
    let lost = PrefixSignal::Events { lag: lag(0, 0, 0, 1.0) };
    let flush = Some(Change::Flush(InstanceId(0)));
    let fail = Some(Change::Fail { instance: InstanceId(0), repair: Some(SimTime(1)) });
    // Signal, what happens in between, when the second comes; of that, what is believed, cached, found.
    for (prefix, between, second, expected) in [
        (PrefixSignal::Oracle, None, 10_000, [96, 96, 96]),
        (PrefixSignal::Oracle, flush, 10_000, [0, 0, 0]),
        (PrefixSignal::Oracle, None, 5, [0, 0, 96]),
        (events(100), None, 10_000, [96, 96, 96]),
        (events(9_500), None, 10_000, [0, 96, 96]),
        (events(1_000), flush, 5_500, [96, 0, 0]),
        (lost, None, 10_000, [0, 96, 96]),
        (shadow, None, 10_000, [96, 96, 96]),
        (shadow, flush, 10_000, [96, 0, 0]),
        (shadow, None, 5, [96, 0, 96]),
        // Of an instance that failed nothing is believed, whatever reports are on their way or lost.
        (events(4_500), fail, 10_000, [0, 0, 0]),
        (events(1_000), fail, 5_500, [0, 0, 0]),
    ] {
        let mut instance = Case::steady(0).config.instances[0].clone();
        instance.cost = Arc::new(Linear { step: 10, per_prefill_token: 10, per_seq: 0, per_context: 0 });
        (instance.kv_blocks, instance.block_tokens, instance.watermark_blocks) = (100, 16, 0);
        (instance.max_batched_tokens, instance.max_seqs) = (200, 1);
        instance.cache = CacheConfig::default();
        let mut forest = PrefixForest::new();
        let prompt = Prompt { leaf: forest.add(None, 100).ok(), tokens: 100 };
        let requests = vec![Request::new(0, SimTime(0), prompt, 2), Request::new(1, SimTime(second), prompt, 2)];
        let mut config = ClusterConfig::new(vec![instance]);
        config.signals.prefix = prefix;
        config.dynamics.events = between.map(|change| (SimTime(5_000), change)).into_iter().collect();
        let workload = &mut FixedWorkload::new(forest, requests);
        let rows = run(&config, &def(Signals::NONE), Box::new(First), workload).rows;
        let seen = [rows[1].believed_tokens, rows[1].cached_tokens, rows[1].hit_tokens];
        assert_eq!(seen, expected, "{prefix:?}, {between:?}, second at {second}");
        assert_eq!((rows[0].believed_tokens, rows[0].cached_tokens), (0, 0));
    }
}

#[test]
fn exact_signals_are_never_wrong() {
    let mut hits = 0;
    for seed in 0..300 {
        let case = Case::new(seed);
        let network = SimTime(if seed % 2 == 0 { 0 } else { 30 });
        let config =
            ClusterConfig { router: RouterConfig { network, ..RouterConfig::default() }, ..case.config.clone() };
        let result = run(&config, &def(Signals::NONE), Box::new(Cycle(0)), &mut case.workload.clone());
        assert_eq!(result.beliefs, None, "nothing to sample");
        for row in &result.rows {
            assert_eq!(row.believed_tokens, row.cached_tokens, "seed {seed}: {row:?}");
            hits += row.cached_tokens;
        }
    }
    assert!(hits > 1000, "there is something to believe: {hits}");
}

/// One after the other.
struct Cycle(usize);

impl Scheduler for Cycle {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        self.0 += 1;
        Decision::Route(view.members()[self.0 % view.members().len()])
    }
}

/// Counts how often it is told of fresh reports.
struct Told(Arc<Mutex<u32>>);

impl Scheduler for Told {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        Decision::Route(view.members()[0])
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        *self.0.lock().expect("one thread") += u32::from(*hook == Hook::Snapshots);
    }
}

/// Two requests 10,000 ps apart; reports every 1,000 ps.
#[test]
fn only_reports_that_arrive_are_news() {
    for (load, expected) in
        [(lag(1_000, 0, 0, 0.0), 9..=11), (lag(1_000, 5_500, 0, 0.0), 4..=6), (lag(1_000, 0, 0, 1.0), 0..=0)]
    {
        let mut instance = Case::steady(0).config.instances[0].clone();
        instance.cost = Arc::new(Linear { step: 10, per_prefill_token: 0, per_seq: 0, per_context: 0 });
        let request = |id: u32, at| Request::new(id, SimTime(at), Prompt { leaf: None, tokens: 1 }, 1);
        let workload = &mut FixedWorkload::new(PrefixForest::new(), vec![request(0, 0), request(1, 10_000)]);
        let signals = SignalsConfig { load, ..SignalsConfig::default() };
        let config = ClusterConfig { signals, ..ClusterConfig::new(vec![instance]) };
        let told = Arc::new(Mutex::new(0));
        let hears = SchedulerDef { hooks: true, ..def(Signals { snapshots: true, ..Signals::NONE }) };
        run(&config, &hears, Box::new(Told(told.clone())), workload);
        let told = *told.lock().expect("one thread");
        assert!(expected.contains(&told), "{load:?}: {told} times");
    }
}
