//! Replays a log of `drive.py` through trimtab's `sglang-cache-aware` and counts how often both chose the same worker.
//!
//! The policy sees the prompts, the requests in flight and the trimmings of the tree of the log; its tree is its own, and
//! holds what it chose itself.

use std::process::ExitCode;

use serde_json::{Map, Value};
use trimtab_core::{InstanceId, PS_PER_S, PrefixForest, PrefixId, Prompt, RequestId, RngStreams, SimTime, TenantId};
use trimtab_sched::{
    Actions, Arrival, BuildContext, ClusterView, Counters, Decision, InstanceInfo, Probe, Queued, Registry, Snapshot,
};

/// The policy looks at counters alone.
struct Nothing;

impl Probe for Nothing {
    fn snapshot(&self, _: InstanceId) -> Snapshot {
        Snapshot::default()
    }
    fn hit_tokens(&self, _: RequestId, _: InstanceId) -> u32 {
        0
    }
    fn all_hit_tokens(&self, _: RequestId, _: &mut Vec<u32>) {}
    fn prefill_ps(&self, _: InstanceId, _: u32, _: u32) -> u64 {
        0
    }
    fn queue_ps(&self, _: InstanceId) -> u64 {
        0
    }
    fn queued(&self, _: InstanceId, _: &mut Vec<Queued>) {}
}

/// One decision of the router.
struct Line {
    runs: Vec<(u64, u32)>,
    in_flight: Vec<u32>,
    evictions: u64,
    chosen: usize,
}

fn small(value: &Value) -> u32 {
    u32::try_from(value.as_u64().expect("a count")).expect("a small count")
}

fn parse(text: &str) -> Line {
    let line: Value = serde_json::from_str(text).expect("a line of the log is JSON");
    let list = |name: &str| line[name].as_array().expect("a list").clone();
    Line {
        runs: list("runs").iter().map(|run| (run[0].as_u64().expect("a node"), small(&run[1]))).collect(),
        in_flight: list("in_flight").iter().map(small).collect(),
        evictions: line["evictions"].as_u64().expect("a count"),
        chosen: small(&line["chosen"]) as usize,
    }
}

/// Nodes of 64 letters, as `drive.py` makes them.
const NODE: u32 = 64;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let usage = "usage: sglang-router-agreement LOG [--least SHARE] [KEY=VALUE ...]";
    let log = std::fs::read_to_string(args.next().expect(usage)).expect("the log can be read");
    let mut least = 0.99;
    let mut params = Map::new();
    // A letter of the log's prompts is a token here, and a character there.
    params.insert("chars_per_token".into(), 1.0.into());
    params.insert("eviction_interval_s".into(), 1.0.into());
    while let Some(arg) = args.next() {
        if arg == "--least" {
            least = args.next().expect(usage).parse().expect("a share");
        } else {
            let (key, value) = arg.split_once('=').expect(usage);
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
            params.insert(key.into(), value);
        }
    }

    let (head, rest) = log.split_once('\n').expect("an empty log compares nothing");
    let lines: Vec<Line> = rest.lines().map(parse).collect();
    let workers = lines.first().expect("a log without decisions compares nothing").in_flight.len();
    // The policy enters each worker once.
    let head: Value = serde_json::from_str(head).expect("a line of the log is JSON");
    let entered = head["operations"].as_u64().expect("a count");
    params.insert("epoch_start".into(), entered.saturating_sub(workers as u64).into());
    // The first prompts match nothing, so they go to the least loaded, in the router's own order of workers.
    let order: Vec<usize> = lines[..workers].iter().map(|line| line.chosen).collect();
    assert!(
        (0..workers).all(|w| order.contains(&w)),
        "the first {workers} prompts tell the order of workers: {order:?}"
    );

    let registry = Registry::default();
    let def = registry.get("sglang-cache-aware").expect("a built-in scheduler");
    let info =
        InstanceInfo { kv_blocks: 1, block_tokens: 16, max_batched_tokens: 1, max_seqs: 1, prefill_tokens_per_s: 1 };
    let context = BuildContext { instances: vec![info; workers], streams: RngStreams::new(1), slo_ttft: None };
    let mut scheduler = (def.build)(&Value::Object(params), &context).unwrap_or_else(|error| panic!("{error}"));
    let members: Vec<InstanceId> = (0..workers).map(InstanceId::from_index).collect();
    let mut forest = PrefixForest::new();
    let mut nodes: Vec<PrefixId> = Vec::new();
    let (mut agreed, mut reasons) = (0_usize, std::collections::BTreeMap::<&str, [usize; 2]>::new());
    for (n, line) in (0_u32..).zip(&lines) {
        // Numbers are given in the order of growth: a node that is new here is the next one.
        let mut path: Vec<PrefixId> = Vec::new();
        for (&(node, _), depth) in line.runs.iter().zip(1..) {
            let node = usize::try_from(node).expect("a small number");
            if node == nodes.len() {
                nodes.push(forest.add(path.last().copied(), depth * NODE).expect("it grows"));
            }
            path.push(nodes[node]);
        }
        let tokens = line.runs.last().map_or(0, |run| run.1);
        // A trimming happens when the policy's clock passes the next second.
        let now = SimTime(line.evictions * PS_PER_S + u64::from(n));
        let arrival = Arrival {
            id: RequestId(n),
            arrival: now,
            prompt: Prompt { leaf: path.last().copied(), tokens },
            path: &path,
            forest: &forest,
            session: None,
            turn: 0,
            tenant: TenantId(0),
            model: 0,
            priority: 0,
        };
        let in_flight = order.iter().map(|&w| line.in_flight[w]).collect();
        let counters = Counters { in_flight, ..Counters::default() };
        let view = ClusterView::new(now, &members, def.signals, &counters, &Nothing);
        let mut actions = Actions::new(true);
        let Decision::Route(to) = scheduler.route(&arrival, &view, &mut actions) else { panic!("it always routes") };
        let same = order[to.index()] == line.chosen;
        agreed += usize::from(same);
        reasons.entry(actions.logged().0.unwrap_or("none")).or_default()[usize::from(same)] += 1;
        if !same && agreed + 10 > n as usize {
            eprintln!("request {n}: {} there, {} here ({:?})", line.chosen, order[to.index()], actions.logged().0);
        }
    }
    for (reason, [different, same]) in &reasons {
        println!("{reason:<36}{same:>8} same{different:>8} different");
    }
    // Where the router takes the first of a hash map nothing can be predicted.
    let [drawn, guessed] = reasons.get("match: any holder").copied().unwrap_or_default();
    let (agreed, all) = (agreed - guessed, lines.len() - drawn - guessed);
    let share = agreed as f64 / all as f64;
    println!(
        "{agreed} of {all} choices agree: {:.3} % ({} taken from a hash map apart)",
        100.0 * share,
        drawn + guessed
    );
    if share < least { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
