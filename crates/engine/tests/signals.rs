//! What schedulers see: a scheduler that reads everything and lets it decide sees the same in both stepping modes, the
//! index over all instances says what a look at each says, and late signals are late by what they should be.

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::hash::Hasher;
use std::sync::{Arc, Mutex};

use common::generate::Case;
use proptest::prelude::*;
use trimtab_core::{FixedWorkload, InstanceId, Request, RequestId, RngStreams, SimTime};
use trimtab_engine::cost::{Linear, PredictionError, Predictor};
use trimtab_engine::{
    ClusterConfig, DecisionLog, Link, Order, Outcome, PrefixSignal, RouterConfig, Row, RunResult, SignalsConfig,
    SignalsOff, Stepping, TransferConfig, run,
};
use trimtab_sched::{
    Actions, Arrival, ClusterView, Decision, History, Hook, Registry, Scheduler, SchedulerDef, Signals, no_params,
};

const ALL: Signals =
    Signals { snapshots: true, history: true, prefix: true, latency: true, queues: true, oracle: false };

const fn def(signals: Signals, hooks: bool) -> SchedulerDef {
    SchedulerDef {
        name: "test",
        summary: "of this test",
        citation: "test",
        deviations: &[],
        signals,
        hooks,
        params: no_params,
        build: |_, _| unreachable!("built by hand"),
    }
}

/// Reads all it can and does something that depends on all of it.
#[derive(Default)]
struct Nosy {
    parked: Vec<RequestId>,
    hits: Vec<u32>,
    seen: rustc_hash::FxHasher,
}

impl Nosy {
    fn look(&mut self, request: Option<RequestId>, view: &ClusterView<'_>) {
        let mut queued = Vec::new();
        let seen = &mut self.seen;
        seen.write_u64(view.now().0);
        if let Some(request) = request {
            view.all_hit_tokens(request, &mut self.hits);
        }
        for &i in view.members() {
            let snapshot = view.snapshot(i);
            for value in [snapshot.at.0, snapshot.used_blocks, snapshot.pending_prefill_tokens, view.queue_ps(i)] {
                seen.write_u64(value);
            }
            for value in [snapshot.waiting, snapshot.running, view.counters().in_flight[i.index()]] {
                seen.write_u32(value);
            }
            seen.write_u64(snapshot.last_prefill_end.0);
            let history = view.history(i);
            for value in [history.requests, history.prompt_tokens, history.output_tokens, view.decode_step_ps(i, 9)] {
                seen.write_u64(value);
            }
            seen.write_u128(history.queue_ps ^ history.prefill_ps ^ history.decode_ps);
            seen.write_u64(view.counters().pending_prefill_tokens[i.index()]);
            view.queued(i, &mut queued);
            for queued in &queued {
                seen.write_u32(queued.id.0);
                seen.write_u32(queued.hit_tokens);
            }
            if let Some(request) = request {
                assert_eq!(self.hits[i.index()], view.hit_tokens(request, i), "{request:?} on {i:?}");
                seen.write_u32(self.hits[i.index()]);
            }
        }
    }

    fn draw(&self, sides: usize) -> usize {
        usize::try_from(self.seen.finish() >> 7).expect("64 bits") % sides
    }
}

impl Scheduler for Nosy {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        self.look(Some(arrival.id), view);
        let from = view.members()[self.draw(view.members().len() + 7).min(view.members().len() - 1)];
        if self.draw(3) == 0 {
            self.seen.write_u64(view.transfer_ps(from, view.members()[0], 10).unwrap_or(0));
            actions.fetch(arrival.id, from, 1 + u32::try_from(self.draw(60)).expect("small"));
        }
        if self.draw(11) == 0 {
            actions.timer(SimTime(view.now().0 + self.draw(500) as u64), arrival.id.0);
            self.parked.push(arrival.id);
            return Decision::Park;
        }
        Decision::Route(view.members()[self.draw(view.members().len())])
    }

    fn hook(&mut self, hook: &Hook, view: &ClusterView<'_>, actions: &mut Actions) {
        if let Hook::Joined { .. } = hook {
            self.parked.iter().for_each(|parked| actions.timer(view.now(), parked.0));
        }
        if let Hook::Withdrawn { request, instance: None } = *hook {
            self.parked.retain(|&parked| parked != request);
        }
        if let Hook::Timer { tag } = *hook {
            if !self.parked.contains(&RequestId(tag)) {
                return;
            }
            if view.members().is_empty() {
                return;
            }
            self.parked.retain(|&parked| parked != RequestId(tag));
            self.look(Some(RequestId(tag)), view);
            actions.route(RequestId(tag), view.members()[self.draw(view.members().len())]);
            return;
        }
        self.look(None, view);
        if view.members().is_empty() {
            return;
        }
        let (mut queued, count) = (Vec::new(), view.members().len());
        view.queued(view.members()[self.draw(count)], &mut queued);
        if !matches!(hook, Hook::Dispatched { .. }) && self.draw(5) == 0 && !queued.is_empty() {
            let moved = queued[self.draw(queued.len())].id;
            self.look(Some(moved), view);
            actions.migrate(moved, view.members()[self.draw(count)]);
        }
    }
}

fn signals() -> impl Strategy<Value = SignalsConfig> {
    let prefix = prop_oneof![
        3 => Just(PrefixSignal::Oracle),
        2 => (1u64..2000).prop_map(|ps| PrefixSignal::Events { delay: SimTime(ps) }),
        2 => (prop::option::of(0u64..200), prop::option::of((1u64..3000).prop_map(SimTime)))
            .prop_map(|(capacity_tokens, ttl)| PrefixSignal::Shadow { capacity_tokens, ttl }),
    ];
    let sigma = prop_oneof![Just(0.0), 0.1f64..1.0];
    (prefix, prop_oneof![Just(0), 1u64..1000], sigma).prop_map(|(prefix, refresh, sigma)| SignalsConfig {
        prefix,
        refresh: SimTime(refresh),
        prediction: PredictionError { sigma, ..PredictionError::default() },
        ..SignalsConfig::default()
    })
}

/// All that a run leaves behind, as text.
fn trace(result: &RunResult) -> String {
    let rows = result.rows.iter().map(|row| format!("{row:?}"));
    let decisions = result.decisions.iter().flatten().map(|row| format!("{row:?}"));
    let lines: Vec<String> = rows.chain(decisions).collect();
    format!("{}\n{:?}\n{:?}", lines.join("\n"), result.instances, (result.makespan, result.load_cv.to_bits()))
}

fn router() -> impl Strategy<Value = RouterConfig> {
    let time = || prop_oneof![Just(SimTime::ZERO), (1u64..500).prop_map(SimTime)];
    (time(), any::<bool>(), time()).prop_map(|(decision, serial, network)| RouterConfig { decision, serial, network })
}

/// The same link for all instances.
fn transfer() -> impl Strategy<Value = Option<(Link, bool)>> {
    let link =
        (0u64..30, 0u64..100).prop_map(|(ps_per_token, latency)| Link { ps_per_token, latency: SimTime(latency) });
    prop::option::of((link, any::<bool>()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn both_stepping_modes_show_the_same(
        seed: u64,
        signals in signals(),
        router in router(),
        transfer in transfer(),
        order in prop::option::of((1u32..6, 1u32..4)),
        log: bool,
    ) {
        let mut case = Case::new(seed);
        if let Some((groups, per_visit)) = order {
            case.config.instances[0].order = Order::Preble { groups, per_visit };
        }
        let transfer =
            transfer.map(|(link, overlapped)| TransferConfig { links: vec![link; case.config.instances.len()], overlapped });
        let decisions = if log { DecisionLog::Regret } else { DecisionLog::Off };
        let go = |stepping| {
            let transfer = transfer.clone();
            let config = ClusterConfig { stepping, signals, router, transfer, decisions, ..case.config.clone() };
            run(&config, &def(ALL, true), Box::new(Nosy::default()), &mut case.workload.clone())
        };
        let (by_run, by_step) = (trace(&go(Stepping::Macro)), trace(&go(Stepping::Every)));
        let difference = by_run.lines().zip(by_step.lines()).find(|(a, b)| a != b);
        prop_assert_eq!(difference, None);
    }
}

/// Sends each request where the case says, and tries the last one before.
struct Trying {
    route: Vec<usize>,
    tried: Arc<Mutex<Option<u64>>>,
}

impl Scheduler for Trying {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        let to = InstanceId::from_index(self.route[arrival.id.index()]);
        if arrival.id.index() == self.route.len() - 1 {
            let everywhere: Vec<u64> = view.members().iter().map(|&i| view.trial_ps(arrival, i)).collect();
            *self.tried.lock().expect("one thread") = Some(everywhere[to.index()]);
        }
        Decision::Route(to)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn a_trial_tells_what_then_happens(seed: u64, router in router()) {
        let case = Case::steady(seed);
        let tried = Arc::new(Mutex::new(None));
        let scheduler = Trying { route: case.route.clone(), tried: tried.clone() };
        // What other instances write to a pool and read from it is not tried.
        let tier = case.config.tier.filter(|tier| !tier.shared);
        let config = ClusterConfig { router, tier, ..case.config.clone() };
        let oracle = def(Signals { oracle: true, ..Signals::NONE }, false);
        let result = run(&config, &oracle, Box::new(scheduler), &mut case.workload.clone());
        let row = result.rows.last().expect("a case has requests");
        let decided = if row.routed == SimTime::MAX { row.finish } else { row.routed };
        let expected = row.ttft().map_or(u64::MAX, |_| (row.first_token - decided).0);
        prop_assert_eq!(*tried.lock().expect("one thread"), Some(expected));
    }
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
        signals: SignalsConfig { prefix, ..SignalsConfig::default() },
        ..ClusterConfig::new(vec![instance])
    };
    let mut workload = FixedWorkload::new(case.workload.forest.clone(), requests);
    run(
        &config,
        &def(Signals { prefix: true, ..Signals::NONE }, false),
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
            let late = probed(&case, stepping, PrefixSignal::Events { delay: SimTime(2 * ticks) });
            let ticks = usize::try_from(ticks).expect("small");
            assert!(late[..ticks].iter().all(|&hit| hit == 0), "seed {seed}");
            assert_eq!(late[ticks..], truth[..truth.len() - ticks], "seed {seed}, {ticks} ticks, {stepping:?}");
        }
        grew += truth.windows(2).filter(|w| w[0] < w[1]).count();
        shrank += truth.windows(2).filter(|w| w[0] > w[1]).count();
    }
    assert!(grew > 200 && shrank > 50, "the cases exercise growth ({grew}) and eviction ({shrank})");
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

/// The totals are those of the rows that had ended by the last report.
#[test]
fn history_is_what_had_completed() {
    let mut busy = 0;
    for (seed, refresh) in (0..300).zip([0, 1, 700].into_iter().cycle()) {
        let case = Case::steady(seed);
        let told = Arc::new(Mutex::new(Vec::new()));
        let scheduler = Historian { route: case.route.clone(), told: told.clone() };
        let signals = SignalsConfig { refresh: SimTime(refresh), ..SignalsConfig::default() };
        let config = ClusterConfig { signals, ..case.config.clone() };
        let history = def(Signals { history: true, ..Signals::NONE }, false);
        let result = run(&config, &history, Box::new(scheduler), &mut case.workload.clone());
        for &(now, seen) in told.lock().expect("one thread").iter() {
            let reported = now.0 - now.0.checked_rem(refresh).unwrap_or(0);
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
            assert_eq!(seen, expected, "seed {seed} at {now:?}, reports every {refresh} ps");
            busy += seen.requests;
        }
    }
    assert!(busy > 1000, "the cases complete requests: {busy}");
}

/// Sends each request where the case says, and keeps what is predicted of it everywhere.
struct Pricer {
    route: Vec<usize>,
    told: Arc<Mutex<Vec<(RequestId, InstanceId, u64)>>>,
}

impl Scheduler for Pricer {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        let priced = view.members().iter().map(|&i| (arrival.id, i, view.prefill_ps(i, arrival.prompt.tokens, 0)));
        self.told.lock().expect("one thread").extend(priced);
        Decision::Route(InstanceId::from_index(self.route[arrival.id.index()]))
    }
}

#[test]
fn predictions_are_wrong_by_what_was_asked_for() {
    let mut wrong = 0;
    for seed in 0..100 {
        let case = Case::steady(seed);
        let go = |prediction| {
            let told = Arc::new(Mutex::new(Vec::new()));
            let signals = SignalsConfig { prediction, ..SignalsConfig::default() };
            let config = ClusterConfig { signals, ..case.config.clone() };
            let latency = def(Signals { latency: true, ..Signals::NONE }, false);
            let pricer = Pricer { route: case.route.clone(), told: told.clone() };
            let result = run(&config, &latency, Box::new(pricer), &mut case.workload.clone());
            let told = told.lock().expect("one thread").clone();
            (told, result.rows)
        };
        let (exact, rows) = go(PredictionError::default());
        let error = PredictionError { bias: 1.5, sigma: 0.4, per_instance: true };
        let (told, same_rows) = go(error);
        assert_eq!(rows, same_rows, "what nobody acts on changes nothing");
        let predictor = Predictor::new(error, &RngStreams::new(case.config.seed)).expect("sound");
        for (&(request, instance, ps), &seen) in exact.iter().zip(&told) {
            assert_eq!(seen, (request, instance, predictor.predict(ps, request, instance)), "seed {seed}");
            wrong += usize::from(seen.2 != ps);
        }
    }
    assert!(wrong > 1000, "the predictions differ from the truth: {wrong}");
}

#[test]
fn policies_are_refused_what_is_off() {
    let off = SignalsConfig { prefix: PrefixSignal::Off, latency: false, ..SignalsConfig::default() };
    for (name, missing) in
        [("round-robin", &[][..]), ("min-ttft", &["prefix", "latency"]), ("cache-affinity", &["prefix"])]
    {
        let registry = Registry::default();
        let def = registry.get(name).expect("a built-in policy");
        let expected =
            if missing.is_empty() { Ok(()) } else { Err(SignalsOff { scheduler: name, signals: missing.to_vec() }) };
        assert_eq!(off.check(def), expected);
        assert_eq!(SignalsConfig::default().check(def), Ok(()));
    }
}
