//! `trimtab completions`: what a shell needs to complete this command line.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::Cli;
use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "trimtab", &mut script);
    printer.result(&String::from_utf8_lossy(&script))
}
