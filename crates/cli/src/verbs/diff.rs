//! `trimtab diff`: whether two results folders say the same.

use std::path::PathBuf;

use serde::Serialize;
use trimtab_experiment::diff::{Difference, diff};

use crate::exit::{Exit, Failure};
use crate::printer::Printer;

/// Arguments of `trimtab diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A results folder
    left: PathBuf,
    /// Another one
    right: PathBuf,
    /// How far numbers may be apart, as a share of the larger
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    tolerance: f64,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    tolerance: f64,
    differences: &'a [Difference],
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    if !(0.0..1.0).contains(&args.tolerance) {
        return Err(Failure::usage(format!("--tolerance {}: a share from 0 to below 1 is needed", args.tolerance)));
    }
    let differences =
        diff(&args.left, &args.right, args.tolerance).map_err(|error| Failure::of(error.exit_code(), error))?;
    if args.json {
        printer.json(&Document { schema: 1, tolerance: args.tolerance, differences: &differences })?;
    } else {
        let line = |d: &Difference| match d.column.as_str() {
            "" => format!("{}: {}: {} on the left, {} on the right\n", d.file, d.row, d.left, d.right),
            column => format!("{}: {}: {column}: {} | {}\n", d.file, d.row, d.left, d.right),
        };
        printer.result(&differences.iter().map(line).collect::<String>())?;
    }
    match differences.len() {
        0 => Ok(()),
        n => Err(Failure { exit: Exit::Unmet, message: format!("{n} differences") }),
    }
}
