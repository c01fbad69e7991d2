//! What was written: one TOML file that describes an experiment.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::overrides::{Override, apply};
use crate::scenario::{
    Admission, Autoscaler, ClassSlo, Clients, Cluster, Dynamics, Event, Router, Signals, Transfer, Workload,
};
use crate::tree::{At, Fault, Node};

/// The version of the format that this program reads.
pub const SCHEMA: u32 = 1;

/// An experiment as written. Every value here has been checked for its type and every key is known; what the values
/// mean together is checked by [`crate::plan::Plan`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Version of the format: 1.
    pub schema: u32,
    /// Name of the experiment and of its results folder.
    pub name: String,
    /// Every cell runs once with each.
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// The instances.
    #[serde(default)]
    pub cluster: Cluster,
    /// The requests.
    #[serde(default)]
    pub workload: Workload,
    /// What the router can see.
    #[serde(default)]
    pub signals: Signals,
    /// What routing costs.
    #[serde(default)]
    pub router: Router,
    /// The links over which cached prefixes can be copied.
    #[serde(default)]
    pub transfer: Option<Transfer>,
    /// How the cluster changes.
    #[serde(default)]
    pub dynamics: Dynamics,
    /// What happens to the cluster, and when.
    #[serde(default)]
    pub event: Vec<Event>,
    /// Who adds and removes instances.
    #[serde(default)]
    pub autoscaler: Option<Autoscaler>,
    /// Clients that do not wait for ever.
    #[serde(default)]
    pub clients: Option<Clients>,
    /// Who stands before the router, one behind the other.
    #[serde(default)]
    pub admission: Vec<Admission>,
    /// What counts as good.
    #[serde(default)]
    pub slo: SloSpec,
    /// The first requests, left out of the statistics.
    #[serde(default)]
    pub warmup_requests: u32,
    /// Requests of the first this many seconds, left out of the statistics too.
    #[serde(default)]
    pub warmup_s: Option<f64>,
    /// What is compared; at least one.
    #[serde(default)]
    pub scheduler: Vec<SchedulerSpec>,
    /// Values for dotted paths; all combinations are run.
    #[serde(default)]
    pub grid: serde_json::Map<String, Value>,
    /// Settings that are run one after the other, each with the whole grid.
    #[serde(default)]
    pub case: Vec<Case>,
    /// How rates are chosen.
    #[serde(default)]
    pub search: Search,
    /// More seeds until an interval is narrow enough.
    #[serde(default)]
    pub replicate: Option<Replicate>,
    /// What is kept of each cell besides its statistics.
    #[serde(default)]
    pub output: Output,
}

fn one_seed() -> Vec<u64> {
    vec![1]
}

/// What counts as good service, and how often it must be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SloSpec {
    /// Longest time to first token.
    pub ttft_s: Option<f64>,
    /// Longest mean time per output token.
    pub tpot_s: Option<f64>,
    /// Longest time from arrival to end.
    pub e2e_s: Option<f64>,
    /// Objectives of single priority classes.
    pub class: Vec<ClassSlo>,
    /// Share of requests that must meet all of them; 0.9 unless said.
    pub attain: Option<f64>,
}

/// One of the schedulers compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchedulerSpec {
    /// By name.
    pub kind: String,
    /// Its name in tables and figures; the kind unless said.
    #[serde(default)]
    pub label: Option<String>,
    /// Its parameters; the rest have their defaults.
    #[serde(default)]
    pub params: Value,
}

/// Settings that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name in tables and figures.
    pub label: String,
    /// Values for dotted paths.
    #[serde(default)]
    pub set: serde_json::Map<String, Value>,
}

/// How rates are chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Search {
    /// These rates; the workload's own if there are none.
    Sweep {
        /// Requests per second.
        #[serde(default)]
        rates_rps: Vec<f64>,
    },
    /// The highest rate that meets the objectives.
    Capacity {
        /// Where to look.
        rate_rps: Bounds,
        /// Ratio between neighbouring rates that may be tried, minus 1.
        #[serde(default = "default_tolerance")]
        tolerance: f64,
        /// Seeds are added up to this number where a rate is undecided; twice the seeds of the spec unless said.
        #[serde(default)]
        max_seeds: Option<usize>,
    },
}

fn default_tolerance() -> f64 {
    0.02
}

impl Default for Search {
    fn default() -> Self {
        Self::Sweep { rates_rps: Vec::new() }
    }
}

/// A range of rates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Lowest rate tried.
    pub low: f64,
    /// Highest rate tried.
    pub high: f64,
}

/// More seeds until the interval of a metric is narrow enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replicate {
    /// A column of `summary.csv`.
    pub metric: String,
    /// Half of the 95 % interval as a share of the mean.
    pub half_width: f64,
    /// No more seeds than this.
    pub max_seeds: usize,
}

/// What is kept of each cell besides its statistics, as Parquet. Changes no number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// One row per request, for distributions: `cells/ID/requests.parquet`.
    pub requests: bool,
    /// One row per decision: `cells/ID/decisions.parquet`.
    pub decisions: bool,
    /// With the decisions, what would have been best; slow.
    pub regret: bool,
    /// One row per instance and 10 s, for what happens over time: `cells/ID/load.parquet`.
    pub load: bool,
}

/// The JSON Schema of a spec, for editors.
pub fn json_schema() -> Value {
    schemars::schema_for!(Spec).to_value()
}

/// A spec that cannot be used, with the place that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}{excerpt}")]
pub struct SpecError {
    /// File, line and column, or the flag.
    pub place: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// The line, with a mark under the fault; empty for flags.
    pub excerpt: String,
    /// From 1; absent for what came from a flag.
    pub line: Option<usize>,
}

impl SpecError {
    /// A fault of a flag.
    pub(crate) fn flag(place: String, message: String) -> Self {
        Self { place, message, excerpt: String::new(), line: None }
    }
}

/// Why a spec file could not be turned into a plan.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What it says cannot be run.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A trace is missing or not what it should be.
    #[error(transparent)]
    Data(#[from] crate::traces::TraceError),
}

impl LoadError {
    /// 2 for a wrong spec, 3 for files that are missing or wrong.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Spec(_) => 2,
            Self::Io { .. } | Self::Data(_) => 3,
        }
    }
}

/// A spec, its text and where everything stands in it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it was read from.
    pub path: PathBuf,
    /// As given.
    pub text: String,
    /// The overrides, as given.
    pub set: Vec<String>,
    /// What it says, overrides applied.
    pub spec: Spec,
    /// Where real traces are looked for: the folder that `TRIMTAB_TRACES` names.
    pub traces: Option<PathBuf>,
    pub(crate) root: Node,
}

impl Source {
    /// Reads a spec and applies overrides of the form `dotted.path=value`, the value in TOML; a value that is not TOML is
    /// text.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, LoadError> {
        let text = std::fs::read_to_string(path).map_err(|source| LoadError::Io { path: path.into(), source })?;
        Ok(Self::parse(path, text, overrides)?)
    }

    /// The same for text that has been read; `path` stands in messages.
    pub fn parse(path: &Path, text: String, set: &[String]) -> Result<Self, SpecError> {
        let show = |fault: &Fault| show(path, &text, fault);
        let mut root = Node::parse(&text).map_err(|fault| show(&fault))?;
        let overrides: Vec<Override> =
            set.iter().map(|pair| Override::parse("--set", pair)).collect::<Result<_, _>>()?;
        apply(&mut root, &overrides)?;
        let spec = match root.read::<Spec>() {
            Ok(spec) => spec,
            Err(fault) => return Err(blame(&text, &overrides).unwrap_or_else(|| show(&fault))),
        };
        let traces = std::env::var_os("TRIMTAB_TRACES").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        Ok(Self { path: path.into(), spec, traces, root, text, set: set.to_vec() })
    }

    /// The spec and its overrides, as they are written on a command line.
    pub fn as_arguments(&self) -> String {
        let set = self.set.iter().map(|pair| format!("--set '{pair}'"));
        std::iter::once(self.path.display().to_string()).chain(set).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn error(&self, fault: &Fault) -> SpecError {
        show(&self.path, &self.text, fault)
    }

    pub(crate) fn at(&self, path: &str) -> At {
        self.root.locate(path)
    }
}

/// The override without which a spec that cannot be read could be read, if there is one.
fn blame(text: &str, overrides: &[Override]) -> Option<SpecError> {
    let mut root = Node::parse(text).ok()?;
    root.read::<Spec>().ok()?;
    overrides.iter().find_map(|one| {
        apply(&mut root, std::slice::from_ref(one)).err().or_else(|| {
            let fault = root.read::<Spec>().err()?;
            Some(SpecError::flag(one.origin.clone(), fault.message))
        })
    })
}

/// Characters of a line that a message shows.
const WIDEST_EXCERPT: usize = 160;

fn show(path: &Path, text: &str, fault: &Fault) -> SpecError {
    let message = fault.message.clone();
    let Some(at) = fault.at.unwrap_or(Some(0)) else {
        return SpecError::flag("--set".to_owned(), message);
    };
    let at = text.floor_char_boundary(at);
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = text[start..at].chars().count() + 1;
    // Of a very long line, what stands around the fault.
    let skipped = if column > WIDEST_EXCERPT { column - WIDEST_EXCERPT / 2 } else { 0 };
    let written = text[start..].lines().next().unwrap_or("").chars().skip(skipped).take(WIDEST_EXCERPT);
    let (written, mark, width) = (written.collect::<String>(), column - skipped, line.to_string().len());
    let excerpt = format!("\n  {line} | {written}\n  {:width$} | {:>mark$}", "", "^");
    SpecError { place: format!("{}:{line}:{column}", path.display()), message, excerpt, line: Some(line) }
}
