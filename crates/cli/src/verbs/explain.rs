//! `trimtab explain`: everything about one scheduler.

use std::fmt::Write;

use trimtab_experiment::build::ScenarioError;
use trimtab_experiment::scenario::Scenario;
use trimtab_sched::{Registry, SchedulerDef};

use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A scheduler, as in `trimtab list schedulers`
    name: String,
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let mut scenario = Scenario::default();
    scenario.scheduler.kind.clone_from(&args.name);
    let def = scenario.scheduler_def(&Registry::default()).map_err(|error: ScenarioError| Failure::usage(error))?;
    printer.result(&text(&def))
}

fn text(def: &SchedulerDef) -> String {
    let mut out = format!("{}: {}\n\nsource: {}\n", def.name, def.summary, def.citation);
    let signals = def.signals.names();
    let reads = if signals.is_empty() { "router counters only".to_owned() } else { signals.join(", ") };
    let _ = writeln!(out, "reads: {reads}");
    let params = (def.params)().params;
    if params.is_empty() {
        out.push_str("parameters: none\n");
    } else {
        out.push_str("parameters:\n");
        for (name, default, meaning) in params {
            let _ = writeln!(out, "  {name} = {default}\n      {meaning}");
        }
    }
    if def.deviations.is_empty() {
        out.push_str("deviations from the source: none\n");
    } else {
        out.push_str("deviations from the source:\n");
        for deviation in def.deviations {
            let _ = writeln!(out, "  - {deviation}");
        }
    }
    out
}
