//! Running a plan: cells in parallel, results as they finish, tables at the end.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trimtab_engine::Stepping;
use trimtab_sched::Registry;

use crate::diagnose::diagnose;
use crate::metrics::{metrics, warmup};
use crate::plan::{Cell, Group, Plan, published};
use crate::results::{CellResult, Existing, Store, SweepError};
use crate::scenario::Scenario;
use crate::simulate::{RunError, simulate};
use crate::spec::Source;
use crate::stats::t_interval;
use crate::summary::{self, METRICS};
use crate::traces::{Traces, text_sha256};

/// How a plan is run. Nothing here can change a number.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// The results folder.
    pub out: PathBuf,
    /// Cells at a time; 0 for as many as there are processors.
    pub jobs: usize,
    /// What to do with results that are there already.
    pub existing: Existing,
    /// The part of the plan that is run here.
    pub shard: Option<Shard>,
    /// Facts for the manifest that only the command line knows: host, command, versions, times.
    pub provenance: serde_json::Map<String, Value>,
}

/// Part `index` of `count`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => Err(format!("`{text}` is not a shard: write `i/n` with i from 1 to n")),
        }
    }
}

/// Who watches a run. All methods may be called from several threads.
pub trait Progress: Sync {
    /// Something finished.
    fn update(&self, state: &State) {
        let _ = state;
    }

    /// Something the user should know.
    fn warn(&self, text: &str) {
        let _ = text;
    }

    /// Whether to stop: cells in progress finish, no new one starts.
    fn interrupted(&self) -> bool {
        false
    }

    /// Seconds since some fixed moment, for the manifest.
    fn seconds(&self) -> Option<f64> {
        None
    }
}

/// Watches nothing.
impl Progress for () {}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Cells known so far; searches and replication add to it.
    pub total: usize,
    /// Cells finished, the reused and failed ones included.
    pub done: usize,
    /// Cells found finished.
    pub reused: usize,
    /// Cells that failed.
    pub failed: usize,
    /// Requests simulated now.
    pub requests: u64,
}

/// A cell that did not come to a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Id of the cell.
    pub id: String,
    /// Its scheduler.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// What happened.
    pub message: String,
    /// The command that shows it again.
    pub reproduce: String,
}

/// What became of a cell.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    Done(Arc<CellResult>),
    Failed,
    /// The run was interrupted first, or another shard has it.
    Skipped,
}

/// A row of the summary: index of the group, the cell, and what came out.
#[derive(Clone, Debug)]
pub struct RowResult {
    /// Index into [`Plan::groups`].
    pub group: usize,
    /// The seed.
    pub seed: u64,
    /// Id of the cell.
    pub id: String,
    /// Absent for cells that failed or were not run.
    pub result: Option<Arc<CellResult>>,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The results folder.
    pub dir: PathBuf,
    /// Counts.
    pub state: State,
    /// Rows of the summary, in its order; of a capacity search, the probes.
    pub rows: Vec<RowResult>,
    /// Capacities, when they were searched.
    pub capacities: Vec<crate::capacity::Capacity>,
    /// Cells that failed.
    pub failures: Vec<Failure>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Whether it was stopped.
    pub interrupted: bool,
}

impl Outcome {
    /// 0 when everything ran, 1 when cells failed, 130 when it was stopped.
    pub fn exit_code(&self) -> u8 {
        match (self.interrupted, self.failures.is_empty()) {
            (true, _) => 130,
            (false, true) => 0,
            (false, false) => 1,
        }
    }
}

/// Runs a plan and writes its results.
pub fn sweep(
    plan: &Plan,
    source: &Source,
    registry: &Registry,
    options: &SweepOptions,
    progress: &dyn Progress,
) -> Result<Outcome, SweepError> {
    let store = Store::open(&options.out, options.existing)?;
    store.write("spec.toml", source.text.as_bytes())?;
    let runner = Runner::new(plan, registry, &store, progress, options.shard);
    runner.run(&source.path.display().to_string(), options)
}

/// Puts the parts of a sharded run together: the results are those of one run of the whole plan. Nothing is simulated.
pub fn merge(
    parts: &[PathBuf],
    registry: &Registry,
    options: &SweepOptions,
    progress: &dyn Progress,
) -> Result<Outcome, SweepError> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|source| SweepError::Io { doing: "read", path: path.into(), source })
    };
    let first = parts.first().ok_or_else(|| SweepError::Merge("nothing to merge".to_owned()))?;
    let text = read(&first.join("plan.json"))?;
    let plan: Plan = serde_json::from_str(&text)
        .map_err(|error| SweepError::Merge(format!("{}: {error}", first.join("plan.json").display())))?;
    let store = Store::open(&options.out, options.existing)?;
    let mut known_failures = BTreeMap::new();
    for part in parts {
        if read(&part.join("plan.json"))? != text {
            let message = format!("{} and {} are parts of different plans", first.display(), part.display());
            return Err(SweepError::Merge(message));
        }
        store.adopt(part)?;
        let manifest = part.join("manifest.json");
        let facts: Facts = serde_json::from_str(&read(&manifest)?)
            .map_err(|error| SweepError::Merge(format!("{}: {error}", manifest.display())))?;
        known_failures.extend(facts.failures.into_iter().map(|failure| (failure.id.clone(), failure)));
    }
    store.write("spec.toml", read(&first.join("spec.toml"))?.as_bytes())?;
    let mut runner = Runner::new(&plan, registry, &store, progress, None);
    (runner.simulate, runner.known_failures) = (false, known_failures);
    runner.run(&store.dir().join("spec.toml").display().to_string(), options)
}

/// What a merge needs of a manifest.
#[derive(Deserialize)]
struct Facts {
    failures: Vec<Failure>,
}

/// Runs cells, or finds them finished.
pub(crate) struct Runner<'a> {
    pub(crate) plan: &'a Plan,
    registry: &'a Registry,
    pub(crate) store: &'a Store,
    traces: Traces,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) shard: Option<Shard>,
    /// A merge must find every cell.
    simulate: bool,
    state: Mutex<State>,
    failures: Mutex<Vec<(String, Failure)>>,
    wall: Mutex<BTreeMap<String, f64>>,
    /// Failures of the parts of a merge, by cell.
    known_failures: BTreeMap<String, Failure>,
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
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(options.jobs).build().map_err(|error| SweepError::Io {
                doing: "start threads for",
                path: options.out.clone(),
                source: std::io::Error::other(error),
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
        let mut failures = std::mem::take(&mut *lock(&self.failures));
        failures.sort_by(|a, b| a.0.cmp(&b.0));
        outcome.failures = failures.into_iter().map(|(_, failure)| failure).collect();
        for failure in &mut outcome.failures {
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

    /// Cells of a plan without a search, replicated as asked.
    fn rows(&self, outcome: &mut Outcome) -> Result<(), SweepError> {
        let units = self.units();
        let mut seeds: Vec<Vec<u64>> = vec![self.plan.seeds.clone(); units.len()];
        let mut found: Vec<Vec<RowResult>> = Vec::new();
        let mut open: Vec<usize> = (0..units.len()).collect();
        found.resize(units.len(), Vec::new());
        while !open.is_empty() && !self.progress.interrupted() {
            let wanted: Vec<(usize, usize, u64)> = open
                .iter()
                .flat_map(|&u| {
                    units[u].iter().flat_map({
                        let seeds = &seeds;
                        move |&g| seeds[u].iter().map(move |&seed| (u, g, seed))
                    })
                })
                .collect();
            let cells: Vec<Cell> = wanted.iter().map(|&(_, g, seed)| self.plan.groups[g].cell(seed)).collect();
            let mine: Vec<bool> = wanted.iter().enumerate().map(|(i, &(u, ..))| self.is_mine(i, u)).collect();
            let ended = self.cells(&cells, &mine)?;
            for &u in &open {
                found[u].clear();
            }
            for (((u, group, seed), cell), ended) in wanted.into_iter().zip(cells).zip(ended) {
                let result = match ended {
                    Ended::Done(result) => Some(result),
                    Ended::Failed => None,
                    Ended::Skipped => continue,
                };
                found[u].push(RowResult { group, seed, id: cell.id, result });
            }
            open.retain(|&u| {
                let more = self.seeds_wanted(&found[u], seeds[u].len());
                let grown = extended(&self.plan.seeds, more);
                let grows = grown.len() > seeds[u].len();
                seeds[u] = grown;
                grows
            });
        }
        outcome.rows = found.into_iter().flatten().collect();
        self.warnings(outcome);
        if self.shard.is_none() {
            self.tables(&outcome.rows)?;
        }
        Ok(())
    }

    /// Groups that are compared: those of one point and rate. They get the same seeds.
    pub(crate) fn units(&self) -> Vec<Vec<usize>> {
        let mut units: Vec<Vec<usize>> = Vec::new();
        for (index, group) in self.plan.groups.iter().enumerate() {
            let same = |unit: &Vec<usize>| {
                let first = &self.plan.groups[unit[0]];
                first.point == group.point && summary::number(first.rate_rps) == summary::number(group.rate_rps)
            };
            match units.last_mut().filter(|unit| same(unit)) {
                Some(unit) => unit.push(index),
                None => units.push(vec![index]),
            }
        }
        units
    }

    /// Shards split by cell, or by unit when the seeds of a unit depend on its results.
    fn is_mine(&self, cell: usize, unit: usize) -> bool {
        let index = if self.plan.replicate.is_some() { unit } else { cell };
        self.shard.is_none_or(|shard| index % shard.count == shard.index - 1)
    }

    /// How many seeds the unit needs, as far as its results tell.
    fn seeds_wanted(&self, rows: &[RowResult], have: usize) -> usize {
        let Some(replicate) = &self.plan.replicate else { return have };
        let metric = METRICS.iter().find(|m| m.name == replicate.metric).expect("the plan checked the name");
        let mut by_group: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for row in rows {
            let values = by_group.entry(row.group).or_default();
            values.extend(row.result.as_ref().and_then(|r| (metric.get)(r)));
        }
        let wanted = by_group.values().filter_map(|values| {
            let interval = t_interval(values)?;
            let Some(half) = interval.half_width() else { return Some(2) };
            let share = half / interval.mean.abs();
            // Intervals shrink with the root of n; no more than twice as many at once, since the spread is an estimate.
            let times = (share / replicate.half_width) * (share / replicate.half_width);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 2 times n")]
            (times > 1.0).then(|| libm::ceil(times.min(2.0) * values.len() as f64) as usize)
        });
        wanted.max().unwrap_or(have).clamp(have, replicate.max_seeds)
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
        lock(&self.state).total += unique.len();
        let ended: Vec<Ended> =
            unique.par_iter().with_max_len(1).map(|&index| self.one(&cells[index])).collect::<Result<_, _>>()?;
        let of =
            |(cell, &mine): (&Cell, &bool)| if mine { ended[first[cell.id.as_str()]].clone() } else { Ended::Skipped };
        Ok(cells.iter().zip(mine).map(of).collect())
    }

    fn one(&self, cell: &Cell) -> Result<Ended, SweepError> {
        if self.progress.interrupted() || self.broken.load(Ordering::Relaxed) {
            return Ok(Ended::Skipped);
        }
        if let Some(result) = self.store.load(&cell.id) {
            self.count(|state| state.reused += 1);
            return Ok(Ended::Done(Arc::new(result)));
        }
        if let Some(failure) = self.known_failures.get(&cell.id) {
            return Ok(self.failed(cell, failure.message.clone()));
        }
        if !self.simulate {
            return Err(SweepError::Merge(format!("cell {} is in none of the parts: were all of them run?", cell.id)));
        }
        let start = self.progress.seconds();
        match catch_unwind(AssertUnwindSafe(|| self.simulated(cell))) {
            Ok(Ok(result)) => {
                // After the first failure to write, nothing else is worth its time.
                self.store.save(&result).inspect_err(|_| self.broken.store(true, Ordering::Relaxed))?;
                if let (Some(start), Some(end)) = (start, self.progress.seconds()) {
                    lock(&self.wall).insert(cell.id.clone(), end - start);
                }
                self.count(|state| state.requests += result.metrics.requests);
                Ok(Ended::Done(Arc::new(result)))
            }
            Ok(Err(error)) => Ok(self.failed(cell, error.to_string())),
            Err(panic) => Ok(self.failed(cell, format!("panicked: {}", panic_text(&*panic)))),
        }
    }

    fn simulated(&self, cell: &Cell) -> Result<CellResult, RunError> {
        let mut workload = self.traces.workload(&cell.scenario)?;
        let run = simulate(&cell.scenario, self.registry, &mut *workload, Stepping::Macro)?;
        Ok(CellResult {
            id: cell.id.clone(),
            scenario: published(&cell.scenario),
            metrics: metrics(&cell.scenario, &run),
            diagnosis: diagnose(&run.rows, warmup(&cell.scenario, &run.rows)),
        })
    }

    fn failed(&self, cell: &Cell, message: String) -> Ended {
        let of = |group: &&Group| group.scenario.scheduler == cell.scenario.scheduler;
        let label = self.plan.groups.iter().find(of).map_or(String::new(), |group| group.label.clone());
        self.progress.warn(&format!("cell {} ({label}, seed {}): {message}", cell.id, cell.scenario.seed));
        let (id, seed) = (cell.id.clone(), cell.scenario.seed);
        let failure = Failure { id, label, seed, message, reproduce: String::new() };
        lock(&self.failures).push((cell.id.clone(), failure));
        self.count(|state| state.failed += 1);
        Ended::Failed
    }

    fn count(&self, change: impl FnOnce(&mut State)) {
        let state = {
            let mut state = lock(&self.state);
            state.done += 1;
            change(&mut state);
            *state
        };
        self.progress.update(&state);
    }

    fn tables(&self, rows: &[RowResult]) -> Result<(), SweepError> {
        let rows: Vec<summary::Row<'_>> = rows
            .iter()
            .map(|row| summary::Row {
                group: &self.plan.groups[row.group],
                seed: row.seed,
                id: &row.id,
                result: row.result.as_deref(),
            })
            .collect();
        // Rows of one group stand together: by group, then seed.
        self.store.write("summary.csv", &summary::summary(self.plan, &rows))?;
        self.store.write("intervals.csv", &summary::intervals(self.plan, &rows))?;
        self.store.write("comparisons.csv", &summary::comparisons(self.plan, &rows))
    }

    /// Remarks on results that may mislead, one line for each group.
    fn warnings(&self, outcome: &mut Outcome) {
        for (index, group) in self.plan.groups.iter().enumerate() {
            let rows = outcome.rows.iter().filter(|row| row.group == index);
            let results: Vec<&CellResult> = rows.filter_map(|row| row.result.as_deref()).collect();
            let rate = group.rate_rps.map_or(String::new(), |rate| format!(" at {rate} requests/s"));
            let whose = format!(
                "{}{}{rate}",
                group.label,
                if group.case.is_empty() { String::new() } else { format!(", {}", group.case) }
            );
            outcome.warnings.extend(crate::warn::remarks(&results).into_iter().map(|text| format!("{whose}: {text}")));
        }
        for text in &outcome.warnings {
            self.progress.warn(text);
        }
    }

    fn manifest(&self, status: &str, outcome: &Outcome, options: &SweepOptions) -> Result<(), SweepError> {
        let mut traces: BTreeMap<String, String> = BTreeMap::new();
        for group in &self.plan.groups {
            if let (Some(path), Some(hash)) = (&group.scenario.workload.trace, &group.scenario.workload.sha256) {
                traces.insert(path.display().to_string(), hash.clone());
            }
        }
        let shard = options.shard.map(|shard| format!("{}/{}", shard.index, shard.count));
        let state = outcome.state;
        let plan = serde_json::to_string(self.plan).expect("a plan is plain data");
        let manifest = json!({
            "schema": 1,
            "name": self.plan.name,
            "status": status,
            "trimtab": env!("CARGO_PKG_VERSION"),
            "rng": "ChaCha8",
            "plan_sha256": text_sha256(&plan),
            "trace_sha256": traces,
            "seeds": self.plan.seeds,
            "shard": shard,
            "cells": { "total": state.total, "done": state.done, "reused": state.reused, "failed": state.failed },
            "requests": state.requests,
            "failures": outcome.failures,
            "warnings": outcome.warnings,
            "wall_s": *lock(&self.wall),
            "provenance": options.provenance,
        });
        let mut text = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
        text.push(b'\n');
        self.store.write("manifest.json", &text)
    }
}

/// The seeds of the spec, then those after the largest of them.
pub(crate) fn extended(seeds: &[u64], count: usize) -> Vec<u64> {
    let largest = seeds.iter().copied().max().unwrap_or(0);
    seeds.iter().copied().chain((1..).map_while(|i| largest.checked_add(i))).take(count.max(seeds.len())).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
