//! `trimtab merge`: the parts of a sharded run, put together.

use std::path::PathBuf;

use trimtab_experiment::sweep;
use trimtab_sched::Registry;

use super::experiment::{Folder, finish};
use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab merge`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Results folders of all parts
    #[arg(required = true)]
    parts: Vec<PathBuf>,
    #[command(flatten)]
    folder: Folder,
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let plan = sweep::plan_of(&args.parts).map_err(|error| Failure::of(error.exit_code(), error))?;
    let options = args.folder.options(&plan.name, None);
    let again = || {
        let parts: Vec<String> = args.parts.iter().map(|part| part.display().to_string()).collect();
        format!("trimtab merge {} --out {} --resume", parts.join(" "), options.out.display())
    };
    finish(&plan, printer, &again, |watch| sweep::merge(&args.parts, &Registry::default(), &options, watch))
}
