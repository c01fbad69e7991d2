//! What `sweep`, `capacity` and `merge` have in common: from a spec to a results folder, a table and figures.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use trimtab_experiment::plan::Plan;
use trimtab_experiment::results::{Existing, SweepError};
use trimtab_experiment::spec::Source;
use trimtab_experiment::sweep::{self, Outcome, Shard, SweepOptions};
use trimtab_sched::Registry;

use super::tables;
use super::watch::{Watch, catch_interrupts};
use crate::exit::{Exit, Failure, remedy};
use crate::printer::Printer;

/// Arguments of `trimtab sweep` and `trimtab capacity`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The spec (TOML)
    pub(crate) spec: PathBuf,
    #[command(flatten)]
    folder: Folder,
    /// Run only part i of n, to be merged later
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Change a value of the spec
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
}

/// Where results go, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Folder {
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
}

impl Folder {
    pub(crate) fn options(&self, name: &str, shard: Option<Shard>) -> SweepOptions {
        // In the folder that carries the spec's name, finished cells are found by their content: keeping them is
        // always right.
        let existing = match (self.force, self.resume || self.out.is_none()) {
            (true, _) => Existing::Replace,
            (false, true) => Existing::Resume,
            (false, false) => Existing::Refuse,
        };
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from("results").join(name));
        SweepOptions { out, jobs: self.jobs, existing, shard, provenance: provenance() }
    }
}

/// A spec and its plan.
pub(crate) struct Loaded {
    pub(crate) source: Source,
    pub(crate) plan: Plan,
}

pub(crate) fn load(spec: &Path, set: &[String], printer: Printer) -> Result<Loaded, Failure> {
    let source = Source::load(spec, set).map_err(|error| Failure::of(error.exit_code(), error))?;
    let plan = Plan::new(&source, &Registry::default()).map_err(|error| Failure::of(error.exit_code(), error))?;
    for trace in &plan.generated {
        let why = source.traces.as_ref().map_or_else(
            || "TRIMTAB_TRACES names no folder".to_owned(),
            |folder| format!("it is not in {}, which TRIMTAB_TRACES names", folder.display()),
        );
        printer.note(&format!("{}: a generator stands for {trace}: {why}", spec.display()));
    }
    Ok(Loaded { source, plan })
}

pub(crate) fn run(args: &Args, loaded: &Loaded, printer: Printer) -> Result<(), Failure> {
    let Loaded { source, plan } = loaded;
    let options = args.folder.options(&plan.name, args.shard);
    let again = || {
        let spec = source.as_arguments();
        let shard = args.shard.map_or(String::new(), |shard| format!(" --shard {shard}"));
        format!("trimtab sweep {spec}{shard} --out {} --resume", options.out.display())
    };
    finish(plan, printer, &again, |watch| sweep::sweep(plan, source, &Registry::default(), &options, watch))
}

/// Runs something that leaves a results folder, and shows what came out. `again` is the command that goes on with it.
pub(crate) fn finish(
    plan: &Plan,
    printer: Printer,
    again: &dyn Fn() -> String,
    work: impl FnOnce(&Watch) -> Result<Outcome, SweepError>,
) -> Result<(), Failure> {
    catch_interrupts();
    let watch = Watch::new(printer);
    let outcome = work(&watch).map_err(|error| {
        let code = error.exit_code();
        let hint = match &error {
            SweepError::Io { doing: "write", source, .. } => {
                format!("{}\nhint: finished cells are kept; then `{}` goes on", remedy(source), again())
            }
            SweepError::Io { doing: "read", .. } => String::new(),
            SweepError::Io { source, .. } => remedy(source).to_owned(),
            _ => String::new(),
        };
        Failure::of(code, format!("{error}{hint}"))
    })?;
    watch.finish(&outcome);
    for failure in &outcome.failures {
        let sweep::Failure { label, seed, message, reproduce, .. } = failure;
        printer.note(&format!("failed: {label}, seed {seed}: {message}\nhint: {reproduce}"));
    }
    if outcome.interrupted {
        let message = format!("interrupted; {} cells are kept\nhint: `{}` goes on", outcome.state.done, again());
        return Err(Failure { exit: Exit::Interrupted, message });
    }
    printer.result(&tables::tables(plan, &outcome))?;
    printer.note(&format!("results in {}", outcome.dir.display()));
    if outcome.dir.join("summary.csv").exists() {
        super::plot::after_sweep(&outcome.dir, printer);
    }
    match outcome.failures.len() {
        0 => Ok(()),
        n => Err(Failure { exit: Exit::Unmet, message: format!("{n} cells failed") }),
    }
}

/// What the manifest tells of this run and no data file does.
fn provenance() -> Map<String, Value> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name.trim());
    let facts: [(&str, Value); 8] = [
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("commit", env!("TRIMTAB_COMMIT").into()),
        ("rustc", env!("TRIMTAB_RUSTC").into()),
        ("target", env!("TRIMTAB_TARGET").into()),
        ("cargo_lock_sha256", trimtab_experiment::traces::text_sha256(include_str!("../../../../Cargo.lock")).into()),
        ("command", std::env::args().collect::<Vec<_>>().into()),
        ("cpu", cpu.into()),
        ("processors", std::thread::available_parallelism().map_or(0, usize::from).into()),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
