//! Running a plan: cells in parallel, results as they finish, tables at the end.

mod manifest;
mod merge;
mod rows;
mod runner;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use trimtab_sched::Registry;

use crate::plan::Plan;
use crate::results::{CellResult, Existing, Store, SweepError};
use crate::spec::Source;

pub use merge::{merge, plan_of};
pub(crate) use runner::Runner;
pub use runner::in_cell;

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

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
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
    runner.run(&source.as_arguments(), options)
}

/// The seeds of the spec, then those after the largest of them.
pub(crate) fn extended(seeds: &[u64], count: usize) -> Vec<u64> {
    let largest = seeds.iter().copied().max().unwrap_or(0);
    seeds.iter().copied().chain((1..).map_while(|i| largest.checked_add(i))).take(count.max(seeds.len())).collect()
}
