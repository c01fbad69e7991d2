//! Runs cells, or finds them finished.

use std::any::Any;
use std::cell::Cell as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use trimtab_engine::RunResult;
use trimtab_sched::Registry;

use super::{Ended, Failure, Outcome, Progress, Shard, State, SweepOptions};
use crate::diagnose::diagnose;
use crate::metrics::{metrics, warmup};
use crate::plan::{Cell, Group, Plan, published};
use crate::results::{CellResult, Store, SweepError};
use crate::scenario::Scenario;
use crate::simulate::{RunError, simulate};
use crate::traces::Traces;

/// Runs cells, or finds them finished.
pub(crate) struct Runner<'a> {
    pub(crate) plan: &'a Plan,
    registry: &'a Registry,
    pub(crate) store: &'a Store,
    pub(super) traces: Traces,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) shard: Option<Shard>,
    /// A merge must find every cell.
    pub(super) simulate: bool,
    state: Mutex<State>,
    /// By cell.
    failures: Mutex<BTreeMap<String, Failure>>,
    pub(super) wall: Mutex<BTreeMap<String, f64>>,
    /// Ids of the cells that this run has asked for.
    asked: Mutex<BTreeSet<String>>,
    /// Failures of the parts of a merge, by cell.
    pub(super) known_failures: BTreeMap<String, Failure>,
    broken: AtomicBool,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(
        plan: &'a Plan,
        registry: &'a Registry,
        store: &'a Store,
        progress: &'a dyn Progress,
        shard: Option<Shard>,
    ) -> Self {
        Self {
            plan,
            registry,
            store,
            traces: Traces::default(),
            progress,
            shard,
            simulate: true,
            state: Mutex::default(),
            failures: Mutex::default(),
            wall: Mutex::default(),
            asked: Mutex::default(),
            known_failures: BTreeMap::new(),
            broken: AtomicBool::new(false),
        }
    }

    /// Everything from the first manifest to the last table.
    pub(crate) fn run(&self, spec: &str, options: &SweepOptions) -> Result<Outcome, SweepError> {
        let mut plan = serde_json::to_vec_pretty(&self.plan).expect("a plan is plain data");
        plan.push(b'\n');
        self.store.write("plan.json", &plan)?;
        self.manifest("running", &Outcome::default(), options)?;
        self.store.clear_tables()?;
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(options.jobs.min(MOST_THREADS)).build().map_err(|error| {
                SweepError::Io {
                    doing: "start threads for",
                    path: options.out.clone(),
                    source: std::io::Error::other(error),
                }
            })?;
        let mut outcome = Outcome { dir: options.out.clone(), ..Outcome::default() };
        if self.simulate {
            pool.install(|| self.read_ahead())?;
        }
        pool.install(|| match self.plan.search {
            crate::spec::Search::Sweep { .. } => self.rows(&mut outcome),
            crate::spec::Search::Capacity { .. } => crate::capacity::search_plan(self, &mut outcome),
        })?;
        outcome.state = *lock(&self.state);
        outcome.interrupted = self.progress.interrupted();
        outcome.failures = std::mem::take(&mut *lock(&self.failures)).into_values().collect();
        for failure in outcome.failures.iter_mut().filter(|failure| failure.reproduce.is_empty()) {
            failure.reproduce = format!("trimtab run {spec} --cell {}", failure.id);
        }
        let status = match outcome.exit_code() {
            0 => "complete",
            1 => "partial",
            _ => "interrupted",
        };
        self.manifest(status, &outcome, options)?;
        Ok(outcome)
    }

    /// Reads every trace and places its requests in time once: what cannot be read fails before anything is simulated.
    fn read_ahead(&self) -> Result<(), SweepError> {
        self.plan.groups.par_iter().try_for_each(|group| {
            let scenario = Scenario { seed: self.plan.seeds[0], ..group.scenario.clone() };
            self.traces.workload(&scenario).map(drop).map_err(|error| SweepError::Data(error.to_string()))
        })
    }

    /// Runs or finds cells, all of those that are marked; results in the same order.
    pub(crate) fn cells(&self, cells: &[Cell], mine: &[bool]) -> Result<Vec<Ended>, SweepError> {
        // Cells with equal content are one: two labels for one policy are run once.
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        let mut unique: Vec<usize> = Vec::new();
        for (index, cell) in cells.iter().enumerate().filter(|(index, _)| mine[*index]) {
            first.entry(&cell.id).or_insert_with(|| {
                unique.push(index);
                unique.len() - 1
            });
        }
        // A search asks again for what it has, with more seeds: that is counted once.
        let new = |&index: &usize| (index, lock(&self.asked).insert(cells[index].id.clone()));
        let unique: Vec<(usize, bool)> = unique.iter().map(new).collect();
        lock(&self.state).total += unique.iter().filter(|(_, new)| *new).count();
        let ended: Vec<Ended> = unique
            .par_iter()
            .with_max_len(1)
            .map(|&(index, new)| self.one(&cells[index], new))
            .collect::<Result<_, _>>()?;
        let of =
            |(cell, &mine): (&Cell, &bool)| if mine { ended[first[cell.id.as_str()]].clone() } else { Ended::Skipped };
        Ok(cells.iter().zip(mine).map(of).collect())
    }

    /// Runs or finds a cell, and counts it if it is a new one.
    fn one(&self, cell: &Cell, new: bool) -> Result<Ended, SweepError> {
        if self.progress.interrupted() || self.broken.load(Ordering::Relaxed) {
            return Ok(Ended::Skipped);
        }
        let output = self.plan.output;
        if let Some(result) = self.store.load(&cell.id).filter(|_| self.store.has(&cell.id, output)) {
            self.count(new, |state| state.reused += 1);
            return Ok(Ended::Done(Arc::new(result)));
        }
        if lock(&self.failures).contains_key(&cell.id) {
            return Ok(Ended::Failed);
        }
        if let Some(failure) = self.known_failures.get(&cell.id) {
            return Ok(self.failed(cell, failure.message.clone(), failure.reproduce.clone()));
        }
        if !self.simulate {
            return Err(SweepError::Merge(format!("cell {} is in none of the parts: were all of them run?", cell.id)));
        }
        let start = self.progress.seconds();
        IN_CELL.set(true);
        let ended = catch_unwind(AssertUnwindSafe(|| self.simulated(cell)));
        IN_CELL.set(false);
        match ended {
            Ok(Ok((result, run))) => {
                // After the first failure to write, nothing else is worth its time.
                let saved = self.store.keep(&cell.id, output, &run).and_then(|()| self.store.save(&result));
                saved.inspect_err(|_| self.broken.store(true, Ordering::Relaxed))?;
                if let (Some(start), Some(end)) = (start, self.progress.seconds()) {
                    lock(&self.wall).insert(cell.id.clone(), end - start);
                }
                self.count(new, |state| state.requests += result.metrics.requests);
                Ok(Ended::Done(Arc::new(result)))
            }
            Ok(Err(error)) => Ok(self.failed(cell, error.to_string(), String::new())),
            Err(panic) => Ok(self.failed(cell, format!("panicked: {}", panic_text(&*panic)), String::new())),
        }
    }

    fn simulated(&self, cell: &Cell) -> Result<(CellResult, RunResult), RunError> {
        let mut workload = self.traces.workload(&cell.scenario)?;
        let run = simulate(&cell.scenario, self.registry, &mut *workload, self.plan.output)?;
        let result = CellResult {
            id: cell.id.clone(),
            scenario: published(&cell.scenario),
            metrics: metrics(&cell.scenario, &run),
            diagnosis: diagnose(&run.rows, warmup(&cell.scenario, &run.rows)),
        };
        Ok((result, run))
    }

    fn failed(&self, cell: &Cell, message: String, reproduce: String) -> Ended {
        let of = |group: &&Group| group.scenario.scheduler == cell.scenario.scheduler;
        let label = self.plan.groups.iter().find(of).map_or(String::new(), |group| group.label.clone());
        self.progress.warn(&format!("cell {} ({label}, seed {}): {message}", cell.id, cell.scenario.seed));
        let (id, seed) = (cell.id.clone(), cell.scenario.seed);
        let failure = Failure { id, label, seed, message, reproduce };
        let first = lock(&self.failures).insert(cell.id.clone(), failure).is_none();
        self.count(first, |state| state.failed += 1);
        Ended::Failed
    }

    fn count(&self, new: bool, change: impl FnOnce(&mut State)) {
        if !new {
            return;
        }
        let state = {
            let mut state = lock(&self.state);
            state.done += 1;
            change(&mut state);
            *state
        };
        self.progress.update(&state);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More threads than any machine has processors only cost: cells at a time are no more than this.
const MOST_THREADS: usize = 512;

thread_local! {
    static IN_CELL: Slot<bool> = const { Slot::new(false) };
}

/// Whether this thread simulates a cell right now. A panic there is caught and becomes a [`Failure`], so that whoever
/// prints panics need not.
pub fn in_cell() -> bool {
    IN_CELL.get()
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
