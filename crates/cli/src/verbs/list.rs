//! `trimtab list`: what there is to choose from.

use serde::Serialize;
use trimtab_core::nearest_name;
use trimtab_experiment::catalog;
use trimtab_sched::Registry;

use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab list`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// schedulers, workloads, evictions, autoscalers, admissions, models, hardware, formats or figures
    kind: String,
    /// One JSON array of objects with `name` and `summary`
    #[arg(long)]
    json: bool,
}

/// One line of the list.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    summary: String,
}

/// Collects the entries of one kind.
type Lister = fn() -> Vec<Entry>;

/// What can be listed.
const KINDS: [(&str, Lister); 9] = [
    ("schedulers", || {
        let entry = |d: &trimtab_sched::SchedulerDef| Entry { name: d.name.into(), summary: d.summary.into() };
        Registry::default().all().iter().map(entry).collect()
    }),
    ("workloads", || {
        let entry = |d: &&trimtab_workload::WorkloadDef| Entry { name: d.name.into(), summary: d.summary.into() };
        trimtab_workload::generators().iter().map(entry).collect()
    }),
    ("evictions", || {
        let entry = |d: &trimtab_engine::EvictionDef| Entry { name: d.name.into(), summary: d.summary.into() };
        trimtab_engine::evictions().iter().map(entry).collect()
    }),
    ("autoscalers", || {
        let entry =
            |d: &trimtab_sched::autoscalers::AutoscalerDef| Entry { name: d.name.into(), summary: d.summary.into() };
        trimtab_sched::autoscalers::AUTOSCALERS.iter().map(entry).collect()
    }),
    ("admissions", || {
        let entry =
            |d: &trimtab_sched::admissions::AdmissionDef| Entry { name: d.name.into(), summary: d.summary.into() };
        trimtab_sched::admissions::ADMISSIONS.iter().map(entry).collect()
    }),
    ("figures", || {
        let entry = |d: &trimtab_report::FigureDef| Entry {
            name: d.name.into(),
            summary: format!("{}; needs {}", d.summary, d.needs),
        };
        trimtab_report::figures().iter().map(entry).collect()
    }),
    ("models", || catalog::models().into_iter().map(|m| Entry { name: m.name, summary: m.summary }).collect()),
    ("hardware", || catalog::all_hardware().into_iter().map(|h| Entry { name: h.name, summary: h.summary }).collect()),
    ("formats", || {
        let entry = |f: &&trimtab_workload::FormatDef| Entry { name: f.name.into(), summary: f.summary.into() };
        trimtab_workload::formats().iter().map(entry).collect()
    }),
];

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let Some((_, entries)) = KINDS.iter().find(|(kind, _)| *kind == args.kind) else {
        let kinds = KINDS.map(|(kind, _)| kind);
        let nearest = nearest_name(&args.kind, kinds).map_or(String::new(), |n| format!(", did you mean `{n}`?"));
        return Err(Failure::usage(format!("cannot list `{}`{nearest}\nhint: one of {}", args.kind, kinds.join(", "))));
    };
    let entries = entries();
    if args.json {
        return printer.json(&entries);
    }
    let width = entries.iter().map(|e| e.name.len()).max().unwrap_or(0);
    let lines: Vec<String> = entries.iter().map(|e| format!("{:width$}  {}\n", e.name, e.summary)).collect();
    printer.result(&lines.concat())
}
