//! Random scenarios: small clusters of any kind, any scheduler, any workload, with anything that can go wrong. Each is
//! determined by a seed, runs in both stepping modes with every invariant asserted, and must lose no request.

mod case;

use std::panic::{AssertUnwindSafe, catch_unwind};

use trimtab_core::SimTime;
use trimtab_engine::{AdmissionRecord, FleetEvent, FleetRecord, Happened, Outcome, Row, RunResult, Stepping, Survives};
use trimtab_sched::Registry;

use crate::metrics::metrics;
use crate::scenario::{Prefix, Scenario};
use crate::simulate;
pub use case::case;

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often each feature was reached.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Features {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Features {
            /// Adds what another case reached.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// All counters by name.
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

features! {
    /// Requests that completed.
    completed,
    /// Requests that were rejected.
    rejected,
    /// Requests that failed.
    failed,
    /// Times a request was sent anew.
    retries,
    /// Times a request lost its instance.
    lost,
    /// Times a client hung up.
    hung_up,
    /// Moves of queued requests.
    migrations,
    /// Times a request lost its KV to others.
    preemptions,
    /// Requests with cached tokens.
    hits,
    /// Evicted blocks.
    evictions,
    /// Instances that joined.
    joined,
    /// Instances that stopped.
    stopped,
    /// Instances that failed.
    failures,
    /// Instances that were slow.
    slow,
    /// Instances out of reach.
    cut,
    /// Instances whose reports froze.
    frozen,
    /// Caches that were lost.
    flushed,
    /// Moments without any instance.
    empty_fleets,
    /// Cases with groups of different instances.
    mixed_fleets,
    /// Cases with old snapshots.
    old_snapshots,
    /// Cases with late reports of cache changes.
    late_events,
    /// Cases in which the router guesses what is cached.
    shadows,
    /// Cases with reports of load that take their time or get lost.
    load_lag,
    /// Cases with reports of cache changes that are sent at intervals, overtake or get lost.
    events_lag,
    /// Cases with late or lost feedback.
    feedback_lag,
    /// Cases with links for KV.
    transfers,
    /// Cases with a router that takes time.
    slow_routers,
    /// Cases in which instances failed at random.
    random_faults,
    /// Requests that completed after they had lost an instance.
    rescued,
    /// Requests that failed with their instance, as the spec wants.
    failed_at_once,
    /// Requests that completed on an instance that the router could not reach.
    finished_out_of_reach,
    /// Requests whose client asked again more than once.
    asked_again,
    /// Instances that started again after they had drained or failed.
    came_back,
    /// Cases with several routers that sync.
    replicas,
    /// Cases with several routers that never do.
    strangers,
    /// Cases that an autoscaler changed, and nothing else.
    autoscaled,
    /// Cases that this autoscaler changed.
    scaled_by_reactive,
    /// Cases that this autoscaler changed.
    scaled_by_slo_target,
    /// Cases that this autoscaler changed.
    scaled_by_scheduled,
    /// Cases that this autoscaler changed.
    scaled_by_oracle,
    /// Cases with a closed loop.
    closed_loops,
    /// Cases with another order of eviction than LRU in which blocks were evicted.
    other_evictions,
    /// Requests that read from host memory.
    host_reads,
    /// Requests that read from a pool.
    pool_reads,
    /// Either, in clusters that lost instances.
    reads_amid_failures,
    /// Either, in clusters that an autoscaler may change.
    reads_amid_scaling,
    /// Either, where clients hung up.
    reads_amid_hang_ups,
    /// Cases whose host memory outlives more than nothing, with instances that stopped or failed.
    surviving_memories,
    /// Requests that waited at the gate before the router.
    waited_at_gate,
    /// Requests that were turned away there at once.
    turned_away,
    /// Requests that were turned away after they had waited.
    expired,
    /// Requests that lost patience at the gate.
    left_gate,
    /// Clients that were turned away and asked again.
    turned_back,
    /// Requests that were given up by their clients.
    abandoned,
}

/// Runs the case of a seed in both stepping modes and says what it reached, or what went wrong.
pub fn run(seed: u64, registry: &Registry) -> Result<Features, String> {
    let scenario = case(seed, registry);
    let attempt = || -> Result<Features, String> {
        let go = |stepping| simulate::run(&scenario, registry, stepping).map_err(|error| error.to_string());
        let (by_run, by_step) = (go(Stepping::Macro)?, go(Stepping::Every)?);
        compare(&scenario, &by_run, &by_step)?;
        Ok(features(&scenario, &by_run))
    };
    catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
    })
}

fn compare(scenario: &Scenario, by_run: &RunResult, by_step: &RunResult) -> Result<(), String> {
    if let Some((a, b)) = by_run.rows.iter().zip(&by_step.rows).find(|(a, b)| a != b) {
        return Err(format!("macro-steps and single steps differ:\n{a:?}\n{b:?}"));
    }
    if by_run.rows.len() != by_step.rows.len() || by_run.fleet != by_step.fleet {
        return Err("macro-steps and single steps differ in what happened to the cluster".into());
    }
    let text = |result| serde_json::to_string(&metrics(scenario, result)).map_err(|error| error.to_string());
    if text(by_run)? != text(by_step)? {
        return Err("macro-steps and single steps differ in their metrics".into());
    }
    if scenario.workload.limit != Some(by_run.rows.len() as u64) {
        return Err(format!("{} requests were lost before they arrived", by_run.rows.len()));
    }
    let served = by_run.rows.iter().filter(|row| row.outcome == Outcome::Completed).count() as u64;
    let ended = by_run.instances.iter().map(|instance| instance.requests).sum::<u64>();
    if served != ended {
        return Err(format!("{served} requests were served, and {ended} were finished by instances"));
    }
    let (resends, asks) = (scenario.dynamics.retries, scenario.clients.map_or(0, |clients| clients.retries));
    let comes_back = scenario.clients.is_some_and(|clients| clients.retry_rejected);
    for (id, row) in by_run.rows.iter().enumerate() {
        let served = row.outcome == Outcome::Completed;
        // Who may come back after being turned away asks out of the same number of times.
        let asked = if comes_back { asks } else { row.hung_up.min(asks) };
        let tries = row.retries <= row.lost.min(resends) + asked && row.hung_up <= asks + 1;
        // It is sent anew after each loss and each hang-up, but not after the last one.
        let given_up = row.outcome == Outcome::Failed;
        if !tries || (served && row.retries < row.hung_up) || (!given_up && row.lost > resends + row.hung_up) {
            return Err(format!("request {id} was tried too often or not often enough: {row:?}"));
        }
        let ended = row.finish != SimTime::MAX && row.outcome != Outcome::Open;
        if !ended || (served && (row.first_token == SimTime::MAX || row.first_token > row.finish)) {
            return Err(format!("request {id} has no proper end: {row:?}"));
        }
    }
    Ok(())
}

fn features(scenario: &Scenario, result: &RunResult) -> Features {
    let count = |outcome| result.rows.iter().filter(|row| row.outcome == outcome).count() as u64;
    let sum = |f: fn(&Row) -> u32| result.rows.iter().map(|row| u64::from(f(row))).sum::<u64>();
    let record = result.fleet.clone().unwrap_or_default();
    let happened = |what| record.events.iter().filter(|event| event.what == what).count() as u64;
    let of = |yes: bool| u64::from(yes);
    let rows = |of: &dyn Fn(&Row) -> bool| result.rows.iter().filter(|row| of(row)).count() as u64;
    let scaled_by = |kind: &str| {
        let joined = record.events.iter().any(|event| matches!(event.what, Happened::Starting | Happened::Draining));
        of(scenario.autoscaler.as_ref().is_some_and(|scaler| scaler.kind == kind) && joined)
    };
    let evicted = result.instances.iter().map(|instance| instance.evicted_blocks).sum();
    let reads = sum(|row| u32::from(row.loaded_tokens > 0));
    let survives = scenario.cluster.host.is_some_and(|host| host.survives != Survives::Nothing);
    let gate = |f: fn(&AdmissionRecord) -> u64| result.admission.iter().flatten().map(f).sum();
    Features {
        completed: count(Outcome::Completed),
        rejected: count(Outcome::Rejected),
        failed: count(Outcome::Failed),
        retries: sum(|row| row.retries),
        lost: sum(|row| row.lost),
        hung_up: sum(|row| row.hung_up),
        migrations: sum(|row| row.migrations),
        preemptions: sum(|row| row.preemptions),
        hits: sum(|row| u32::from(row.hit_tokens > 0)),
        evictions: evicted,
        joined: happened(Happened::Joined),
        stopped: happened(Happened::Stopped),
        failures: happened(Happened::Failed),
        slow: happened(Happened::Paced),
        cut: happened(Happened::Cut),
        frozen: happened(Happened::Frozen),
        flushed: happened(Happened::Flushed),
        empty_fleets: record.events.iter().filter(|event| event.members == 0).count() as u64,
        mixed_fleets: of(!scenario.cluster.group.is_empty()),
        old_snapshots: of(scenario.signals.refresh_ms > 0.0),
        late_events: of(scenario.signals.prefix == Prefix::Events),
        shadows: of(scenario.signals.prefix == Prefix::Shadow),
        load_lag: of(!scenario.signals.load.is_default()),
        events_lag: of(!scenario.signals.events.is_default()),
        feedback_lag: of(!scenario.signals.feedback.is_default()),
        transfers: of(scenario.transfer.is_some()),
        slow_routers: of(scenario.router.decision_us + scenario.router.network_us > 0.0),
        random_faults: of(scenario.dynamics.mtbf_s.is_some() && happened(Happened::Failed) > 0),
        rescued: rows(&|row| row.outcome == Outcome::Completed && row.lost > 0),
        failed_at_once: rows(&|row| row.outcome == Outcome::Failed && row.lost > 0 && scenario.dynamics.retries == 0),
        finished_out_of_reach: rows(&|row| row.outcome == Outcome::Completed && is_cut(&record, row)),
        asked_again: rows(&|row| row.hung_up > 1),
        came_back: came_back(&record),
        scaled_by_reactive: scaled_by("reactive"),
        scaled_by_slo_target: scaled_by("slo-target"),
        scaled_by_scheduled: scaled_by("scheduled"),
        scaled_by_oracle: scaled_by("oracle"),
        replicas: of(scenario.router.sync_s.is_some()),
        strangers: of(scenario.router.replicas.is_some() && scenario.router.sync_s.is_none()),
        autoscaled: of(scenario.autoscaler.is_some()
            && scenario.event.is_empty()
            && scenario.dynamics.mtbf_s.is_none()
            && !record.events.is_empty()),
        waited_at_gate: gate(|record| record.waited),
        turned_away: gate(|record| record.rejected),
        expired: gate(|record| record.expired),
        left_gate: gate(|record| record.left),
        turned_back: record.turned_back,
        abandoned: record.abandoned,
        closed_loops: of(scenario.workload.kind.as_deref() == Some("multi-turn")),
        other_evictions: of(scenario.cluster.eviction != "lru" && evicted > 0),
        host_reads: if scenario.cluster.host.is_some() { reads } else { 0 },
        pool_reads: if scenario.cluster.pool.is_some() { reads } else { 0 },
        reads_amid_failures: if happened(Happened::Failed) > 0 { reads } else { 0 },
        reads_amid_scaling: if scenario.autoscaler.is_some() { reads } else { 0 },
        reads_amid_hang_ups: if sum(|row| row.hung_up) > 0 { reads } else { 0 },
        surviving_memories: of(survives && happened(Happened::Failed) + happened(Happened::Stopped) > 0),
    }
}

/// Whether the router could not reach the instance of a request when it finished.
fn is_cut(record: &FleetRecord, row: &Row) -> bool {
    let mut own = record.events.iter().filter(|event| event.instance == row.instance && event.at < row.finish);
    own.next_back().is_some_and(|event| event.what == Happened::Cut)
}

/// How often an instance started that had stopped or failed before.
fn came_back(record: &FleetRecord) -> u64 {
    let gone = |what| matches!(what, Happened::Stopped | Happened::Failed);
    let again = |(n, event): &(usize, &FleetEvent)| {
        event.what == Happened::Starting
            && record.events[..*n].iter().any(|before| before.instance == event.instance && gone(before.what))
    };
    record.events.iter().enumerate().filter(again).count() as u64
}
