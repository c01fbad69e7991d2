//! Waiting orders and transfers on cases that can be computed by hand.

use std::sync::Arc;

use trimtab_core::{FixedWorkload, InstanceId, PrefixForest, Prompt, Request, SimTime};
use trimtab_engine::cost::Linear;
use trimtab_engine::{
    CacheConfig, ClusterConfig, EvictionConfig, InstanceConfig, Link, Mixing, Order, RouterConfig, Row, Stepping,
    TransferConfig, run,
};
use trimtab_sched::{Actions, Arrival, ClusterView, Decision, Scheduler, SchedulerDef, Signals, no_params};

/// Sends each request where it is told, with the prefix of another instance if so.
struct Told(Vec<(u32, Option<u32>)>);

impl Scheduler for Told {
    fn route(&mut self, arrival: &Arrival<'_>, _: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let (to, from) = self.0[arrival.id.index()];
        if let Some(from) = from {
            actions.fetch(arrival.id, InstanceId(from), u32::MAX);
        }
        Decision::Route(InstanceId(to))
    }
}

const TOLD: SchedulerDef = SchedulerDef {
    name: "told",
    summary: "a list of instances",
    citation: "test",
    deviations: &[],
    signals: Signals::NONE,
    hooks: false,
    params: no_params,
    build: |_, _| unreachable!("built by hand"),
};

/// A step takes 100 ps and 1 ps for each prompt token.
fn instance(order: Order, block_tokens: u32, kv_blocks: u64) -> InstanceConfig {
    InstanceConfig {
        cost: Arc::new(Linear { step: 100, per_prefill_token: 1, ..Linear::default() }),
        kv_blocks,
        block_tokens,
        max_batched_tokens: 4000,
        max_seqs: 200,
        mixing: Mixing::DecodeFirst,
        order,
        watermark_blocks: 0,
        cache: CacheConfig::default(),
        eviction: EvictionConfig::default(),
    }
}

fn rows(config: &ClusterConfig, told: &[(u32, Option<u32>)], forest: &PrefixForest, requests: &[Request]) -> Vec<Row> {
    let go = |stepping| {
        let config = ClusterConfig { stepping, ..config.clone() };
        let mut workload = FixedWorkload::new(forest.clone(), requests.to_vec());
        run(&config, &TOLD, Box::new(Told(told.to_vec())), &mut workload).rows
    };
    let rows = go(Stepping::Macro);
    assert_eq!(rows, go(Stepping::Every));
    rows
}

#[test]
fn preble_visits_groups_in_turn() {
    // 120 requests for each cached share of 5, 15, ..., 95 %, behind one that fills the cache.
    let mut forest = PrefixForest::new();
    let mut trunk = vec![];
    for end in (5..100).step_by(10) {
        trunk.push(forest.add(trunk.last().copied(), end).unwrap());
    }
    let mut requests = vec![Request::new(0, SimTime(0), Prompt { leaf: trunk.last().copied(), tokens: 95 }, 1)];
    for k in 0..1200 {
        let leaf = forest.add(Some(trunk[k as usize % 10]), 100).unwrap();
        requests.push(Request::new(k + 1, SimTime(1000), Prompt { leaf: Some(leaf), tokens: 100 }, 1));
    }
    let config = ClusterConfig::new(vec![instance(Order::Preble { groups: 10, per_visit: 10 }, 1, 200_000)]);
    let rows = rows(&config, &vec![(0, None); requests.len()], &forest, &requests);
    let mut admitted: Vec<(SimTime, u32)> = rows[1..].iter().map(|row| (row.admitted, row.hit_tokens)).collect();
    admitted.sort_unstable();
    let visits: Vec<(usize, u32)> = admitted.chunk_by(|a, b| a == b).map(|visit| (visit.len(), visit[0].1)).collect();
    let first: Vec<_> = (0..10).map(|turn| (100 - 10 * turn, 95 - 10 * u32::try_from(turn).unwrap())).collect();
    assert_eq!(visits[..10], first);
    // What is left of the highest groups, and the rest as before.
    let second = [(20, 95), (30, 85), (40, 75), (50, 65), (60, 55), (50, 45), (40, 35), (30, 25), (20, 15), (10, 5)];
    assert_eq!(visits[10..20], second);
}

#[test]
fn a_fetched_prefix_is_not_computed() {
    let mut forest = PrefixForest::new();
    let stem = forest.add(None, 40).unwrap();
    let leaves: Vec<_> = (0..3).map(|_| forest.add(Some(stem), 50).unwrap()).collect();
    let request =
        |id: u32, at: u64| Request::new(id, SimTime(at), Prompt { leaf: Some(leaves[id as usize]), tokens: 50 }, 1);
    let requests = [request(0, 0), request(1, 1000), request(2, 5000)];
    let told = [(0, None), (1, Some(0)), (1, None)];
    let link = Link { ps_per_token: 5, latency: SimTime(7) };
    // 40 tokens take 207 ps; the 10 others take a step of 110 ps, all 50 one of 150 ps.
    for (case, transfer, router, first_token, hit) in [
        ("no links", None, RouterConfig::default(), 1150, 0),
        ("serial", Some(false), RouterConfig::default(), 1000 + 207 + 110, 40),
        ("overlapped", Some(true), RouterConfig::default(), 1000 + 207, 40),
        (
            "after the decision",
            Some(false),
            RouterConfig { decision: SimTime(30), serial: true, network: SimTime(20), ..RouterConfig::default() },
            1000 + 30 + 207 + 110,
            40,
        ),
        (
            "before the request",
            Some(false),
            RouterConfig { decision: SimTime::ZERO, serial: false, network: SimTime(300), ..RouterConfig::default() },
            1000 + 300 + 110,
            40,
        ),
    ] {
        let transfer = transfer.map(|overlapped| TransferConfig { links: vec![link; 2], overlapped });
        let config = ClusterConfig { transfer, router, ..ClusterConfig::new(vec![instance(Order::Fcfs, 10, 100); 2]) };
        let rows = rows(&config, &told, &forest, &requests);
        assert_eq!((rows[1].first_token.0, rows[1].hit_tokens), (first_token, hit), "{case}");
        // The prefix stays, whichever way it came.
        assert_eq!(rows[2].hit_tokens, 40, "{case}");
    }
}

#[test]
fn a_serial_router_takes_one_request_at_a_time() {
    let requests: Vec<_> =
        (0..3).map(|id| Request::new(id, SimTime(0), Prompt { leaf: None, tokens: 10 }, 1)).collect();
    for (serial, reached) in [(false, [50, 50, 50]), (true, [50, 90, 130])] {
        let router = RouterConfig { decision: SimTime(40), serial, network: SimTime(10), ..RouterConfig::default() };
        let config = ClusterConfig { router, ..ClusterConfig::new(vec![instance(Order::Fcfs, 10, 100); 3]) };
        let rows = rows(&config, &[(0, None), (1, None), (2, None)], &PrefixForest::new(), &requests);
        let admitted: Vec<u64> = rows.iter().map(|row| row.admitted.0).collect();
        assert_eq!(admitted, reached, "serial: {serial}");
        assert!(rows.iter().all(|row| row.ttft() == Some(row.first_token)));
    }
}
