//! `trimtab report`: stored results as one HTML file.

use std::path::PathBuf;

use trimtab_report::{Theme, page};
use trimtab_table::write_whole;

use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab report`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A results folder
    results: PathBuf,
    /// The HTML file; `report.html` in the results folder when not given
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A TOML file with looks of schedulers, as for `trimtab plot`
    #[arg(long, value_name = "FILE")]
    theme: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let theme = match &args.theme {
        None => Theme::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::data(format!("cannot read {}: {error}", path.display())))?;
            Theme::parse(&text).map_err(|error| Failure::usage(error.in_file(path)))?
        }
    };
    let html = page(&args.results, &theme).map_err(Failure::data)?;
    let out = args.out.clone().unwrap_or_else(|| args.results.join("report.html"));
    write_whole(&out, html.as_bytes()).map_err(|error| Failure::writing(&out, &error))?;
    printer.result(&format!("{}\n", out.display()))
}
