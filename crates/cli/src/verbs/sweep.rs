//! `trimtab sweep`: every cell of a spec, a table of what came out, figures.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::ProgressBar;
use serde_json::{Map, Value};
use trimtab_experiment::plan::Plan;
use trimtab_experiment::results::{CellResult, Existing};
use trimtab_experiment::spec::Source;
use trimtab_experiment::stats::t_interval;
use trimtab_experiment::sweep::{self, Outcome, Progress, Shard, State, SweepOptions};
use trimtab_sched::Registry;

use crate::exit::{Exit, Failure};
use crate::printer::Printer;

/// Arguments of `trimtab sweep`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The spec (TOML)
    spec: PathBuf,
    /// Results folder; `results/NAME` of the spec when not given, where finished cells are kept
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Keep finished cells of the results folder and run the others
    #[arg(long)]
    resume: bool,
    /// Discard what is in the results folder
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    /// Cells at a time; as many as there are processors when not given
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    jobs: usize,
    /// Run only part i of n, to be merged later
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Change a value of the spec
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
}

/// Set by Ctrl-C: cells in progress finish, no new one starts.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let registry = Registry::default();
    let source = Source::load(&args.spec, &args.set).map_err(|error| Failure::of(error.exit_code(), error))?;
    let plan = Plan::new(&source, &registry).map_err(|error| Failure::of(error.exit_code(), error))?;
    // In the folder that carries the spec's name, finished cells are found by their content: keeping them is always right.
    let existing = match (args.force, args.resume || args.out.is_none()) {
        (true, _) => Existing::Replace,
        (false, true) => Existing::Resume,
        (false, false) => Existing::Refuse,
    };
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("results").join(&plan.name));
    let options = SweepOptions { out, jobs: args.jobs, existing, shard: args.shard, provenance: provenance() };
    // A second Ctrl-C ends the program at once; without a handler the first one does.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::abort();
        }
    });
    let watch = Watch::new(printer);
    let outcome = sweep::sweep(&plan, &source, &registry, &options, &watch)
        .map_err(|error| Failure::of(error.exit_code(), error))?;
    watch.finish(&outcome);
    for failure in &outcome.failures {
        let sweep::Failure { label, seed, message, reproduce, .. } = failure;
        printer.note(&format!("failed: {label}, seed {seed}: {message}\nhint: {reproduce}"));
    }
    if outcome.interrupted {
        let spec = args.spec.display();
        let again = format!("`trimtab sweep {spec} --out {} --resume` goes on", outcome.dir.display());
        return Err(Failure { exit: Exit::Interrupted, message: format!("interrupted; {again}") });
    }
    printer.result(&table(&plan, &outcome))?;
    printer.note(&format!("results in {}", outcome.dir.display()));
    super::plot::after_sweep(&outcome.dir, printer);
    match outcome.failures.len() {
        0 => Ok(()),
        n => Err(Failure { exit: Exit::Incomplete, message: format!("{n} cells failed") }),
    }
}

/// What the manifest tells of this run and no data file does.
fn provenance() -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    map.insert("command".into(), std::env::args().collect::<Vec<_>>().into());
    map.insert("processors".into(), std::thread::available_parallelism().map_or(0, usize::from).into());
    map
}

/// Draws the progress of a sweep.
struct Watch {
    printer: Printer,
    bar: ProgressBar,
    start: Instant,
    warned: Mutex<Vec<String>>,
}

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "the simulator's own speed, for stderr and the manifest only")]
    fn new(printer: Printer) -> Self {
        Self { printer, bar: printer.progress(0, "cells"), start: Instant::now(), warned: Mutex::default() }
    }

    fn finish(&self, outcome: &Outcome) {
        self.bar.finish_and_clear();
        for text in self.warned.lock().into_iter().flat_map(|mut list| std::mem::take(&mut *list)) {
            self.printer.note(&format!("warning: {text}"));
        }
        let State { done, reused, requests, .. } = outcome.state;
        let seconds = self.start.elapsed().as_secs_f64();
        let kept = if reused > 0 { format!(" ({reused} kept from before)") } else { String::new() };
        self.printer.note(&format!("{done} cells{kept}, {requests} requests simulated in {seconds:.1} s"));
    }
}

impl Progress for Watch {
    fn update(&self, state: &State) {
        self.bar.set_length(state.total as u64);
        self.bar.set_position(state.done as u64);
    }

    fn warn(&self, text: &str) {
        if let Ok(mut list) = self.warned.lock() {
            list.push(text.to_owned());
        }
    }

    fn interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::SeqCst)
    }

    fn seconds(&self) -> Option<f64> {
        Some(self.start.elapsed().as_secs_f64())
    }
}

/// A column of the table: its heading, and what it shows of a cell.
type Column = (&'static str, fn(&CellResult) -> Option<f64>);

const COLUMNS: [Column; 6] = [
    ("in TTFT SLO", |r| r.metrics.slo_attainment),
    ("TTFT mean, s", |r| r.metrics.ttft_s.mean),
    ("TTFT p90, s", |r| r.metrics.ttft_s.p90),
    ("TPOT mean, s", |r| r.metrics.tpot_s.mean),
    ("hit ratio", |r| r.metrics.hit_ratio.tokens),
    ("load cv", |r| Some(r.metrics.load_cv)),
];

/// One line for each scheduler at each point of the grid: means over seeds with half-widths of 95 % intervals.
fn table(plan: &Plan, outcome: &Outcome) -> String {
    let labels: Vec<String> = plan
        .groups
        .iter()
        .map(|group| {
            let rate = group.rate_rps.map(|rate| format!("{rate} rps"));
            let case = (!group.case.is_empty()).then(|| group.case.clone());
            let settings = plan.paths.iter().map(|path| format!("{path}={}", group.setting(path)));
            rate.into_iter().chain(case).chain(settings).chain([group.label.clone()]).collect::<Vec<_>>().join(", ")
        })
        .collect();
    let width = labels.iter().map(String::len).max().unwrap_or(0);
    let mut lines = vec![COLUMNS.iter().fold(" ".repeat(width), |line, (name, _)| format!("{line}{name:>20}"))];
    for (index, label) in labels.iter().enumerate() {
        let cells = outcome.rows.iter().filter(|row| row.group == index).filter_map(|row| row.result.as_deref());
        let cells: Vec<&CellResult> = cells.collect();
        let line = COLUMNS.iter().fold(format!("{label:width$}"), |line, (_, get)| {
            let values: Vec<f64> = cells.iter().filter_map(|cell| get(cell)).collect();
            let text = t_interval(&values).map_or("-".into(), |interval| {
                let half = interval.half_width().map_or(String::new(), |half| format!(" +-{half:.3}"));
                format!("{:.3}{half}", interval.mean)
            });
            format!("{line}{text:>20}")
        });
        lines.push(line);
    }
    lines.push(format!("{} seeds; +- is half of the 95 % t interval over seeds", plan.seeds.len()));
    lines.join("\n") + "\n"
}
