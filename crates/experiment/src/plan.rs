//! From what was written to what will be run: everything resolved, checked and expanded before anything is simulated.

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use place::place;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trimtab_engine::{Stepping, build_context};
use trimtab_sched::Registry;
use trimtab_workload::generator_by_name;

use crate::build::ScenarioError;
use crate::capacity::ladder;
use crate::effect;
use crate::scenario::Scenario;
use crate::simulate::{RunError, check_foresight};
use crate::spec::{LoadError, Output, Replicate, SCHEMA, Search, Source};
use crate::sweep::extended;
use crate::traces::{file_sha256, text_sha256};
use crate::tree::{At, Fault, Node, Value as Tree};

/// Everything that will be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the spec format.
    pub schema: u32,
    /// Name of the experiment.
    pub name: String,
    /// Seeds of every group.
    pub seeds: Vec<u64>,
    /// Share of requests that must meet the objectives.
    pub attain: f64,
    /// How rates are chosen.
    pub search: Search,
    /// More seeds until an interval is narrow enough.
    pub replicate: Option<Replicate>,
    /// What is kept of each cell besides its statistics.
    pub output: Output,
    /// Dotted paths that grid and cases set, in the order in which the points first do.
    pub paths: Vec<String>,
    /// Those of the grid; the others are known by their case.
    pub grid: Vec<String>,
    /// What is run with every seed, by point, then rate, then scheduler.
    pub groups: Vec<Group>,
    /// Real traces that are not at hand, so that generators stand for them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub generated: BTreeSet<String>,
}

/// Cells that differ in nothing but their seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Settings of grid and case, counted in the order in which they are run. Groups of one point are compared.
    pub point: usize,
    /// Label of the case; empty if there are none.
    pub case: String,
    /// Label of the scheduler.
    pub label: String,
    /// The rate, when the spec lists rates.
    pub rate_rps: Option<f64>,
    /// Fully resolved; its seed is not used.
    pub scenario: Scenario,
}

/// One simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Hash of everything that can change a number.
    pub id: String,
    /// What is run.
    pub scenario: Scenario,
}

impl Cell {
    /// The cell of a resolved scenario.
    pub fn new(scenario: Scenario) -> Self {
        let content = (SCHEMA, env!("CARGO_PKG_VERSION"), published(&scenario), catalogue_files(&scenario));
        let text = serde_json::to_string(&content).expect("a scenario is plain data");
        Self { id: text_sha256(&text)[..16].to_owned(), scenario }
    }
}

/// Hashes of the model and hardware files that a scenario names by path: what is in them may change a number.
fn catalogue_files(scenario: &Scenario) -> Vec<String> {
    let cluster = &scenario.cluster;
    let of_groups = cluster.group.iter().flat_map(|group| group.model.iter().chain(&group.hardware));
    let files = [&cluster.model, &cluster.hardware].into_iter().chain(of_groups);
    let files = files.filter(|name| crate::catalog::is_path(name));
    files.map(|name| file_sha256(&[name]).unwrap_or_default()).collect()
}

/// The scenario without the path of its trace, which its hash stands for: results do not depend on where files lie.
pub(crate) fn published(scenario: &Scenario) -> Scenario {
    let mut scenario = scenario.clone();
    if scenario.workload.sha256.is_some() {
        scenario.workload.trace = None;
    }
    scenario
}

impl Group {
    /// The cell of a seed.
    pub fn cell(&self, seed: u64) -> Cell {
        Cell::new(Scenario { seed, ..self.scenario.clone() })
    }

    /// The cell of a rate and a seed.
    pub fn cell_at(&self, rate_rps: f64, seed: u64) -> Cell {
        let mut scenario = Scenario { seed, ..self.scenario.clone() };
        scenario.workload.rate = Some(rate_rps);
        Cell::new(scenario)
    }

    /// The value at a dotted path.
    pub fn setting(&self, path: &str) -> Value {
        let scenario = serde_json::to_value(&self.scenario).expect("a scenario is plain data");
        path.split('.').fold(scenario, |value, part| value.get(part).cloned().unwrap_or(Value::Null))
    }
}

impl Plan {
    /// Checks and expands a spec. Reads no trace, but hashes every trace file.
    pub fn new(source: &Source, registry: &Registry) -> Result<Self, LoadError> {
        let fail = |fault: &Fault| LoadError::Spec(source.error(fault));
        check_header(source).map_err(|fault| fail(&fault))?;
        let points = points(&source.root).map_err(|fault| fail(&fault))?;
        let schedulers = schedulers(source).map_err(|fault| fail(&fault))?;
        let rates = match &source.spec.search {
            Search::Sweep { rates_rps } if !rates_rps.is_empty() => rates_rps.iter().copied().map(Some).collect(),
            _ => vec![None],
        };
        let count = points.len().saturating_mul(rates.len()).saturating_mul(schedulers.len());
        if count > MOST_GROUPS {
            let message = format!("{count} combinations of settings, rates and schedulers are more than {MOST_GROUPS}");
            return Err(fail(&Fault::new(source.at("grid"), message)));
        }
        let searched = match &source.spec.search {
            Search::Capacity { .. } => Some(("search", source.at("search"))),
            Search::Sweep { rates_rps } if !rates_rps.is_empty() => {
                Some(("search.rates_rps", source.at("search.rates_rps")))
            }
            Search::Sweep { .. } => None,
        };
        let mut hashes = BTreeMap::new();
        let mut groups = Vec::new();
        let mut generated = BTreeSet::new();
        for (index, point) in points.iter().enumerate() {
            for &rate in &rates {
                for (label, scheduler) in &schedulers {
                    let mut tree = scenario_tree(&source.root, scheduler, point, rate).map_err(|fault| fail(&fault))?;
                    generated.extend(prefer_trace(&mut tree, source.traces.as_deref()).map_err(|fault| fail(&fault))?);
                    let capacity = matches!(source.spec.search, Search::Capacity { .. });
                    effect::check(&tree, &point.settings, searched).map_err(|fault| fail(&fault))?;
                    let scenario = tree.read::<Scenario>().map_err(|fault| fail(&fault))?;
                    let scenario = checked(&scenario, capacity, registry)
                        .map_err(|error| fail(&Fault::new(place(source, &tree, &error), error.to_string())))?;
                    let scenario = hashed(scenario, &mut hashes)?;
                    let case = point.case.clone();
                    groups.push(Group { point: index, case, label: label.clone(), rate_rps: rate, scenario });
                }
            }
        }
        let grid = source.root.get("grid").map(leaves).unwrap_or_default();
        let grid = grid.into_iter().map(|(path, ..)| path).collect();
        let mut paths: Vec<String> = Vec::new();
        for (path, ..) in points.iter().flat_map(|p| &p.settings) {
            if !paths.contains(path) {
                paths.push(path.clone());
            }
        }
        Ok(Self {
            schema: SCHEMA,
            name: source.spec.name.clone(),
            seeds: source.spec.seeds.clone(),
            attain: source.spec.slo.attain.unwrap_or(DEFAULT_ATTAIN),
            search: source.spec.search.clone(),
            replicate: source.spec.replicate.clone(),
            output: source.spec.output,
            paths,
            grid,
            groups,
            generated,
        })
    }

    /// Cells of the plan as written, without those that searches and replication add.
    pub fn cells(&self) -> impl Iterator<Item = (&Group, Cell)> {
        self.groups.iter().flat_map(|group| self.seeds.iter().map(move |&seed| (group, group.cell(seed))))
    }

    /// Every cell that may be run, those included that searches and replication may add.
    pub fn possible(&self) -> impl Iterator<Item = (&Group, Cell)> {
        let most = |max_seeds: Option<usize>| extended(&self.seeds, max_seeds.unwrap_or(2 * self.seeds.len()));
        let (rates, seeds) = match (&self.search, &self.replicate) {
            (Search::Capacity { rate_rps, tolerance, max_seeds }, _) => {
                (ladder(rate_rps.low, rate_rps.high, *tolerance), most(*max_seeds))
            }
            (Search::Sweep { .. }, Some(replicate)) => (Vec::new(), most(Some(replicate.max_seeds))),
            (Search::Sweep { .. }, None) => (Vec::new(), self.seeds.clone()),
        };
        let of_group = move |group: &Group| -> Vec<Cell> {
            let at = |rate: f64| seeds.iter().map(move |&seed| group.cell_at(rate, seed));
            if rates.is_empty() {
                seeds.iter().map(|&seed| group.cell(seed)).collect()
            } else {
                rates.iter().flat_map(|&rate| at(rate)).collect()
            }
        };
        self.groups.iter().flat_map(move |group| of_group(group).into_iter().map(move |cell| (group, cell)))
    }

    /// The cell whose id starts like this, unless there are several; those that searches and replication may add count.
    pub fn cell(&self, id: &str) -> Option<Cell> {
        let mut found: Vec<Cell> =
            self.possible().map(|(_, cell)| cell).filter(|cell| cell.id.starts_with(id)).collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found.dedup_by(|a, b| a.id == b.id);
        (found.len() == 1).then(|| found.remove(0))
    }

    /// What tells a group from the others: its rate, its case, which stands for what that sets, settings of the grid, and its
    /// scheduler.
    pub fn name(&self, group: &Group) -> String {
        let rate = group.rate_rps.map(|rate| format!("{rate} rps"));
        rate.into_iter().chain(self.point_name(group)).chain([group.label.clone()]).collect::<Vec<_>>().join(", ")
    }

    /// The parts of that without rate and scheduler.
    pub fn point_name<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = String> + 'a {
        let case = (!group.case.is_empty()).then(|| group.case.clone());
        case.into_iter().chain(self.grid.iter().map(|path| format!("{path}={}", group.setting(path))))
    }

    /// Labels of the schedulers, in the order in which they were written.
    pub fn labels(&self) -> Vec<&str> {
        let mut labels: Vec<&str> = Vec::new();
        for group in &self.groups {
            if !labels.contains(&group.label.as_str()) {
                labels.push(&group.label);
            }
        }
        labels
    }
}

/// More combinations than this are a mistake: even listing them takes gigabytes.
const MOST_GROUPS: usize = 100_000;
/// Seeds of a cell.
const MOST_SEEDS: usize = 100_000;
/// Rates of a search: the ratio of the highest to the lowest.
const WIDEST_SEARCH: f64 = 1e9;

/// The share of requests that must meet the objectives, unless said.
pub const DEFAULT_ATTAIN: f64 = 0.9;

fn check_header(source: &Source) -> Result<(), Fault> {
    let spec = &source.spec;
    let unless = |ok: bool, path: &str, message: String| {
        if ok { Ok(()) } else { Err(Fault::new(source.at(path), message)) }
    };
    unless(
        spec.schema == SCHEMA,
        "schema",
        format!("schema {} is not known: this program reads {SCHEMA}", spec.schema),
    )?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let named = !spec.name.is_empty() && !spec.name.starts_with('.') && spec.name.chars().all(plain);
    unless(named, "name", format!("`{}` is no name for a folder: use letters, digits, `-`, `_` and `.`", spec.name))?;
    unless(!spec.seeds.is_empty(), "seeds", "at least one seed is needed".into())?;
    let distinct = spec.seeds.iter().collect::<BTreeSet<_>>().len() == spec.seeds.len();
    unless(distinct, "seeds", "a seed is given twice".into())?;
    unless(!spec.scheduler.is_empty(), "scheduler", "at least one [[scheduler]] is needed".into())?;
    let attain = spec.slo.attain.unwrap_or(DEFAULT_ATTAIN);
    unless(attain > 0.0 && attain <= 1.0, "slo.attain", format!("`{attain}` is not a share above 0, up to 1"))?;
    match &spec.search {
        Search::Sweep { rates_rps } => {
            let ok = rates_rps.iter().all(|r| r.is_finite() && *r > 0.0);
            unless(ok, "search.rates_rps", "rates are positive numbers".into())?;
            let twice = rates_rps.iter().enumerate().find(|&(index, rate)| rates_rps[..index].contains(rate));
            let message = twice.map_or(String::new(), |(_, rate)| format!("`{rate}` is there twice"));
            unless(twice.is_none(), "search.rates_rps", message)?;
            let twice = spec.workload.rate.is_some() && !rates_rps.is_empty();
            unless(!twice, "workload.rate", "the rates are given by search.rates_rps already".into())?;
        }
        Search::Capacity { rate_rps, tolerance, max_seeds } => {
            let ok = rate_rps.low > 0.0 && rate_rps.high > rate_rps.low && rate_rps.high.is_finite();
            unless(ok, "search.rate_rps", "0 < low < high is needed".into())?;
            let ok = rate_rps.high <= rate_rps.low * WIDEST_SEARCH && rate_rps.low >= 1.0 / WIDEST_SEARCH;
            unless(ok, "search.rate_rps", "low is at least 1e-9, and high at most 1e9 times low".into())?;
            let ok = (0.001..=1.0).contains(tolerance);
            unless(ok, "search.tolerance", format!("`{tolerance}` is not a share from 0.001 to 1"))?;
            let ok = max_seeds.is_none_or(|most| (spec.seeds.len()..=MOST_SEEDS).contains(&most));
            unless(ok, "search.max_seeds", format!("from the number of seeds to {MOST_SEEDS}"))?;
            let slo = spec.slo.ttft_s.or(spec.slo.tpot_s).or(spec.slo.e2e_s).is_some() || !spec.slo.class.is_empty();
            unless(slo, "slo", "a capacity search needs an objective, such as slo.ttft_s".into())?;
            unless(spec.workload.rate.is_none(), "workload.rate", "the search chooses the rate".into())?;
        }
    }
    let regret = spec.output.decisions || !spec.output.regret;
    unless(regret, "output.regret", "has an effect with `output.decisions = true` only".into())?;
    if let Some(replicate) = &spec.replicate {
        let sweep = matches!(spec.search, Search::Sweep { .. });
        unless(
            sweep,
            "replicate",
            "is for sweeps; a capacity search adds seeds by itself, up to search.max_seeds".into(),
        )?;
        let ok = replicate.half_width > 0.0 && (spec.seeds.len()..=MOST_SEEDS).contains(&replicate.max_seeds);
        let message = format!("half_width must be positive and max_seeds from the number of seeds to {MOST_SEEDS}");
        unless(ok, "replicate", message)?;
        let known = crate::summary::METRICS.iter().any(|m| m.name == replicate.metric);
        let near = trimtab_core::nearest_name(&replicate.metric, crate::summary::METRICS.iter().map(|m| m.name));
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        unless(known, "replicate.metric", format!("unknown metric `{}`{hint}", replicate.metric))?;
    }
    Ok(())
}

/// One combination of case and grid values.
struct Point {
    case: String,
    settings: Vec<(String, At, Node)>,
}

fn points(root: &Node) -> Result<Vec<Point>, Fault> {
    let mut points = vec![Point { case: String::new(), settings: Vec::new() }];
    if let Some(Node { value: Tree::Array(cases), .. }) = root.get("case") {
        points.clear();
        for case in cases {
            let label = case.get("label").map_or(String::new(), |l| l.to_json().as_str().unwrap_or_default().into());
            if points.iter().any(|p| p.case == label) {
                return Err(Fault::new(case.locate("label"), format!("the case `{label}` is there twice")));
            }
            let settings = case.get("set").map(leaves).unwrap_or_default();
            points.push(Point { case: label, settings });
        }
    }
    for (path, at, node) in root.get("grid").map(leaves).unwrap_or_default() {
        let Tree::Array(values) = &node.value else {
            return Err(Fault::new(at, format!("`{path}` needs a list of values")));
        };
        if values.is_empty() {
            return Err(Fault::new(at, format!("`{path}` has no values")));
        }
        let said: Vec<Value> = values.iter().map(Node::to_json).collect();
        if let Some(twice) = (1..said.len()).find(|&index| said[..index].contains(&said[index])) {
            return Err(Fault::new(values[twice].at, format!("`{path}` has the value {} twice", said[twice])));
        }
        if points.len().saturating_mul(values.len()) > MOST_GROUPS {
            return Err(Fault::new(at, format!("more than {MOST_GROUPS} combinations with the values of `{path}`")));
        }
        points = points
            .iter()
            .flat_map(|point| {
                let (path, values) = (&path, values);
                values.iter().map(move |value| {
                    let mut settings = point.settings.clone();
                    settings.push((path.clone(), value.at, value.clone()));
                    Point { case: point.case.clone(), settings }
                })
            })
            .collect();
    }
    let stated = root.get("search").and_then(|search| search.get("rates_rps")).is_some();
    for (path, at, _) in points.iter().flat_map(|point| &point.settings) {
        match path.as_str() {
            "seed" => return Err(Fault::new(*at, "list the seeds in `seeds`")),
            "workload.rate" if stated => {
                return Err(Fault::new(*at, "the rates are given by search.rates_rps already"));
            }
            _ => {}
        }
    }
    Ok(points)
}

/// All values of a table with their dotted paths: `a.b = 1` and `"a.b" = 1` are the same.
fn leaves(table: &Node) -> Vec<(String, At, Node)> {
    let mut all = Vec::new();
    for entry in table.entries() {
        match &entry.node.value {
            Tree::Table(inner) if !inner.is_empty() => {
                all.extend(
                    leaves(&entry.node).into_iter().map(|(path, at, n)| (format!("{}.{path}", entry.key), at, n)),
                );
            }
            _ => all.push((entry.key.clone(), entry.at, entry.node.clone())),
        }
    }
    all
}

/// Label and table of each scheduler, the label taken out.
fn schedulers(source: &Source) -> Result<Vec<(String, Node)>, Fault> {
    let Some(Node { value: Tree::Array(nodes), .. }) = source.root.get("scheduler") else {
        return Ok(Vec::new());
    };
    let mut all: Vec<(String, Node)> = Vec::new();
    for (spec, node) in source.spec.scheduler.iter().zip(nodes) {
        let label = spec.label.clone().unwrap_or_else(|| spec.kind.clone());
        if label.is_empty() {
            return Err(Fault::new(node.locate("label"), "a scheduler without a name cannot be told from others"));
        }
        if all.iter().any(|(other, _)| *other == label) {
            let message = format!("two schedulers are called `{label}`: give one a `label`");
            return Err(Fault::new(node.locate(if spec.label.is_some() { "label" } else { "kind" }), message));
        }
        let mut node = node.clone();
        node.take("label");
        all.push((label, node));
    }
    Ok(all)
}

/// Keys of a spec that say nothing about a single simulation; all others are keys of a scenario.
const OF_THE_SPEC: [&str; 9] =
    ["schema", "name", "seeds", "scheduler", "grid", "case", "search", "replicate", "output"];

/// The scenario of one group, every value with the place where it was written.
fn scenario_tree(root: &Node, scheduler: &Node, point: &Point, rate: Option<f64>) -> Result<Node, Fault> {
    let mut tree = Node::table(Vec::new());
    for entry in root.entries() {
        if !OF_THE_SPEC.contains(&entry.key.as_str()) {
            let mut node = entry.node.clone();
            if entry.key == "slo" {
                node.take("attain");
            }
            tree.set(&entry.key, entry.at, node)?;
        }
    }
    tree.set("scheduler", scheduler.at, scheduler.clone())?;
    for (path, at, node) in &point.settings {
        tree.set(path, *at, node.clone())?;
    }
    if let Some(rate) = rate {
        let at = root.locate("search.rates_rps");
        tree.set("workload.rate", at, Node { at, value: Tree::Float(rate) })?;
    }
    Ok(tree)
}

/// Puts the trace that a generator stands for in its place, if it is at hand; else says its name.
fn prefer_trace(tree: &mut Node, traces: Option<&Path>) -> Result<Option<String>, Fault> {
    let Some(mut workload) = tree.take("workload") else { return Ok(None) };
    let mut absent = None;
    if let Some(real) = workload.node.take("real") {
        let name = real.node.get("trace").map(Node::to_json);
        let name = name.as_ref().and_then(Value::as_str);
        let file = traces.zip(name).map(|(folder, name)| folder.join(name));
        if let Some(file) = file.filter(|file| file.exists()) {
            workload.node.take("kind");
            workload.node.take("params");
            for entry in real.node.entries() {
                workload.node.set(&entry.key, entry.at, entry.node.clone())?;
            }
            let file = Node { at: real.at, value: Tree::Text(file.display().to_string()) };
            workload.node.set("trace", real.at, file)?;
        } else if workload.node.get("kind").is_some() {
            absent = name.map(str::to_owned);
        }
    }
    tree.set("workload", workload.at, workload.node)?;
    Ok(absent)
}

/// Builds everything once, so that nothing can fail later that could have been known before. Fills in what was left out.
fn checked(scenario: &Scenario, capacity: bool, registry: &Registry) -> Result<Scenario, RunError> {
    let mut scenario = scenario.resolved()?;
    let def = scenario.scheduler_def(registry)?;
    let config = scenario.cluster_config(Stepping::Macro, false)?;
    (def.build)(&scenario.scheduler.params, &build_context(&config))
        .map_err(|error| ScenarioError::Params { name: def.name.into(), detail: error.to_string() })?;
    // A preset has defaults of its own, which are the scheduler's to fill in.
    if scenario.scheduler.params.get("preset").is_none() {
        let mut params: serde_json::Map<String, Value> =
            (def.params)().params.into_iter().map(|(name, default, _)| (name.to_owned(), default)).collect();
        params.extend(scenario.scheduler.params.as_object().cloned().unwrap_or_default());
        scenario.scheduler.params = Value::Object(params);
    }
    crate::workload::check(&scenario.workload, capacity)?;
    check_foresight(&scenario, &config, crate::workload::is_open(&scenario)?)?;
    if let Some(def) = scenario.workload.kind.as_deref().and_then(|kind| generator_by_name(kind).ok()) {
        let mut params: serde_json::Map<String, Value> =
            (def.params)().into_iter().map(|doc| (doc.name.to_owned(), doc.default)).collect();
        params.extend(scenario.workload.params.as_object().cloned().unwrap_or_default());
        scenario.workload.params = Value::Object(params);
    }
    Ok(scenario)
}

/// Fills in the hash of the trace, or compares it.
fn hashed(mut scenario: Scenario, hashes: &mut BTreeMap<PathBuf, String>) -> Result<Scenario, LoadError> {
    let Some(path) = &scenario.workload.trace else { return Ok(scenario) };
    let found = match hashes.get(path) {
        Some(found) => found.clone(),
        None => file_sha256(&[path]).inspect(|found| drop(hashes.insert(path.clone(), found.clone())))?,
    };
    if let Some(expected) = scenario.workload.sha256.as_ref().filter(|e| !e.eq_ignore_ascii_case(&found)) {
        let mismatch = crate::traces::TraceError::Mismatch { path: path.clone(), expected: expected.clone(), found };
        return Err(mismatch.into());
    }
    scenario.workload.sha256 = Some(found);
    Ok(scenario)
}
