//! Several routers: each has books and a picture of the caches of its own, and knows of the others what the last sync said.

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use std::sync::{Arc, Mutex};

use common::generate::Case;
use trimtab_core::{FixedWorkload, InstanceId, PrefixForest, Prompt, Request, SimTime};
use trimtab_engine::cost::Linear;
use trimtab_engine::{
    CacheConfig, Change, ClusterConfig, Outcome, PrefixSignal, RouterConfig, SignalsConfig, Split, run_replicas,
};
use trimtab_sched::{
    Actions, Arrival, ClusterView, Counters, Decision, Hook, Scheduler, SchedulerDef, Signals, no_params,
};

const DEF: SchedulerDef = SchedulerDef {
    name: "test",
    summary: "of this test",
    citation: "test",
    deviations: &[],
    signals: Signals { prefix: true, ..Signals::NONE },
    hooks: true,
    params: no_params,
    build: |_, _| unreachable!("built by hand"),
};

/// What a replica noticed.
#[derive(Default)]
struct Notes {
    /// Its number, when, and its books at a decision.
    books: Vec<(usize, SimTime, Counters)>,
    /// Its number, and which request another one sent where.
    learnt: Vec<(usize, u32, usize, SimTime)>,
    /// Its number, and which requests it was told of.
    told: Vec<(usize, u32)>,
}

struct Noting {
    number: usize,
    route: Vec<usize>,
    notes: Arc<Mutex<Notes>>,
}

impl Scheduler for Noting {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        let books = (self.number, view.now(), view.counters().clone());
        self.notes.lock().expect("one thread").books.push(books);
        Decision::Route(InstanceId::from_index(self.route[arrival.id.index()]))
    }

    fn learn(&mut self, arrival: &Arrival<'_>, to: InstanceId, now: SimTime) {
        self.notes.lock().expect("one thread").learnt.push((self.number, arrival.id.0, to.index(), now));
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if let Hook::Dispatched { request, .. } | Hook::FirstToken { request, .. } | Hook::Finished { request, .. } =
            hook
        {
            self.notes.lock().expect("one thread").told.push((self.number, request.0));
        }
    }
}

#[test]
fn books_are_those_of_the_last_sync_and_ones_own_since() {
    let (mut unseen, mut learnt) = (0, 0);
    for (seed, (replicas, sync)) in (0..400).zip([(2, 300), (3, 0), (3, 90), (1, 0)].into_iter().cycle()) {
        let case = Case::steady(seed);
        let notes = Arc::new(Mutex::new(Notes::default()));
        let router = RouterConfig { replicas, sync: SimTime(sync), ..RouterConfig::default() };
        let config = ClusterConfig { router, ..case.config.clone() };
        let noting =
            |number| Box::new(Noting { number, route: case.route.clone(), notes: notes.clone() }) as Box<dyn Scheduler>;
        let schedulers = (0..replicas as usize).map(noting).collect();
        let rows = run_replicas(&config, &DEF, schedulers, &mut case.workload.clone()).rows;
        let of = |id: usize| id % replicas as usize;
        let notes = notes.lock().expect("one thread");
        for (id, (number, now, books)) in notes.books.iter().enumerate() {
            assert_eq!(*number, of(id), "requests come to the replicas in turn");
            let synced = now.0.checked_div(sync).map_or(0, |times| times * sync);
            let mut expected = vec![0; case.config.instances.len()];
            for (other, row) in rows[..id].iter().enumerate().filter(|(_, row)| row.outcome == Outcome::Completed) {
                let (known, open) = if of(other) == of(id) {
                    (true, row.finish > *now)
                } else {
                    unseen += usize::from(row.finish > *now && row.arrival.0 >= synced);
                    (row.arrival.0 < synced, row.finish.0 > synced)
                };
                expected[row.instance.index()] += u32::from(known && open);
            }
            assert_eq!(books.in_flight, expected, "seed {seed}, request {id} at {now:?}, sync every {sync}");
        }
        for &(number, request) in &notes.told {
            assert_eq!(number, of(request as usize), "a replica is told of its own requests");
        }
        for &(number, request, to, now) in &notes.learnt {
            let row = &rows[request as usize];
            assert!(number != of(request as usize) && to == row.instance.index(), "seed {seed}");
            let next = row.arrival.0 / sync * sync + sync;
            assert_eq!(now.0, next, "seed {seed}: at the next sync");
            learnt += 1;
        }
    }
    assert!(unseen > 200 && learnt > 200, "{unseen} requests were not seen yet, {learnt} learnt of");
}

/// Two requests with one prompt of 100 tokens, the first to one replica and the second to another.
#[test]
fn pictures_of_the_caches_merge_at_a_sync() {
    let shadow = PrefixSignal::Shadow { capacity_tokens: None, ttl: None };
    // Signal, sync, split, sessions, whether the instance fails in between; what the second believes.
    for (prefix, sync, split, session, fails, believed) in [
        (shadow, 1_000, Split::RoundRobin, false, false, 96),
        (shadow, 20_000, Split::RoundRobin, false, false, 0),
        (shadow, 0, Split::RoundRobin, false, false, 0),
        // The same session comes to the same replica.
        (shadow, 0, Split::Hash, true, false, 96),
        // The truth and reports of it are there for all.
        (PrefixSignal::Oracle, 0, Split::RoundRobin, false, false, 96),
        // What the first sent was lost before the sync.
        (shadow, 7_000, Split::RoundRobin, false, true, 0),
    ] {
        let mut instance = Case::steady(0).config.instances[0].clone();
        instance.cost = Arc::new(Linear { step: 10, per_prefill_token: 10, per_seq: 0, per_context: 0 });
        (instance.kv_blocks, instance.block_tokens, instance.watermark_blocks) = (100, 16, 0);
        (instance.max_batched_tokens, instance.max_seqs) = (200, 1);
        instance.cache = CacheConfig::default();
        let mut forest = PrefixForest::new();
        let prompt = Prompt { leaf: forest.add(None, 100).ok(), tokens: 100 };
        let mut requests = vec![Request::new(0, SimTime(0), prompt, 2), Request::new(1, SimTime(10_000), prompt, 2)];
        for request in &mut requests {
            request.session = session.then_some(trimtab_core::SessionId(7));
        }
        let router = RouterConfig { replicas: 2, sync: SimTime(sync), split, ..RouterConfig::default() };
        let signals = SignalsConfig { prefix, ..SignalsConfig::default() };
        let mut config = ClusterConfig { router, signals, ..ClusterConfig::new(vec![instance]) };
        if fails {
            let failure = Change::Fail { instance: InstanceId(0), repair: Some(SimTime(1)) };
            config.dynamics.events = vec![(SimTime(5_000), failure)];
        }
        let notes = Arc::new(Mutex::new(Notes::default()));
        let noting =
            |number| Box::new(Noting { number, route: vec![0; 2], notes: notes.clone() }) as Box<dyn Scheduler>;
        let schedulers = (0..2).map(noting).collect();
        let rows = run_replicas(&config, &DEF, schedulers, &mut FixedWorkload::new(forest, requests)).rows;
        assert_eq!(rows[1].believed_tokens, believed, "{prefix:?}, sync {sync}, {split:?}, fails {fails}");
    }
}

/// Round-robin gives one replica the even requests and the other the odd: the sample takes of both.
#[test]
fn beliefs_of_all_replicas_are_sampled() {
    let mut instance = Case::steady(0).config.instances[0].clone();
    instance.cost = Arc::new(Linear { step: 1, per_prefill_token: 0, per_seq: 0, per_context: 0 });
    (instance.kv_blocks, instance.block_tokens, instance.watermark_blocks) = (1_000, 16, 0);
    (instance.max_batched_tokens, instance.cache) = (1_000, CacheConfig::default());
    let request = |id: u32| {
        let prompt = Prompt { leaf: None, tokens: if id.is_multiple_of(2) { 1_000 } else { 1 } };
        Request::new(id, SimTime(u64::from(id) * 1_000), prompt, 1)
    };
    let requests: Vec<Request> = (0..640).map(request).collect();
    let router = RouterConfig { replicas: 2, split: Split::RoundRobin, ..RouterConfig::default() };
    let prefix = PrefixSignal::Shadow { capacity_tokens: None, ttl: None };
    let signals = SignalsConfig { prefix, ..SignalsConfig::default() };
    let config = ClusterConfig { router, signals, ..ClusterConfig::new(vec![instance]) };
    let notes = Arc::new(Mutex::new(Notes::default()));
    let noting = |number| Box::new(Noting { number, route: vec![0; 640], notes: notes.clone() }) as Box<dyn Scheduler>;
    let schedulers = (0..2).map(noting).collect();
    let result = run_replicas(&config, &DEF, schedulers, &mut FixedWorkload::new(PrefixForest::new(), requests));
    let sampled = result.beliefs.expect("a router that can be wrong").prompt_tokens;
    let (even, odd) = (sampled / 1_000, sampled % 1_000);
    // One in 16 of 320 each: 20.
    assert!((10..=30).contains(&even) && (10..=30).contains(&odd), "{even} of one and {odd} of the other");
}

/// An instance that began to leave between the sending and the sync was forgotten, and nobody learns of it again.
#[test]
fn nothing_is_learnt_of_who_leaves() {
    for (leaves, expected) in [(None, 1), (Some(Change::Restart(InstanceId(0))), 0)] {
        let mut instance = Case::steady(0).config.instances[0].clone();
        instance.cost = Arc::new(Linear { step: 10, per_prefill_token: 10, per_seq: 0, per_context: 0 });
        (instance.kv_blocks, instance.block_tokens, instance.watermark_blocks) = (100, 16, 0);
        (instance.max_batched_tokens, instance.max_seqs) = (200, 1);
        let router = RouterConfig { replicas: 2, sync: SimTime(700), ..RouterConfig::default() };
        let mut config = ClusterConfig { router, ..ClusterConfig::new(vec![instance]) };
        // The request takes until 1,010.
        config.dynamics.events = leaves.map(|change| (SimTime(500), change)).into_iter().collect();
        let request = Request::new(0, SimTime(0), Prompt { leaf: None, tokens: 100 }, 1);
        let notes = Arc::new(Mutex::new(Notes::default()));
        let noting = |number| Box::new(Noting { number, route: vec![0], notes: notes.clone() }) as Box<dyn Scheduler>;
        let schedulers = (0..2).map(noting).collect();
        run_replicas(&config, &DEF, schedulers, &mut FixedWorkload::new(PrefixForest::new(), vec![request]));
        assert_eq!(notes.lock().expect("one thread").learnt.len(), expected, "{leaves:?}");
    }
}
