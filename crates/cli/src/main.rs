//! The trimtab command line: one file per verb under `verbs`, results on stdout, everything else on stderr.

mod exit;
mod printer;
mod verbs;
mod workload_flags;

use clap::{ArgAction, Parser, Subcommand};

use exit::{Exit, Failure};
use printer::Printer;

/// An exact, fast simulator of LLM serving clusters, for scheduling research
#[derive(Debug, Parser)]
#[command(
    name = "trimtab",
    version,
    propagate_version = true,
    after_help = "Begin with: trimtab sweep experiments/quickstart.toml"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Print less: no progress, no notes
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    quiet: bool,
    /// Never draw a progress line
    #[arg(long, global = true)]
    no_progress: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// One simulation: a table, or one JSON document with `--json`
    Run(Box<verbs::run::Args>),
    /// Every cell of a spec: a table, stored results
    Sweep(verbs::experiment::Args),
    /// The highest rate that meets the objectives, per scheduler
    Capacity(verbs::experiment::Args),
    /// Put the parts of a sharded run together
    Merge(verbs::merge::Args),
    /// Whether two results folders say the same
    Diff(verbs::diff::Args),
    /// What a spec would run and cost; runs nothing
    Check(verbs::check::Args),
    /// The JSON Schema of specs, for editors
    Schema,
    /// Figures from stored results
    Plot(verbs::plot::Args),
    /// Stored results as one HTML file, for people
    Report(verbs::report::Args),
    /// A window of one simulation for Perfetto, event by event
    Timeline(Box<verbs::timeline::Args>),
    /// Pages whose numbers come from result files
    Render(verbs::render::Args),
    /// Look at traces
    Trace(Box<verbs::trace::Args>),
    /// Replay only the caches: policies by capacities, no timing
    Cache(verbs::cache::Args),
    /// What there is to choose from
    List(verbs::list::Args),
    /// Random scenarios with every invariant asserted
    Fuzz(verbs::fuzz::Args),
    /// Everything about one scheduler, workload, policy, model or card
    Explain(verbs::explain::Args),
    /// Fit the step cost to measured steps, or hold it against a measured server
    Calibrate(Box<verbs::calibrate::Args>),
    /// What a shell needs to complete this command line
    Completions(verbs::completions::Args),
    /// Manual pages
    Man(verbs::man::Args),
}

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let printer = Printer::new(cli.quiet, cli.no_progress);
    quiet_cells();
    let outcome = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(cli.verb, printer))) {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure { exit: Exit::Bug, message: "this is a bug of trimtab: please report it".to_owned() }),
    };
    match outcome {
        Ok(()) | Err(Failure { exit: Exit::BrokenPipe, .. }) => Exit::Ok.into(),
        Err(failure) => {
            printer.error(&failure);
            failure.exit.into()
        }
    }
}

/// A cell that panics is reported by its experiment, with the command that shows it again, and a file that makes its decoder
/// panic by whoever reads it: the raw message of the thread would only stand in the way.
fn quiet_cells() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !trimtab_experiment::sweep::in_cell() && !trimtab_table::decoding() {
            usual(panic);
        }
    }));
}

fn run(verb: Verb, printer: Printer) -> Result<(), Failure> {
    match verb {
        Verb::Run(args) => verbs::run::run(&args, printer),
        Verb::Sweep(args) => verbs::sweep::run(&args, printer),
        Verb::Capacity(args) => verbs::capacity::run(&args, printer),
        Verb::Merge(args) => verbs::merge::run(&args, printer),
        Verb::Diff(args) => verbs::diff::run(&args, printer),
        Verb::Check(args) => verbs::check::run(&args, printer),
        Verb::Schema => verbs::schema::run(printer),
        Verb::Plot(args) => verbs::plot::run(&args, printer),
        Verb::Report(args) => verbs::report::run(&args, printer),
        Verb::Timeline(args) => verbs::timeline::run(&args, printer),
        Verb::Render(args) => verbs::render::run(&args, printer),
        Verb::Trace(args) => verbs::trace::run(&args, printer),
        Verb::Cache(args) => verbs::cache::run(&args, printer),
        Verb::Fuzz(args) => verbs::fuzz::run(&args, printer),
        Verb::List(args) => verbs::list::run(&args, printer),
        Verb::Calibrate(args) => verbs::calibrate::run(&args, printer),
        Verb::Explain(args) => verbs::explain::run(&args, printer),
        Verb::Completions(args) => verbs::completions::run(&args, printer),
        Verb::Man(args) => verbs::man::run(&args, printer),
    }
}
