//! A results folder as figures see it: rows of `summary.csv`, split by what was varied, averaged over seeds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use trimtab_table::{Column, Table, TableError};

use crate::estimate::Estimate;
use crate::figure::Point;

mod attainment;
mod runs;

pub use attainment::Attainment;
pub use runs::{FleetWindow, LoadWindow, WINDOW_S};

/// Columns of `summary.csv` that are not metrics; the settings of the grid stand between `rate_rps` and `requests`.
const LABEL: &str = "label";
const RATE: &str = "rate_rps";
const CASE: &str = "case";
const FIRST_METRIC: &str = "requests";
/// The same of `capacity.csv`.
const FIRST_OF_CAPACITY: &str = "target";
/// The same of `comparisons.csv`.
const FIRST_OF_COMPARISONS: &str = "baseline";

/// A results folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ResultsError {
    #[error("`{0}` is not a results folder: it has no summary.csv")]
    NoSummary(PathBuf),
    #[error("`{path}`: {source}")]
    Table { path: PathBuf, source: TableError },
    #[error("`{path}`: {reason}")]
    Spec { path: PathBuf, reason: String },
}

/// What the experiment counted as good, as far as figures show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Objectives {
    /// Longest time to first token.
    pub ttft_s: Option<f64>,
    /// Longest mean time per output token.
    pub tpot_s: Option<f64>,
    /// Longest time from arrival to end.
    pub e2e_s: Option<f64>,
    /// Share of requests that must meet them.
    pub attain: Option<f64>,
}

/// What figures need of `spec.toml`; the rest is none of their business.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SpecFile {
    slo: Objectives,
    warmup_requests: usize,
}

/// A scheduler against another, paired by seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Geometric mean of the ratios.
    pub ratio: Estimate,
    /// In words.
    pub verdict: String,
}

/// The stored results of one experiment.
#[derive(Debug)]
pub struct Results {
    folder: PathBuf,
    summary: Table,
    capacity: Option<Table>,
    comparisons: Option<Table>,
    spec: SpecFile,
    attainment: Attainment,
}

impl Results {
    /// Reads a results folder.
    pub fn open(folder: &Path) -> Result<Self, ResultsError> {
        let read = |name: &str| {
            let path = folder.join(name);
            let table = path.exists().then(|| Table::read(&path)).transpose();
            table.map_err(|source| ResultsError::Table { path, source })
        };
        let summary = read("summary.csv")?.ok_or_else(|| ResultsError::NoSummary(folder.to_owned()))?;
        for column in [LABEL, FIRST_METRIC] {
            summary
                .column(column)
                .map_err(|source| ResultsError::Table { path: folder.join("summary.csv"), source })?;
        }
        let path = folder.join("spec.toml");
        let spec = match fs::read_to_string(&path) {
            Ok(text) => {
                toml::from_str(&text).map_err(|error| ResultsError::Spec { path, reason: error.to_string() })?
            }
            Err(_) => SpecFile::default(),
        };
        Ok(Self {
            folder: folder.to_owned(),
            attainment: Attainment::of(&summary),
            summary,
            capacity: read("capacity.csv")?,
            comparisons: read("comparisons.csv")?,
            spec,
        })
    }

    /// All labels, in the order of the experiment.
    pub fn labels(&self) -> Vec<String> {
        let all: Vec<usize> = (0..self.summary.rows()).collect();
        distinct(&self.summary, LABEL, &all)
    }

    /// What all figures of these results show as attainment.
    pub fn attainment(&self) -> Attainment {
        self.attainment
    }

    /// Requests left out at the start of each run.
    pub fn warmup_requests(&self) -> usize {
        self.spec.warmup_requests
    }

    /// How many different values a column of the summary has; missing ones do not count.
    pub fn variety(&self, column: &str) -> usize {
        variety(&self.summary, column)
    }

    /// The summary split by everything that was varied, but for the seeds, the schedulers and the columns named.
    pub fn slices(&self, but: &[&str]) -> Vec<Slice<'_>> {
        self.split(&self.summary, FIRST_METRIC, but)
    }

    /// `capacity.csv` split likewise; nothing if no capacities were searched.
    pub fn capacities(&self) -> Option<Vec<Slice<'_>>> {
        self.capacity.as_ref().map(|table| self.split(table, FIRST_OF_CAPACITY, &[RATE]))
    }

    /// `comparisons.csv`, if schedulers were compared.
    pub fn comparisons(&self) -> Option<&Table> {
        self.comparisons.as_ref()
    }

    /// The same, split by everything that was varied, but for the schedulers.
    pub fn compared(&self) -> Option<Vec<Slice<'_>>> {
        self.comparisons.as_ref().map(|table| self.split(table, FIRST_OF_COMPARISONS, &[]))
    }

    /// Everything that was varied on purpose, by column.
    pub fn settings(&self) -> Vec<&str> {
        let all = self.summary.names().skip_while(|name| *name != RATE).take_while(|name| *name != FIRST_METRIC);
        all.filter(|name| self.variety(name) > 1).collect()
    }

    fn split<'a>(&'a self, table: &'a Table, end: &str, but: &[&str]) -> Vec<Slice<'a>> {
        let settings = table.names().skip_while(|name| *name != RATE).take_while(|name| *name != end);
        let columns = table.names().filter(|name| *name == CASE).chain(settings);
        // Not what follows from the axis: settings that were varied together are one. Rates are not settings: cases that
        // each have their own stay apart.
        let axes: Vec<&str> = but.iter().copied().filter(|name| *name != RATE).collect();
        let free = |name: &&str| {
            let follows = axes.iter().any(|of| follows(table, name, of));
            !but.contains(name) && variety(table, name) > 1 && !follows
        };
        let varied: Vec<&str> = columns.filter(free).collect();
        let mut slices: Vec<Slice<'_>> = Vec::new();
        for row in 0..table.rows() {
            let values: Vec<(String, String)> =
                varied.iter().map(|name| ((*name).to_owned(), show(table, name, row))).collect();
            match slices.iter_mut().find(|slice| slice.settings == values) {
                Some(slice) => slice.rows.push(row),
                None => slices.push(Slice { results: self, table, settings: values, rows: vec![row] }),
            }
        }
        slices
    }
}

/// The rows of a summary that differ in the scheduler, the seed and what a figure has on its axis, and in nothing else.
#[derive(Clone, Debug)]
pub struct Slice<'a> {
    results: &'a Results,
    table: &'a Table,
    /// What this slice has and others don't, by column.
    settings: Vec<(String, String)>,
    rows: Vec<usize>,
}

impl Slice<'_> {
    /// A figure's name with what tells this slice from others, fit for a file name.
    pub fn name(&self, figure: &str) -> String {
        let mut name = figure.to_owned();
        for (column, value) in self.told() {
            name.push_str("--");
            name.extend(
                format!("{column}={value}")
                    .chars()
                    .map(|c| if c.is_alphanumeric() || "=._".contains(c) { c } else { '-' }),
            );
        }
        name
    }

    /// The names of what was varied.
    pub fn varied(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().map(|(column, _)| column.as_str())
    }

    /// What this slice has and others don't: column and value.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(column, value)| (column.as_str(), value.as_str()))
    }

    /// What tells it from others in words: a case stands for what it sets.
    fn told(&self) -> impl Iterator<Item = &(String, String)> {
        let cases = self.settings.iter().any(|(column, _)| column == CASE);
        self.settings.iter().filter(move |(column, _)| !cases || column == CASE || !set_by_case(self.table, column))
    }

    /// A title with the same.
    pub fn title(&self, title: &str) -> String {
        let settings: Vec<String> = self.told().map(|(column, value)| format!("{column} = {value}")).collect();
        if settings.is_empty() { title.to_owned() } else { format!("{title} ({})", settings.join(", ")) }
    }

    /// What counted as good in this slice: the spec, unless the experiment varied it.
    pub fn objectives(&self) -> Objectives {
        let varied = |key: &str| {
            self.settings.iter().find(|(column, _)| column == key).and_then(|(_, value)| value.parse().ok())
        };
        let spec = self.results.spec.slo;
        Objectives {
            ttft_s: varied("slo.ttft_s").or(spec.ttft_s),
            tpot_s: varied("slo.tpot_s").or(spec.tpot_s),
            e2e_s: varied("slo.e2e_s").or(spec.e2e_s),
            attain: varied("slo.attain").or(spec.attain),
        }
    }

    /// Labels in the order of the experiment.
    pub fn labels(&self) -> Vec<String> {
        distinct(self.table, LABEL, &self.rows)
    }

    /// The only value of a metric for one scheduler.
    pub fn value(&self, label: &str, metric: &str) -> Option<f64> {
        self.values(label, metric, |_| true).first().copied()
    }

    /// A metric of one scheduler over all its rows, across seeds.
    pub fn estimate(&self, label: &str, metric: &str) -> Option<Estimate> {
        Estimate::of(&self.values(label, metric, |_| true))
    }

    /// A metric against a setting for one scheduler, by growing setting; points without a value are left out.
    pub fn curve(&self, label: &str, setting: &str, metric: &str) -> Vec<Point> {
        let along =
            |x: f64| Some(Point::new(Estimate::exact(x), Estimate::of(&self.values_at(label, metric, setting, x))?));
        self.places(setting).into_iter().filter_map(along).collect()
    }

    /// Two metrics of one scheduler against each other, one point for each value of a setting.
    pub fn plane(&self, label: &str, setting: &str, across: &str, up: &str) -> Vec<Point> {
        if self.places(setting).is_empty() {
            let point = self.estimate(label, across).zip(self.estimate(label, up));
            return point.map(|(x, y)| Point::new(x, y)).into_iter().collect();
        }
        let at = |place: f64, metric: &str| Estimate::of(&self.values_at(label, metric, setting, place));
        self.places(setting)
            .into_iter()
            .filter_map(|place| Some(Point::new(at(place, across)?, at(place, up)?)))
            .collect()
    }

    /// One scheduler against another by one metric.
    pub fn pair(&self, label: &str, baseline: &str, metric: &str) -> Option<Pair> {
        let is = |row: usize, column: &str, value: &str| show(self.table, column, row) == value;
        let wanted = |row: usize| is(row, LABEL, label) && is(row, "baseline", baseline) && is(row, "metric", metric);
        let row = self.rows.iter().copied().find(|&row| wanted(row))?;
        let number = |name: &str| self.table.get(name).and_then(|column| column.number(row));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seeds")]
        let n = number("n").unwrap_or(1.0) as usize;
        let ratio = Estimate { mean: number("ratio")?, interval: number("ratio_lo").zip(number("ratio_hi")), n };
        Some(Pair { ratio, verdict: show(self.table, "verdict", row) })
    }

    /// The different values of a numeric setting, growing.
    pub fn places(&self, setting: &str) -> Vec<f64> {
        let Some(column) = self.table.get(setting) else { return Vec::new() };
        let mut places: Vec<f64> = self.rows.iter().filter_map(|&row| column.number(row)).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        places
    }

    fn values_at(&self, label: &str, metric: &str, setting: &str, place: f64) -> Vec<f64> {
        let column = self.table.get(setting);
        self.values(label, metric, |row| {
            column.and_then(|column| column.number(row)).is_some_and(|x| x.total_cmp(&place).is_eq())
        })
    }

    fn values(&self, label: &str, metric: &str, wanted: impl Fn(usize) -> bool) -> Vec<f64> {
        let Some(column) = self.table.get(metric) else { return Vec::new() };
        let ours = |row: usize| show(self.table, LABEL, row) == label && wanted(row);
        self.rows.iter().filter(|&&row| ours(row)).filter_map(|&row| column.number(row)).collect()
    }
}

fn show(table: &Table, column: &str, row: usize) -> String {
    match table.get(column) {
        // Settings read back as numbers: without the point of a whole one.
        Some(Column::Real(cells)) => cells[row].map(|x| x.to_string()).unwrap_or_default(),
        Some(column) => column.show(row),
        None => String::new(),
    }
}

/// Whether a setting is the same throughout every case.
fn set_by_case(table: &Table, column: &str) -> bool {
    let mut cases: Vec<(String, String)> = Vec::new();
    (0..table.rows()).all(|row| {
        let (case, value) = (show(table, CASE, row), show(table, column, row));
        if let Some((_, first)) = cases.iter().find(|(other, _)| *other == case) {
            return *first == value;
        }
        cases.push((case, value));
        true
    })
}

/// Whether a column has one value for each value of another, which has several.
fn follows(table: &Table, column: &str, of: &str) -> bool {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let same = (0..table.rows()).all(|row| {
        let value = show(table, column, row);
        *known.entry(show(table, of, row)).or_insert_with(|| value.clone()) == value
    });
    same && known.len() > 1
}

fn variety(table: &Table, column: &str) -> usize {
    let all: Vec<usize> = (0..table.rows()).collect();
    let values = table.get(column).map(|_| distinct(table, column, &all)).unwrap_or_default();
    values.iter().filter(|value| !value.is_empty()).count()
}

fn distinct(table: &Table, column: &str, rows: &[usize]) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for &row in rows {
        let value = show(table, column, row);
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_case_and_what_varies_within_it_but_not_what_it_sets() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut table = Table::new();
        let mut add = |name: &str, column| table.push(name, column).expect("equal lengths");
        add(CASE, Column::text(["a", "a", "b", "b"]));
        add(LABEL, Column::text(["x"; 4]));
        add(RATE, Column::real([1.0; 4]));
        add("cluster.instances", Column::count([2, 4, 2, 4]));
        add("event", Column::text(["add", "add", "remove", "remove"]));
        add(FIRST_METRIC, Column::count([10; 4]));
        table.write(&folder.path().join("summary.csv")).expect("room on the disk");
        let results = Results::open(folder.path()).expect("results");
        let names: Vec<String> = results.slices(&[]).iter().map(|slice| slice.name("figure")).collect();
        let expected = ["a", "b"].map(|case| [2, 4].map(|n| format!("figure--case={case}--cluster.instances={n}")));
        assert_eq!(names, expected.concat());
        let slices = results.slices(&[]);
        assert_eq!(slices[0].title("Title"), "Title (case = a, cluster.instances = 2)");
        assert!(slices[0].settings().any(|(column, _)| column == "event"), "what a case sets can be looked up");
    }
}
