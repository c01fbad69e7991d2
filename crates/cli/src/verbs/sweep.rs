//! `trimtab sweep`: every cell of a spec, a table of what came out, figures.

use super::experiment::{self, Args};
use crate::exit::Failure;
use crate::printer::Printer;

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    experiment::run(args, &experiment::load(&args.spec, &args.set, printer)?, printer)
}
