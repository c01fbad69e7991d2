//! The gate before the router: who waits at it comes in or is turned away when it says, both stepping modes agree, and
//! every request is accounted for.

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::sync::Arc;

use common::generate::Case;
use proptest::prelude::*;
use serde_json::{Value, json};
use trimtab_core::{
    FixedWorkload, InstanceId, PS_PER_S, PrefixForest, Prompt, Request, RequestId, RngStreams, SimTime, Workload,
};
use trimtab_engine::cost::Linear;
use trimtab_engine::{
    AdmissionConfig, CacheConfig, Change, Clients, ClusterConfig, Lag, Outcome, RunResult, Stepping, build_context, run,
};
use trimtab_sched::admissions::{ADMISSIONS, admission_by_name};
use trimtab_sched::{
    Actions, Arrival, BuildContext, ClusterView, Decision, Scheduler, SchedulerDef, Signals, no_params,
};

const DEF: SchedulerDef = SchedulerDef {
    name: "test",
    summary: "of this test",
    citation: "test",
    deviations: &[],
    signals: Signals::NONE,
    hooks: false,
    params: no_params,
    build: |_, _| unreachable!("built by hand"),
};

/// One after the other.
struct Cycle(usize);

impl Scheduler for Cycle {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        self.0 += 1;
        Decision::Route(view.members()[self.0 % view.members().len()])
    }
}

/// The policy of this name, as a run has it.
fn stage(config: &ClusterConfig, name: &str, params: Value) -> AdmissionConfig {
    let def = admission_by_name(name).expect("it is in the list");
    let context = BuildContext { streams: RngStreams::new(config.seed), ..build_context(config) };
    let make = move || (def.build)(&params, &context).expect("the parameters are right");
    AdmissionConfig { name: def.name, signals: def.signals, make: Arc::new(make) }
}

fn go(config: &ClusterConfig, stepping: Stepping, workload: &FixedWorkload) -> RunResult {
    run(&ClusterConfig { stepping, ..config.clone() }, &DEF, Box::new(Cycle(0)), &mut workload.clone())
}

/// An instance that takes 1 s for each request, one at a time.
fn one_at_a_time() -> ClusterConfig {
    let mut instance = Case::steady(0).config.instances[0].clone();
    instance.cost = Arc::new(Linear { step: PS_PER_S, per_prefill_token: 0, per_seq: 0, per_context: 0 });
    (instance.kv_blocks, instance.block_tokens, instance.watermark_blocks) = (100, 16, 0);
    (instance.max_batched_tokens, instance.max_seqs) = (200, 1);
    instance.cache = CacheConfig::default();
    ClusterConfig::new(vec![instance])
}

/// Requests of 100 tokens with one token of output at these seconds: what becomes of them, at which second.
#[test]
fn requests_come_in_when_the_gate_says() {
    use Outcome::{Completed, Rejected};
    let secs = |s: f64| SimTime::from_secs_f64(s).expect("seconds");
    let bucket = json!({ "rate": 0.5, "burst": 1.0 });
    let shaped = json!({ "rate": 0.5, "burst": 1.0, "over": "wait", "ttl_s": 3.0 });
    let flow = json!({ "detector": "concurrency-requests", "requests": 1.0 });
    let early = json!({ "ttft_slo_s": 2.0 });
    for (name, params, arrivals, expected) in [
        (
            "token-bucket",
            &bucket,
            &[0.0, 0.0, 1.0, 2.0][..],
            &[(Completed, 1.0), (Rejected, 0.0), (Rejected, 1.0), (Completed, 3.0)][..],
        ),
        // One each 2 s: the third would wait for 4 s and gives up after 3.
        ("token-bucket", &shaped, &[0.0, 0.0, 0.0], &[(Completed, 1.0), (Completed, 3.0), (Rejected, 3.0)]),
        // One is let in when one has ended.
        ("flow-control", &flow, &[0.0, 0.0, 0.5], &[(Completed, 1.0), (Completed, 2.0), (Completed, 3.0)]),
        // Whoever finds two others is too late: they are predicted to take a second each, and so is it.
        (
            "early-rejection",
            &early,
            &[0.0, 0.0, 0.0, 1.0],
            &[(Completed, 1.0), (Completed, 2.0), (Rejected, 0.0), (Completed, 3.0)],
        ),
    ] {
        let mut config = one_at_a_time();
        config.admission = vec![stage(&config, name, params.clone())];
        let requests =
            (0..).zip(arrivals).map(|(id, &at)| Request::new(id, secs(at), Prompt { leaf: None, tokens: 100 }, 1));
        let workload = FixedWorkload::new(PrefixForest::new(), requests.collect());
        for stepping in [Stepping::Macro, Stepping::Every] {
            let result = go(&config, stepping, &workload);
            let got: Vec<_> = result.rows.iter().map(|row| (row.outcome, row.finish)).collect();
            let expected: Vec<_> = expected.iter().map(|&(outcome, at)| (outcome, secs(at))).collect();
            assert_eq!(got, expected, "{name} {params}");
            let record = result.admission.expect("there is a gate")[0];
            let ended = record.let_in + record.rejected + record.expired + record.left;
            assert_eq!((record.asked, ended), (arrivals.len() as u64, arrivals.len() as u64), "{name}: {record:?}");
        }
    }
}

/// A client that is turned away comes back if that is its way, after a pause that doubles.
#[test]
fn those_turned_away_come_back_or_not() {
    let secs = |s: f64| SimTime::from_secs_f64(s).expect("seconds");
    for (retries, retry_rejected, outcome, finish, asked) in [
        (3, false, Outcome::Rejected, 0.0, 2),
        (0, true, Outcome::Rejected, 0.0, 2),
        // It asks again after 0.5, 1 and 2 s: the bucket is full again after 2 s.
        (2, true, Outcome::Rejected, 1.5, 4),
        (3, true, Outcome::Completed, 4.5, 5),
    ] {
        let mut config = one_at_a_time();
        config.admission = vec![stage(&config, "token-bucket", json!({ "rate": 0.5, "burst": 1.0 }))];
        config.clients =
            Some(Clients { patience: secs(100.0), until_end: false, retries, backoff: secs(0.5), retry_rejected });
        let request = |id| Request::new(id, SimTime::ZERO, Prompt { leaf: None, tokens: 100 }, 1);
        let workload = FixedWorkload::new(PrefixForest::new(), vec![request(0), request(1)]);
        let result = go(&config, Stepping::Macro, &workload);
        let row = result.rows[1];
        assert_eq!((row.outcome, row.finish), (outcome, secs(finish)), "{retries} {retry_rejected}");
        assert_eq!(result.admission.expect("there is a gate")[0].asked, asked);
        assert_eq!(u64::from(row.retries), asked - 2);
        assert_eq!(result.fleet.expect("clients have limits").turned_back, asked - 2);
    }
}

fn gates() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let ttl = || prop::option::of(1e-10..1e-8);
    let one = prop_oneof![
        (1e7..1e9, 1.0..4.0, ttl()).prop_map(|(rate, burst, ttl): (f64, f64, Option<f64>)| {
            ("token-bucket", json!({ "rate": rate, "burst": burst, "over": "wait", "ttl_s": ttl }))
        }),
        (1.0..3.0, ttl()).prop_map(|(requests, ttl): (f64, Option<f64>)| {
            ("flow-control", json!({ "detector": "concurrency-requests", "requests": requests, "ttl_s": ttl }))
        }),
        (0.5..3.0, ttl()).prop_map(|(waiting, ttl): (f64, Option<f64>)| {
            ("flow-control", json!({ "waiting": waiting, "ttl_s": ttl, "max_waiting": 5 }))
        }),
        Just(("shedding", json!({ "below": 1 }))),
        (1e-10..1e-8).prop_map(|slo: f64| ("early-rejection", json!({ "ttft_slo_s": slo }))),
    ];
    prop::collection::vec(one, 1..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn both_stepping_modes_let_in_the_same(seed: u64, gates in gates(), refresh in prop_oneof![Just(0u64), 1u64..500], again: bool) {
        let case = Case::new(seed);
        let mut config = case.config.clone();
        config.signals.load = Lag::each(SimTime(refresh));
        config.admission = gates.into_iter().map(|(name, params)| stage(&config, name, params)).collect();
        if let Some(clients) = &mut config.clients {
            clients.retry_rejected = again;
        }
        let (by_run, by_step) =
            (go(&config, Stepping::Macro, &case.workload), go(&config, Stepping::Every, &case.workload));
        prop_assert_eq!(&by_run.rows, &by_step.rows);
        prop_assert_eq!(&by_run.admission, &by_step.admission);
        prop_assert_eq!(by_run.fleet, by_step.fleet);
        for record in by_run.admission.iter().flatten() {
            prop_assert_eq!(record.asked, record.let_in + record.rejected + record.expired + record.left);
        }
    }
}

/// Clients that ask again come to a router that takes one decision at a time in the same way, with a gate or without.
#[test]
fn a_gate_that_is_wide_open_changes_nothing() {
    let mut retries = 0;
    for seed in 0..1000 {
        let case = Case::new(seed);
        if case.config.clients.is_none() {
            continue;
        }
        let mut config = case.config.clone();
        (config.router.serial, config.router.decision) = (true, SimTime(40));
        let without = go(&config, Stepping::Macro, &case.workload);
        config.admission = vec![stage(&config, "token-bucket", json!({ "rate": 1e9, "burst": 1e6 }))];
        let with = go(&config, Stepping::Macro, &case.workload);
        assert_eq!(with.rows, without.rows, "seed {seed}");
        retries += with.rows.iter().map(|row| u64::from(row.retries)).sum::<u64>();
    }
    assert!(retries > 100, "clients ask again: {retries}");
}

/// Each turn comes when the one before it has ended.
struct Turns {
    forest: PrefixForest,
    next: Option<Request>,
    left: u32,
}

impl Workload for Turns {
    fn forest(&self) -> &PrefixForest {
        &self.forest
    }

    fn peek(&mut self) -> Option<SimTime> {
        self.next.map(|request| request.arrival)
    }

    fn next(&mut self) -> Option<Request> {
        self.next.take()
    }

    fn is_open(&self) -> bool {
        false
    }

    fn ended(&mut self, request: RequestId, now: SimTime) {
        if self.left > 0 {
            self.left -= 1;
            let prompt = Prompt { leaf: None, tokens: 100 };
            self.next = Some(Request::new(request.0 + 1, SimTime(now.0 + PS_PER_S), prompt, 1));
        }
    }
}

/// All instances fail for good: every turn waits at the gate until nothing more can happen, and makes room for the next one.
#[test]
fn those_who_wait_in_vain_make_room() {
    let mut config = one_at_a_time();
    let params = json!({ "detector": "concurrency-requests", "requests": 1.0, "max_waiting": 1 });
    config.admission = vec![stage(&config, "flow-control", params)];
    config.dynamics.events = vec![(SimTime::ZERO, Change::Fail { instance: InstanceId(0), repair: None })];
    let first = Request::new(0, SimTime(PS_PER_S), Prompt { leaf: None, tokens: 100 }, 1);
    let mut turns = Turns { forest: PrefixForest::new(), next: Some(first), left: 3 };
    let result = run(&config, &DEF, Box::new(Cycle(0)), &mut turns);
    let record = result.admission.expect("there is a gate")[0];
    assert_eq!((record.asked, record.waited, record.expired, record.rejected), (4, 4, 4, 0), "{record:?}");
    assert!(result.rows.iter().all(|row| row.outcome == Outcome::Rejected));
}

#[test]
fn the_list_has_names_of_its_own() {
    for (number, def) in ADMISSIONS.iter().enumerate() {
        assert!(ADMISSIONS[..number].iter().all(|other| other.name != def.name), "{} is there twice", def.name);
        assert!(!def.summary.is_empty() && !def.citation.is_empty() && !(def.params)().params.is_empty());
    }
}
