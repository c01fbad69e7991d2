//! One simulation, as `run` and `timeline` take it: from flags, or a cell of a spec that flags then change.

use std::path::{Path, PathBuf};

use trimtab_core::{PrefixForest, Request, RequestId, SimTime};
use trimtab_engine::Stepping;
use trimtab_experiment::overrides::{Override, overridden};
use trimtab_experiment::scenario::Scenario;
use trimtab_experiment::traces::file_sha256;
use trimtab_experiment::workload;
use trimtab_sched::Registry;

use super::experiment::{Loaded, load};
use super::flags::Flags;
use crate::exit::Failure;
use crate::printer::Printer;

/// Which simulation.
#[derive(Debug, clap::Args)]
pub(crate) struct Chosen {
    /// A spec, to run one of its cells; flags then change that cell
    spec: Option<PathBuf>,
    /// Which cell: the beginning of its id (see `trimtab check --cells`); needless if there is one only
    #[arg(long, value_name = "ID", requires = "spec")]
    cell: Option<String>,
    #[command(flatten)]
    flags: Flags,
    /// Scheduler parameter (see `trimtab explain`)
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Scheduler")]
    param: Vec<String>,
    /// Parameter of the generated workload
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Workload")]
    workload_param: Vec<String>,
    /// Parameter of the eviction policy (see `trimtab explain eviction NAME`)
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Instances")]
    eviction_param: Vec<String>,
    /// Any value by its dotted path, such as signals.refresh_ms=50 (of the spec, if there is one)
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
}

impl Chosen {
    /// What to simulate, with all that follows from it. Everything is checked before anything is read.
    pub(crate) fn scenario(&self, registry: &Registry, printer: Printer) -> Result<Scenario, Failure> {
        let scenario = self.written(printer)?;
        workload::check(&scenario.workload, false)?;
        scenario.scheduler_def(registry)?;
        scenario.cluster_config(Stepping::default(), false)?;
        let scenario = scenario.resolved()?;
        if let (Some(trace), Some(expected)) = (&scenario.workload.trace, &scenario.workload.sha256) {
            let found = file_sha256(&[trace]).map_err(Failure::data)?;
            if !found.eq_ignore_ascii_case(expected) {
                let path = trace.display();
                let message = format!("{path}: its SHA-256 is {found}, but workload.sha256 says {expected}");
                return Err(Failure::data(message));
            }
        }
        Ok(scenario)
    }

    fn written(&self, printer: Printer) -> Result<Scenario, Failure> {
        let mut overrides = self.flags.0.clone();
        // With a spec, `--set` is about the spec.
        let set = if self.spec.is_some() { &[][..] } else { &self.set };
        for (flag, prefix, pairs) in [
            ("--param", "scheduler.params.", &self.param[..]),
            ("--workload-param", "workload.params.", &self.workload_param),
            ("--eviction-param", "cluster.eviction_params.", &self.eviction_param),
            ("--set", "", set),
        ] {
            for pair in pairs {
                let one = Override::parse(flag, pair).map_err(|_| {
                    Failure::usage(format!(
                        "{flag} `{pair}`: expected {}=VALUE",
                        if prefix.is_empty() { "PATH" } else { "KEY" }
                    ))
                })?;
                overrides.push(Override { path: format!("{prefix}{}", one.path), ..one });
            }
        }
        let base = match &self.spec {
            Some(spec) => self.cell(spec, printer)?,
            None => Scenario::default(),
        };
        // For a generator, the arrival process is a parameter.
        if base.workload.kind.is_some() || overrides.iter().any(|one| one.path == "workload.kind") {
            for one in overrides.iter_mut().filter(|one| one.path == "workload.arrivals") {
                one.path = "workload.params.arrivals".into();
            }
        }
        let mut base = base;
        if overrides.iter().any(|one| one.path == "workload.trace") {
            // That hash is of another file.
            base.workload.sha256 = None;
        }
        overridden(&base, &overrides).map_err(Failure::usage)
    }

    fn cell(&self, spec: &Path, printer: Printer) -> Result<Scenario, Failure> {
        let Loaded { source, plan } = load(spec, &self.set, printer)?;
        let listed = format!("hint: `trimtab check {} --cells` lists them", spec.display());
        let id = self.cell.as_deref().unwrap_or_default();
        let mut found = plan.cell(id).map(|cell| cell.scenario);
        if let Some(scenario) = &mut found {
            // What the plan derived from model and hardware is derived anew, in case flags change these.
            let written = |path: &str| plan.paths.iter().any(|known| known.starts_with(path));
            if source.spec.cluster.kv_tokens.is_none() && !written("cluster.kv_tokens") {
                scenario.cluster.kv_tokens = None;
            }
            if !written("cluster.cost") {
                scenario.cluster.cost.clone_from(&source.spec.cluster.cost);
            }
        }
        found.ok_or_else(|| match id {
            "" => Failure::usage(format!("{}: say which of its cells with `--cell`\n{listed}", spec.display())),
            _ => Failure::usage(format!("{}: no cell, or several, with an id like `{id}`\n{listed}", spec.display())),
        })
    }
}

/// The requests, generated or read, watched by a progress line.
pub(crate) fn watched(scenario: &Scenario, printer: Printer) -> Result<Watched, Failure> {
    if let Some(inner) = workload::generated(scenario)? {
        return Ok(Watched { inner, bar: printer.progress(scenario.workload.limit.unwrap_or(0), "requests") });
    }
    let trace = workload::load(scenario)?;
    for note in &trace.notes {
        printer.note(&note.to_string());
    }
    if let Some(note) = trace.block_note(scenario.cluster.block_tokens) {
        printer.note(&format!("warning: {note}"));
    }
    let mode = scenario.workload.r#loop.mode()?;
    let bar = printer.progress(trace.requests.len() as u64, "requests");
    Ok(Watched { inner: trace.into_loop(mode), bar })
}

/// A workload that moves a progress line.
pub(crate) struct Watched {
    inner: Box<dyn trimtab_core::Workload + Send>,
    pub(crate) bar: indicatif::ProgressBar,
}

impl trimtab_core::Workload for Watched {
    fn forest(&self) -> &PrefixForest {
        self.inner.forest()
    }

    fn peek(&mut self) -> Option<SimTime> {
        self.inner.peek()
    }

    fn next(&mut self) -> Option<Request> {
        let request = self.inner.next();
        if let Some(request) = request.filter(|r| r.id.0 % 4096 == 0) {
            self.bar.set_position(u64::from(request.id.0));
        }
        request
    }

    fn is_open(&self) -> bool {
        self.inner.is_open()
    }

    fn ended(&mut self, request: RequestId, now: SimTime) {
        self.inner.ended(request, now);
    }
}
