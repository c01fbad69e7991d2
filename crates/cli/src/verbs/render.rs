//! `trimtab render`: pages whose numbers come from result files.

use std::fs;
use std::path::{Path, PathBuf};

use trimtab_report::render;

use crate::exit::{Exit, Failure};
use crate::printer::Printer;

/// Arguments of `trimtab render`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the templates, and of `published.csv`
    #[arg(default_value = "docs/pages")]
    pages: PathBuf,
    /// The folder of the result files
    #[arg(long, value_name = "DIR", default_value = "results/published")]
    results: PathBuf,
    /// Where the pages go
    #[arg(short, long, value_name = "DIR", default_value = "docs")]
    out: PathBuf,
    /// Writes nothing, and fails if a page is not what it would be
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| Failure::data(format!("{path}: {error}"))
    };
    let entries = fs::read_dir(&args.pages).map_err(failed(&args.pages))?;
    let mut templates: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    templates.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    templates.sort();
    let mut stale = Vec::new();
    for template in templates {
        let name = template.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&template).map_err(failed(&template))?;
        let page = render(&name, &text, &args.results, &args.pages.join("published.csv")).map_err(Failure::data)?;
        let path = args.out.join(&name);
        if fs::read_to_string(&path).is_ok_and(|known| known == page) {
            continue;
        }
        if args.check {
            stale.push(path.display().to_string());
        } else {
            fs::write(&path, page).map_err(failed(&path))?;
            printer.result(&format!("{}\n", path.display()))?;
        }
    }
    match stale[..] {
        [] => Ok(()),
        _ => Err(Failure { exit: Exit::Unmet, message: format!("not current: {}", stale.join(", ")) }),
    }
}
