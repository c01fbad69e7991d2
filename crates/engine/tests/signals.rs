//! What schedulers see: a scheduler that reads everything and lets it decide sees the same in both stepping modes, the
//! index over all instances says what a look at each says, and late signals are late by what they should be.

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::hash::Hasher;
use std::sync::{Arc, Mutex};

use common::generate::Case;
use proptest::prelude::*;
use trimtab_core::{InstanceId, RequestId, RngStreams, SimTime};
use trimtab_engine::cost::{PredictionError, Predictor};
use trimtab_engine::{
    ClusterConfig, DecisionLog, Lag, Link, Order, PrefixSignal, RouterConfig, RunResult, SignalsConfig, SignalsOff,
    Split, Stepping, TransferConfig, run, run_replicas,
};
use trimtab_sched::{
    Actions, Arrival, ClusterView, Decision, Hook, Registry, Scheduler, SchedulerDef, Signals, no_params,
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

    fn learn(&mut self, arrival: &Arrival<'_>, to: InstanceId, now: SimTime) {
        self.seen.write_u32(arrival.id.0);
        self.seen.write_u32(to.0);
        self.seen.write_u64(now.0);
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

fn lag(every: impl Strategy<Value = u64>) -> impl Strategy<Value = Lag> {
    let span = |most| prop_oneof![Just(0), 1u64..most];
    (every, span(2000), span(500), prop_oneof![3 => Just(0.0), 1 => 0.0..0.5]).prop_map(
        |(every, delay, jitter, loss)| Lag {
            every: SimTime(every),
            delay: SimTime(delay),
            jitter: SimTime(jitter),
            loss,
        },
    )
}

fn signals() -> impl Strategy<Value = SignalsConfig> {
    let every = || prop_oneof![Just(0), 1u64..1000];
    let prefix = prop_oneof![
        3 => Just(PrefixSignal::Oracle),
        1 => (1u64..2000).prop_map(|ps| PrefixSignal::Events { lag: Lag::of(SimTime(ps)) }),
        2 => lag(every()).prop_map(|lag| PrefixSignal::Events { lag }),
        2 => (prop::option::of(0u64..200), prop::option::of((1u64..3000).prop_map(SimTime)))
            .prop_map(|(capacity_tokens, ttl)| PrefixSignal::Shadow { capacity_tokens, ttl }),
    ];
    let load =
        prop_oneof![Just(Lag::default()), (1u64..1000).prop_map(|every| Lag::each(SimTime(every))), lag(1u64..1000),];
    let feedback = prop_oneof![Just(Lag::default()), lag(every())];
    let sigma = prop_oneof![Just(0.0), 0.1f64..1.0];
    (prefix, load, feedback, sigma, 0u64..3000).prop_map(|(prefix, load, feedback, sigma, timeout)| SignalsConfig {
        prefix,
        load,
        feedback,
        feedback_timeout: SimTime(timeout),
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
    let split = prop_oneof![Just(Split::RoundRobin), Just(Split::Hash)];
    let replicas = prop_oneof![2 => Just((1, SimTime::ZERO)), 1 => (2u32..4, time())];
    (time(), any::<bool>(), time(), replicas, split).prop_map(|(decision, serial, network, (replicas, sync), split)| {
        RouterConfig { decision, serial, network, replicas, sync, split }
    })
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
            let nosy = || Box::new(Nosy::default()) as Box<dyn Scheduler>;
            let schedulers = (0..router.replicas).map(|_| nosy()).collect();
            run_replicas(&config, &def(ALL, true), schedulers, &mut case.workload.clone())
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
        let router = RouterConfig { replicas: 1, ..router };
        let config = ClusterConfig { router, tier, ..case.config.clone() };
        let oracle = def(Signals { oracle: true, ..Signals::NONE }, false);
        let result = run(&config, &oracle, Box::new(scheduler), &mut case.workload.clone());
        let row = result.rows.last().expect("a case has requests");
        let decided = if row.routed == SimTime::MAX { row.finish } else { row.routed };
        let expected = row.ttft().map_or(u64::MAX, |_| (row.first_token - decided).0);
        prop_assert_eq!(*tried.lock().expect("one thread"), Some(expected));
    }
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
