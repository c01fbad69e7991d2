//! What was kept of single runs: their requests, the load of their instances, their clusters over time.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use trimtab_table::{Column, Table};

use super::{LABEL, ResultsError, Slice, show};

/// How long the windows of stored series are, in seconds.
pub const WINDOW_S: f64 = 10.0;

/// The requests that arrived in 10 s at a cluster that changed.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct FleetWindow {
    /// Since the first arrival, in seconds.
    pub from_s: f64,
    /// Instances that could be chosen at its end.
    pub members: u32,
    /// Share that met the TTFT objective.
    pub attainment: Option<f64>,
    /// Hit tokens over prompt tokens.
    pub hit_ratio: Option<f64>,
}

/// The load of one instance in 10 s of simulated time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadWindow {
    /// When it begins, in seconds.
    pub from_s: f64,
    /// Which instance.
    pub instance: usize,
    /// Requests in its queue, time mean.
    pub waiting: f64,
    /// Prompt tokens still to be computed, time mean.
    pub pending_tokens: f64,
    /// Requests that left its queue for another instance.
    pub moved: f64,
    /// Share of the window in which it was there.
    pub serving: f64,
}

/// What figures need of a cell.
#[derive(Deserialize)]
struct CellFile {
    metrics: CellMetrics,
}

#[derive(Deserialize)]
struct CellMetrics {
    fleet: Option<Fleet>,
}

#[derive(Deserialize)]
struct Fleet {
    windows: Vec<FleetWindow>,
}

impl Slice<'_> {
    /// A column of the requests of one scheduler after the warm-up, of all its runs together; missing where a request
    /// has no value. Nothing when per-request rows were not kept.
    pub fn samples(&self, label: &str, column: &str) -> Result<Vec<Option<f64>>, ResultsError> {
        let mut samples = Vec::new();
        for (path, requests) in self.parts(label, "requests")? {
            let column = requests.column(column).map_err(|source| ResultsError::Table { path, source })?;
            samples.extend((self.results.warmup_requests()..requests.rows()).map(|request| column.number(request)));
        }
        Ok(samples)
    }

    /// The load of the instances of one scheduler over time, one list for each run, by window and instance. Nothing when
    /// it was not kept.
    pub fn loads(&self, label: &str) -> Result<Vec<Vec<LoadWindow>>, ResultsError> {
        let read = |(path, table): (PathBuf, Table)| {
            let column =
                |name: &str| table.column(name).map_err(|source| ResultsError::Table { path: path.clone(), source });
            let (from, instance) = (column("from_s")?, column("instance")?);
            let (waiting, pending, moved) = (column("waiting")?, column("pending_tokens")?, column("moved")?);
            let serving = table.get("serving");
            let number = |column: &Column, row: usize| column.number(row).unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of instances")]
            let window = |row: usize| LoadWindow {
                from_s: number(from, row),
                instance: number(instance, row) as usize,
                waiting: number(waiting, row),
                pending_tokens: number(pending, row),
                moved: number(moved, row),
                // Tables from before there was this column are of clusters that stay as they are.
                serving: serving.map_or(1.0, |column| number(column, row)),
            };
            Ok((0..table.rows()).map(window).collect())
        };
        self.parts(label, "load")?.into_iter().map(read).collect()
    }

    /// A table of every run of one scheduler, where it was kept.
    fn parts(&self, label: &str, name: &str) -> Result<Vec<(PathBuf, Table)>, ResultsError> {
        let mut parts = Vec::new();
        for &row in self.rows.iter().filter(|&&row| show(self.table, LABEL, row) == label) {
            let cell = self.results.folder.join("cells").join(show(self.table, "cell", row));
            let files = ["parquet", "csv"].map(|extension| cell.join(format!("{name}.{extension}")));
            let Some(path) = files.into_iter().find(|path| path.exists()) else { continue };
            match Table::read(&path) {
                Ok(table) => parts.push((path, table)),
                Err(source) => return Err(ResultsError::Table { path, source }),
            }
        }
        Ok(parts)
    }

    /// What the clusters of one scheduler did over time, one list for each run; nothing for clusters that stay as they are.
    pub fn windows(&self, label: &str) -> Result<Vec<Vec<FleetWindow>>, ResultsError> {
        let mut runs = Vec::new();
        for &row in self.rows.iter().filter(|&&row| show(self.table, LABEL, row) == label) {
            let cell = format!("{}.json", show(self.table, "cell", row));
            let path = self.results.folder.join("cells").join(cell);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let cell: CellFile =
                serde_json::from_str(&text).map_err(|error| ResultsError::Spec { path, reason: error.to_string() })?;
            runs.extend(cell.metrics.fleet.map(|fleet| fleet.windows));
        }
        Ok(runs)
    }
}
