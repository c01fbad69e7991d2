//! The reference simulator: the semantics of the engine written down a second time, as plainly as possible.
//!
//! One loop per iteration; every count is recomputed from the blocks themselves whenever it is needed; it shares no code
//! with the engine but the input types. It is slow on purpose. The engine must agree with it on every column.

mod blocks;
mod chooser;
mod ending;
mod fleet;
mod instance;
mod reached;
mod room;
mod tier;

use std::cell::RefCell;
use std::rc::Rc;

use trimtab_core::{FixedWorkload, Request, RngStreams, SimTime};
use trimtab_engine::ClusterConfig;

use super::common::scaler::Look;

use fleet::Fleet;
use instance::Instance;
pub(crate) use reached::Reached;
use tier::{Behind, Tier};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NaiveOutcome {
    Completed,
    Rejected,
    Failed,
}

/// What the recorder keeps of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NaiveRow {
    pub(crate) arrival: SimTime,
    /// The time of the last dispatch to an instance that took it.
    pub(crate) routed: Option<SimTime>,
    /// The first admission.
    pub(crate) admitted: Option<SimTime>,
    pub(crate) first_token: Option<SimTime>,
    pub(crate) finish: Option<SimTime>,
    pub(crate) instance: usize,
    pub(crate) prompt: u32,
    /// At the first admission.
    pub(crate) hit_tokens: u32,
    /// At the first admission.
    pub(crate) hit_blocks: u32,
    /// When it was last sent to an instance before its first admission.
    pub(crate) cached_tokens: u32,
    /// At the first admission.
    pub(crate) loaded_tokens: u32,
    /// Tokens that preemptions threw away.
    pub(crate) recomputed: u64,
    /// Tokens generated: none for a request that did not complete.
    pub(crate) output: u32,
    pub(crate) preemptions: u32,
    pub(crate) migrations: u32,
    /// Times it was sent anew after a failure or by its client.
    pub(crate) retries: u32,
    /// Times its instance failed.
    pub(crate) lost: u32,
    /// Times its client hung up.
    pub(crate) hung_up: u32,
    pub(crate) outcome: NaiveOutcome,
}

/// What one run gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NaiveResult {
    /// One row per request, by id.
    pub(crate) rows: Vec<NaiveRow>,
    /// All times between two tokens of one request, ascending.
    pub(crate) gaps: Vec<u64>,
    /// Steps of all instances.
    pub(crate) iterations: u64,
    pub(crate) evicted_blocks: u64,
    pub(crate) reached: Reached,
    /// Of each request: tokens hit (at every admission) and tokens prefilled.
    hit_or_prefilled: Vec<u64>,
    last_token: Vec<SimTime>,
    /// When instances started, served, stopped and failed.
    pub(crate) turns: Vec<(SimTime, usize, Turn)>,
    slo: Option<SimTime>,
    /// What happened to requests since the autoscaler was last asked.
    recent: Recent,
}

/// A turn in the life of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Starts,
    Serves,
    Stops,
    Fails,
}

/// What happened to requests lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Recent {
    first_tokens: u64,
    in_time: u64,
    turned_away: u64,
}

/// Runs the workload to its end. `route` names an instance for a request, given its index and the instances that can be
/// chosen; `scale` says how many instances there should be.
pub(crate) fn simulate(
    config: &ClusterConfig,
    workload: &FixedWorkload,
    route: &mut dyn FnMut(usize, &[usize]) -> usize,
    scale: &mut dyn FnMut(&Look) -> u32,
) -> NaiveResult {
    let requests = &workload.requests;
    let mut result = NaiveResult {
        hit_or_prefilled: vec![0; requests.len()],
        last_token: vec![SimTime::ZERO; requests.len()],
        slo: config.slo_ttft,
        ..NaiveResult::default()
    };
    let streams = RngStreams::new(config.seed);
    let stream = |index: usize| streams.stream(&format!("eviction/instance-{index}"));
    let mut shared = None;
    let mut instances: Vec<Instance> = config
        .instances
        .iter()
        .enumerate()
        .map(|(index, c)| {
            Instance::new(c, stream(index), behind(config, &mut shared, index), &workload.forest, requests)
        })
        .collect();
    let mut fleet = Fleet::new(config, requests.len());
    let mut ended = 0;

    while ended < requests.len() {
        let arrival = requests.get(result.rows.len()).map(|r| r.arrival);
        let step_end = instances.iter().filter_map(|i| i.step_end).min();
        let Some(now) = arrival.into_iter().chain(step_end).chain(fleet.next()).min() else {
            fleet.give_up_stranded(&mut result);
            break;
        };
        result.reached.arrivals_at_step_ends += u64::from(arrival == step_end);

        for i in 0..instances.len() {
            if instances[i].step_end == Some(now) {
                for request in instances[i].end_step(now, &mut result) {
                    fleet.ended(request);
                }
                for request in instances[i].drop_hung_up() {
                    fleet.ask_again(request, now, &mut result);
                }
                fleet.stop_if_drained(i, now, &mut instances, &mut result);
            }
        }
        fleet.change(now, &mut instances, scale, &mut result);
        while let Some(index) = fleet.next_decision(now) {
            fleet.begin_to_wait(index, now);
            place(index, now, &mut instances, &mut fleet, route, &mut result);
        }
        while let Some(request) = requests.get(result.rows.len()).filter(|r| r.arrival == now) {
            let index = result.rows.len();
            result.reached.simultaneous_arrivals += u64::from(index > 0 && requests[index - 1].arrival == now);
            result.rows.push(row(request));
            fleet.begin_to_wait(index, now);
            place(index, now, &mut instances, &mut fleet, route, &mut result);
        }
        for instance in &mut instances {
            if instance.step_end.is_none() {
                instance.plan(now, &mut result);
            }
        }
        let over = |row: &NaiveRow| row.finish.is_some() || row.outcome != NaiveOutcome::Completed;
        ended = result.rows.iter().filter(|row| over(row)).count();
    }
    check_end(&result, requests);
    let reached = &mut result.reached;
    (reached.memory_lost, reached.memory_kept) = (fleet.memory_lost, fleet.memory_kept);
    if config.clients.is_some() || !config.dynamics.is_static() {
        reached.reads_amid_changes = reached.read_at_admission + reached.read_ahead;
    }
    result.gaps.sort_unstable();
    result
}

/// The tier behind an instance: its own, or the one for all.
fn behind(config: &ClusterConfig, shared: &mut Option<Rc<RefCell<Tier>>>, index: usize) -> Option<Behind> {
    let tier = config.tier?;
    let new = |members| Rc::new(RefCell::new(Tier::new(tier, members)));
    Some(if tier.shared {
        Behind { tier: Rc::clone(shared.get_or_insert_with(|| new(config.instances.len()))), member: index }
    } else {
        Behind { tier: new(1), member: 0 }
    })
}

/// Sends a request where it is routed, if there is an instance and it fits there.
fn place(
    index: usize,
    now: SimTime,
    instances: &mut [Instance],
    fleet: &mut Fleet,
    route: &mut dyn FnMut(usize, &[usize]) -> usize,
    result: &mut NaiveResult,
) {
    let members = fleet.members();
    if members.is_empty() {
        result.reached.stranded += 1;
        fleet.strand(index);
        return;
    }
    let target = route(index, &members);
    let row = &mut result.rows[index];
    row.instance = target;
    if instances[target].accepts(index) {
        row.routed = Some(now);
        if row.admitted.is_none() {
            row.cached_tokens = instances[target].lookup(index, row.prompt + fleet.generated[index]).0;
        }
        instances[target].enqueue(index, fleet.generated[index], now);
    } else {
        row.outcome = NaiveOutcome::Rejected;
        result.recent.turned_away += 1;
        (row.output, row.finish) = (0, None);
        fleet.ended(index);
        result.reached.rejections += 1;
    }
}

fn row(request: &Request) -> NaiveRow {
    NaiveRow {
        arrival: request.arrival,
        routed: None,
        admitted: None,
        first_token: None,
        finish: None,
        instance: 0,
        prompt: request.prompt.tokens,
        hit_tokens: 0,
        hit_blocks: 0,
        cached_tokens: 0,
        loaded_tokens: 0,
        recomputed: 0,
        output: 0,
        preemptions: 0,
        migrations: 0,
        retries: 0,
        lost: 0,
        hung_up: 0,
        outcome: NaiveOutcome::Completed,
    }
}

/// Every request ended once, with all its tokens, and every token was hit or computed.
fn check_end(result: &NaiveResult, requests: &[Request]) {
    for (index, request) in requests.iter().enumerate() {
        let row = &result.rows[index];
        if row.outcome == NaiveOutcome::Completed {
            assert_eq!(row.output, request.output_tokens, "request {index} generated all its tokens");
            assert!(row.finish.is_some(), "request {index} finished");
            let work = result.hit_or_prefilled[index];
            assert_eq!(work, u64::from(row.prompt) + row.recomputed, "request {index}: hit + computed");
        } else {
            let ran = row.retries > 0 || row.outcome == NaiveOutcome::Failed || row.admitted.is_none();
            assert!(ran && row.finish.is_none() && row.output == 0, "request {index} did not complete");
        }
    }
}
