//! `trimtab plot`: figures from stored results, never simulating anything.

use std::path::{Path, PathBuf};

use trimtab_report::{Available, FIGURES, PictureFormat, Theme, available, plot};

use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab plot`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A results folder
    results: PathBuf,
    /// One kind of figure (see `trimtab list figures`); all that the results allow when not given
    #[arg(long, value_name = "NAME")]
    figure: Option<String>,
    /// Draw nothing: say which figures the results allow, and what the others lack
    #[arg(long)]
    list: bool,
    /// svg, pdf, png
    #[arg(short, long, value_delimiter = ',', default_value = "svg")]
    formats: Vec<PictureFormat>,
    /// paper, paper-wide, slide, or a TOML file
    #[arg(long, default_value = "paper")]
    theme: String,
    /// Where they go; `plots` in the results folder when not given
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    if args.list {
        return list(&args.results, printer);
    }
    let theme = theme(&args.theme)?;
    let out = args.out.clone().unwrap_or_else(|| plots(&args.results));
    let files = plot(&args.results, args.figure.as_deref(), &args.formats, &theme, &out)?;
    let lines: Vec<String> = files.iter().map(|file| format!("{}\n", file.display())).collect();
    printer.result(&lines.concat())
}

/// A line for each kind, those that can be drawn first.
fn list(results: &Path, printer: Printer) -> Result<(), Failure> {
    let (can, cannot): (Vec<_>, Vec<_>) =
        available(results).map_err(Failure::data)?.into_iter().partition(|(_, found)| found.is_ok());
    let line = |(name, found): Available| match found {
        Ok(figures) if figures.len() == 1 => format!("{name:20} yes\n"),
        Ok(figures) => format!("{name:20} yes, {} figures\n", figures.len()),
        Err(reason) => format!("{name:20} no: {}\n", reason.strip_prefix(name).unwrap_or(&reason).trim_start()),
    };
    printer.result(&can.into_iter().chain(cannot).map(line).collect::<String>())
}

/// The theme of this name, or in this file.
pub(super) fn theme(name: &str) -> Result<Theme, Failure> {
    let theme = match std::fs::read_to_string(name) {
        Ok(text) => Theme::parse(&text).map_err(|error| error.in_file(Path::new(name))),
        Err(_) => Theme::named(name),
    };
    theme.map_err(Failure::usage)
}

/// The folder of the figures of a results folder.
fn plots(results: &Path) -> PathBuf {
    results.join("plots")
}

/// Draws everything that the results of a sweep allow, as SVG, and names the files.
pub(crate) fn after_sweep(results: &Path, printer: Printer) {
    match plot(results, None, &[PictureFormat::Svg], &Theme::default(), &plots(results)) {
        Ok(files) => {
            tell_others(&plots(results), &files, printer);
            for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "svg")) {
                printer.note(&format!("figure: {}", file.display()));
            }
        }
        Err(error) => printer.note(&format!("no figure: {error}")),
    }
}

/// Names figures in the folder that these results do not give: those of another plan stand beside the new ones. They may
/// be somebody's own, so they stay.
fn tell_others(plots: &Path, drawn: &[PathBuf], printer: Printer) {
    let of_figures = |name: &str| {
        let picture = ["svg", "pdf", "png"].iter().any(|extension| name.ends_with(&format!(".{extension}")));
        picture && FIGURES.iter().any(|def| name.starts_with(def.name))
    };
    let names = std::fs::read_dir(plots).into_iter().flatten().flatten();
    let mut names: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| {
        of_figures(name) && !drawn.iter().any(|file| file.file_name().is_some_and(|own| own == &**name))
    });
    names.sort();
    if let Some(first) = names.first() {
        let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
        let text = format!("{} has figures that were not drawn from these results: {first}{more}", plots.display());
        printer.note(&format!("warning: {text}"));
    }
}
