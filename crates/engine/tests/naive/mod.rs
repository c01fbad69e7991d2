//! The reference simulator: the semantics of the engine written down a second time, as plainly as possible.
//!
//! One loop per iteration; every count is recomputed from the blocks themselves whenever it is needed; it shares no code
//! with the engine but the input types. It is slow on purpose. The engine must agree with it on every column.

mod blocks;
mod chooser;
mod ending;
mod instance;
mod reached;
mod room;
mod tier;

use std::cell::RefCell;
use std::rc::Rc;

use trimtab_core::{FixedWorkload, Request, RngStreams, SimTime};
use trimtab_engine::ClusterConfig;

use instance::Instance;
pub(crate) use reached::Reached;
use tier::{Behind, Tier};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NaiveOutcome {
    Completed,
    Rejected,
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
    /// At the first admission.
    pub(crate) loaded_tokens: u32,
    /// Tokens that preemptions threw away.
    pub(crate) recomputed: u64,
    /// Tokens generated: none for a rejected request.
    pub(crate) output: u32,
    pub(crate) preemptions: u32,
    pub(crate) migrations: u32,
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
}

/// Runs the workload to its end. `route` names an instance for a request, given its index and the number of instances.
pub(crate) fn simulate(
    config: &ClusterConfig,
    workload: &FixedWorkload,
    route: &mut dyn FnMut(usize, usize) -> usize,
) -> NaiveResult {
    let requests = &workload.requests;
    let mut result = NaiveResult {
        hit_or_prefilled: vec![0; requests.len()],
        last_token: vec![SimTime::ZERO; requests.len()],
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

    loop {
        let arrival = requests.get(result.rows.len()).map(|r| r.arrival);
        let step_end = instances.iter().filter_map(|i| i.step_end).min();
        let Some(now) = arrival.into_iter().chain(step_end).min() else { break };
        result.reached.arrivals_at_step_ends += u64::from(arrival == step_end);

        for instance in &mut instances {
            if instance.step_end == Some(now) {
                instance.end_step(now, &mut result);
            }
        }
        while let Some(request) = requests.get(result.rows.len()).filter(|r| r.arrival == now) {
            let index = result.rows.len();
            let target = route(index, instances.len());
            let accepted = instances[target].accepts(request);
            result.reached.simultaneous_arrivals += u64::from(index > 0 && requests[index - 1].arrival == now);
            result.reached.rejections += u64::from(!accepted);
            result.rows.push(row(request, target, accepted));
            if accepted {
                instances[target].enqueue(index, now);
            }
        }
        for instance in &mut instances {
            if instance.step_end.is_none() {
                instance.plan(now, &mut result);
            }
        }
    }
    check_end(&result, requests);
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

fn row(request: &Request, instance: usize, accepted: bool) -> NaiveRow {
    NaiveRow {
        arrival: request.arrival,
        routed: accepted.then_some(request.arrival),
        admitted: None,
        first_token: None,
        finish: None,
        instance,
        prompt: request.prompt.tokens,
        hit_tokens: 0,
        hit_blocks: 0,
        loaded_tokens: 0,
        recomputed: 0,
        output: 0,
        preemptions: 0,
        migrations: 0,
        outcome: if accepted { NaiveOutcome::Completed } else { NaiveOutcome::Rejected },
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
            assert_eq!((row.admitted, row.finish, row.output), (None, None, 0), "request {index} never ran");
        }
    }
}
