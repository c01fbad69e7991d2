//! `trimtab man`: manual pages.

use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_mangen::{Man, generate_to};
use trimtab_table::PARTIAL;

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
    let partial = folder.with_added_extension(PARTIAL);
    let moved = pages(&partial, folder);
    // What could not be written leaves no half.
    let _ = std::fs::remove_dir_all(&partial);
    moved.map_err(|error| Failure::writing(folder, &error))
}

/// Writes all pages into one folder and moves them into the other.
fn pages(partial: &Path, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(partial)?;
    generate_to(Cli::command(), partial)?;
    std::fs::create_dir_all(folder)?;
    for page in std::fs::read_dir(partial)? {
        let page = page?;
        std::fs::rename(page.path(), folder.join(page.file_name()))?;
    }
    Ok(())
}
