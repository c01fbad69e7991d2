//! `trimtab man`: manual pages.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_mangen::{Man, generate_to};

use crate::Cli;
use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write one page for each verb into this folder, instead of the main page to stdout
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        Man::new(Cli::command()).render(&mut page)?;
        return printer.result(&String::from_utf8_lossy(&page));
    };
    let failed = |error: std::io::Error| Failure::writing(folder, &error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    generate_to(Cli::command(), folder).map_err(failed)
}
