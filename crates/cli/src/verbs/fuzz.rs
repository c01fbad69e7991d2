//! `trimtab fuzz`: random scenarios, every invariant asserted.

use trimtab_experiment::swarm::{self, Features};
use trimtab_sched::Registry;

use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seed of the first case
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// How many cases
    #[arg(long, value_name = "N", default_value_t = 1000)]
    cases: u64,
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let registry = Registry::default();
    let bar = printer.progress(args.cases, "cases");
    let mut reached = Features::default();
    for seed in args.seed..args.seed.saturating_add(args.cases) {
        match swarm::run(seed, &registry) {
            Ok(features) => reached.add(&features),
            Err(why) => {
                bar.finish_and_clear();
                return Err(Failure::data(format!("{why}\nreproduce: trimtab fuzz --seed {seed} --cases 1")));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let counts = reached.counts().into_iter().map(|(feature, count)| format!("{feature:20}{count:>12}\n"));
    printer.result(&format!(
        "{} cases from seed {}, all invariants held\n{}",
        args.cases,
        args.seed,
        counts.collect::<String>()
    ))
}
