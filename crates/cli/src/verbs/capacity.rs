//! `trimtab capacity`: the highest rate that meets the objectives, per scheduler.

use trimtab_experiment::spec::Search;

use super::experiment::{self, Args};
use crate::exit::Failure;
use crate::printer::Printer;

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let loaded = experiment::load(&args.spec, &args.set, printer)?;
    if !matches!(loaded.plan.search, Search::Capacity { .. }) {
        return Err(Failure::usage(format!(
            "{}: nothing to search\nhint: say where to look, in the spec or as `--set 'search={{kind = \"capacity\", \
             rate_rps = {{low = 1.0, high = 64.0}}}}'`",
            args.spec.display()
        )));
    }
    experiment::run(args, &loaded, printer)
}
