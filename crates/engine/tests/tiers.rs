//! Memory behind a cache, on cases that can be computed by hand: one prompt of six blocks of one token is computed and
//! written through, something happens, and the prompt comes again.

use std::sync::Arc;

use trimtab_core::{FixedWorkload, InstanceId, PrefixForest, Prompt, Request, SimTime};
use trimtab_engine::cost::Linear;
use trimtab_engine::{
    CacheConfig, Change, ClusterConfig, EvictionConfig, InstanceConfig, Link, Mixing, Order, Promotion, Row, Stepping,
    Survives, TierConfig, Visible, WritePolicy, run,
};
use trimtab_sched::{Actions, Arrival, ClusterView, Decision, Scheduler, SchedulerDef, Signals, no_params};

struct First;

impl Scheduler for First {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        Decision::Route(view.members()[0])
    }
}

const FIRST: SchedulerDef = SchedulerDef {
    name: "first",
    summary: "the first instance",
    citation: "test",
    deviations: &[],
    signals: Signals::NONE,
    hooks: false,
    params: no_params,
    build: |_, _| unreachable!("built by hand"),
};

/// Picoseconds to compute a token.
const TOKEN: u64 = 10;
const PROMPT: u32 = 6;
/// Of these, one is always computed.
const HELD: u32 = PROMPT - 1;

fn tier(ps_per_token: u64) -> TierConfig {
    TierConfig {
        blocks: 1000,
        shared: false,
        link: Link { ps_per_token, latency: SimTime::ZERO },
        pool_ps_per_token: 0,
        write: WritePolicy::Through,
        promotion: Promotion::Copy,
        prefetch: false,
        overlapped: true,
        survives: Survives::Nothing,
    }
}

/// The last rows of: a prompt, a change of the only instance, and, together, as many prompts of others as `before` and
/// the first one again.
fn again(tier: TierConfig, before: u32, events: &[Change]) -> Row {
    again_behind(tier, before, 1, events)
}

/// The same, the prompts of others with so many output tokens.
fn again_behind(tier: TierConfig, before: u32, output: u32, events: &[Change]) -> Row {
    let instance = InstanceConfig {
        cost: Arc::new(Linear { step: 0, per_prefill_token: TOKEN, ..Linear::default() }),
        kv_blocks: 100,
        block_tokens: 1,
        max_batched_tokens: 1000,
        max_seqs: 1,
        mixing: Mixing::DecodeFirst,
        order: Order::Fcfs,
        watermark_blocks: 0,
        cache: CacheConfig { visible: Visible::Computed, ..CacheConfig::default() },
        eviction: EvictionConfig::default(),
    };
    let mut forest = PrefixForest::new();
    let mut prompt = || Prompt { leaf: forest.add(None, PROMPT).ok(), tokens: PROMPT };
    let first = prompt();
    let mut requests = vec![Request::new(0, SimTime::ZERO, first, 1)];
    for id in 1..=before {
        requests.push(Request::new(id, SimTime(1000), prompt(), output));
    }
    requests.push(Request::new(before + 1, SimTime(1000), first, 1));
    let mut config = ClusterConfig { tier: Some(tier), ..ClusterConfig::new(vec![instance]) };
    config.dynamics.events = (0..).zip(events).map(|(index, &event)| (SimTime(500 + 50 * index), event)).collect();
    let go = |stepping| {
        let config = ClusterConfig { stepping, ..config.clone() };
        run(&config, &FIRST, Box::new(First), &mut FixedWorkload::new(forest.clone(), requests.clone())).rows
    };
    let rows = go(Stepping::Macro);
    assert_eq!(rows, go(Stepping::Every));
    *rows.last().expect("there are requests")
}

const FLUSH: Change = Change::Flush(InstanceId(0));

#[test]
fn what_is_read_and_what_is_computed_take_the_least_time_together() {
    let mut splits = 0;
    for overlapped in [false, true] {
        for ps_per_token in 0..=30 {
            let row = again(TierConfig { overlapped, ..tier(ps_per_token) }, 0, &[FLUSH]);
            let time = |read: u32| {
                let (wait, rest) = (ps_per_token * u64::from(read), TOKEN * u64::from(PROMPT - read));
                if overlapped { wait.max(rest) } else { wait + rest }
            };
            let best = (0..=HELD).min_by_key(|&read| time(read)).expect("something can be done");
            let found = (row.loaded_tokens, row.ttft().expect("it was served").0);
            assert_eq!(found, (best, time(best)), "{ps_per_token} ps a token, overlapped {overlapped}");
            splits += u32::from((1..HELD).contains(&best));
        }
    }
    assert!(splits >= 10, "only {splits} times a part was best");
    // All would take 40 ps, nothing 60.
    let part = again(tier(8), 0, &[FLUSH]);
    assert_eq!((part.loaded_tokens, part.ttft()), (3, Some(SimTime(30))));
}

#[test]
fn reading_ahead_uses_the_time_in_the_queue() {
    // The prompt before it takes 60 ps; reading a token takes 20. Ahead: four tokens by 80 ps, behind which two are
    // computed from 60 on. At admission: two tokens by 100 ps, while four are computed.
    for (prefetch, loaded, ttft) in [(true, 4, 80), (false, 2, 100)] {
        let row = again(TierConfig { prefetch, ..tier(20) }, 1, &[FLUSH]);
        assert_eq!((row.loaded_tokens, row.ttft()), (loaded, Some(SimTime(ttft))), "prefetch {prefetch}");
    }
}

#[test]
fn what_was_not_foreseen_in_the_queue_is_read_at_admission() {
    // The prompt before it takes 60 ps and then decodes, which nobody foresees, in 7 steps of 1 ps: at 1060 four tokens
    // were to be there, at 20 ps each, and two computed. At 1067 the fifth would take until 1100, while one is computed.
    let prefetch = TierConfig { prefetch: true, ..tier(20) };
    let decoding = |output| {
        let row = again_behind(prefetch, 1, output, &[FLUSH]);
        (row.loaded_tokens, row.ttft().expect("it was served").0 - (row.admitted.0 - 1000))
    };
    assert_eq!(decoding(8), (4, 20));
    // After 79 steps all four are there, and one more would be there when two are computed: no sooner.
    assert_eq!(decoding(80), (4, 20));
    // At 17 ps a token the fifth was too late for 1060, and is soonest when the decodes are over.
    let row = again_behind(TierConfig { prefetch: true, ..tier(17) }, 1, 80, &[FLUSH]);
    assert_eq!((row.loaded_tokens, row.ttft().expect("it was served").0 - (row.admitted.0 - 1000)), (5, 17));
}

#[test]
fn what_memory_outlives() {
    use Survives::{Failure, Nothing, Restart};
    let zero = InstanceId(0);
    let repair = Some(SimTime(100));
    let fail = |repair| Change::Fail { instance: zero, repair };
    let add = Change::Add { count: 1, group: None };
    // What happens, and whether memory that outlives nothing, restarts or failures is there afterwards.
    let cases: [(&[Change], [bool; 3]); 5] = [
        (&[FLUSH], [true; 3]),
        (&[Change::Restart(zero)], [false, true, true]),
        (&[fail(repair)], [false, false, true]),
        (&[fail(None), add], [false; 3]),
        (&[Change::Drain(zero), add], [false; 3]),
    ];
    for (events, kept) in cases {
        for (survives, kept) in [Nothing, Restart, Failure].into_iter().zip(kept) {
            let row = again(TierConfig { survives, ..tier(1) }, 0, events);
            assert_eq!(row.loaded_tokens, if kept { HELD } else { 0 }, "{events:?}, {survives:?}");
        }
        let pool = again(TierConfig { shared: true, ..tier(1) }, 0, events);
        assert_eq!(pool.loaded_tokens, HELD, "{events:?}: a pool outlives its instances");
    }
}

#[test]
fn a_flush_is_no_eviction_to_the_memory_behind() {
    let row = again(TierConfig { write: WritePolicy::Back, ..tier(1) }, 0, &[FLUSH]);
    assert_eq!((row.loaded_tokens, row.hit_tokens), (0, 0));
}
