//! What a plan will cost, from one short run of each group.

use trimtab_engine::Stepping;
use trimtab_sched::Registry;

use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::simulate::{self, RunError};
use crate::spec::Search;

/// The expected cost of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Cells; of a search, about as many.
    pub cells: usize,
    /// Requests of all cells.
    pub requests: u64,
    /// Processor seconds.
    pub cpu_s: f64,
    /// Bytes at a time with this many jobs.
    pub bytes: u64,
}

/// Requests of the run that the speed is taken from.
const PILOT: u64 = 500;
/// Rates that a search typically tries.
const PROBES: usize = 14;
/// Of one request in flight through a run: its row, its copy and its place in the queues, and the prompt behind it.
const BYTES_PER_REQUEST: u64 = 600;
/// Of a process before it reads anything.
const BYTES_BASE: u64 = 32 << 20;

/// Runs the first requests of every group and scales up. `seconds` tells the time.
pub fn estimate(
    plan: &Plan,
    registry: &Registry,
    jobs: usize,
    seconds: &dyn Fn() -> f64,
) -> Result<Estimate, RunError> {
    let searched = matches!(plan.search, Search::Capacity { .. });
    let per_group = plan.seeds.len() * if searched { PROBES } else { 1 };
    let (mut requests, mut cpu_s, mut largest) = (0, 0.0, 0);
    let mut known: Vec<(&crate::scenario::Workload, u64)> = Vec::new();
    for group in &plan.groups {
        let workload = &group.scenario.workload;
        let same = |other: &&(&crate::scenario::Workload, u64)| {
            let window = |w: &crate::scenario::Workload| (w.limit, w.start_s, w.duration_s);
            other.0.trace == workload.trace && other.0.kind == workload.kind && window(other.0) == window(workload)
        };
        let count = match known.iter().find(same) {
            Some((_, count)) => *count,
            None => crate::workload::count(workload)?,
        };
        known.push((workload, count));
        let mut short: Scenario = group.scenario.clone();
        short.workload.limit = Some(count.min(PILOT));
        // The pilot is measured with a clock; what it would report is not looked at.
        (short.warmup_requests, short.warmup_s) = (0, None);
        if let (Search::Capacity { rate_rps, .. }, None) = (&plan.search, short.workload.rate) {
            short.workload.rate = Some(libm::sqrt(rate_rps.low * rate_rps.high));
        }
        let start = seconds();
        simulate::run(&short, registry, Stepping::Macro)?;
        let share = count as f64 / count.clamp(1, PILOT) as f64;
        cpu_s += (seconds() - start) * share * per_group as f64;
        requests += count * per_group as u64;
        largest = largest.max(count);
    }
    let bytes = BYTES_BASE + largest * BYTES_PER_REQUEST * (jobs as u64 + 1);
    Ok(Estimate { cells: plan.groups.len() * per_group, requests, cpu_s, bytes })
}
