//! `trimtab explain`: everything about one scheduler, workload, model or card.

use std::fmt::Write;

use trimtab_core::nearest_name;
use trimtab_engine::{EvictionDef, evictions};
use trimtab_experiment::catalog::{self, Overrides};
use trimtab_experiment::explain;
use trimtab_experiment::scenario::Cluster;
use trimtab_sched::admissions::{ADMISSIONS, AdmissionDef, admission_by_name};
use trimtab_sched::autoscalers::{AUTOSCALERS, AutoscalerDef, autoscaler_by_name};
use trimtab_sched::{ParamsDoc, Registry, SchedulerDef, Signals};
use trimtab_workload::{WorkloadDef, generators};

use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `NAME`, or `scheduler`, `workload`, `eviction`, `autoscaler`, `admission`, `model` or `hardware` and a name
    #[arg(required = true, num_args = 1..=2, value_names = ["KIND", "NAME"])]
    what: Vec<String>,
    /// For a model: the card it runs on
    #[arg(long, default_value_t = Cluster::default().hardware)]
    hardware: String,
    /// For a card: the model that runs on it
    #[arg(long, default_value_t = Cluster::default().model)]
    model: String,
    /// GPUs per instance
    #[arg(long, default_value_t = 1)]
    tp: u32,
    /// Tokens of a KV block
    #[arg(long, value_name = "N", default_value_t = Cluster::default().block_tokens)]
    block_tokens: u32,
    /// Token budget of a step
    #[arg(long, value_name = "N", default_value_t = Cluster::default().max_batched_tokens)]
    max_batched_tokens: u32,
}

/// What can be explained.
const KINDS: [&str; 7] = ["scheduler", "workload", "eviction", "autoscaler", "admission", "model", "hardware"];

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    match args.what.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["scheduler", name] | [name] if Registry::default().get(name).is_some() => {
            printer.result(&Registry::default().get(name).map(scheduler).unwrap_or_default())
        }
        ["eviction", name] | [name] if evictions().iter().any(|def| def.name == name) => {
            printer.result(&evictions().iter().find(|def| def.name == name).map(eviction).unwrap_or_default())
        }
        ["autoscaler", name] | [name] if autoscaler_by_name(name).is_some() => {
            printer.result(&autoscaler_by_name(name).map(autoscaler).unwrap_or_default())
        }
        ["admission", name] | [name] if admission_by_name(name).is_some() => {
            printer.result(&admission_by_name(name).map(admission).unwrap_or_default())
        }
        ["workload", name] | [name] if generators().iter().any(|def| def.name == name) => printer
            .result(&generators().iter().find(|def| def.name == name).map(|def| workload(def)).unwrap_or_default()),
        ["model", name] => deployment(args, name, &args.hardware, printer),
        ["hardware", name] => deployment(args, &args.model, name, printer),
        [name] if catalog::model(name).is_ok() => deployment(args, name, &args.hardware, printer),
        [name] if catalog::hardware(name).is_ok() => deployment(args, &args.model, name, printer),
        [kind] if KINDS.contains(&kind) => Err(Failure::usage(format!(
            "which {kind}?\nhint: `trimtab list {kind}{}` shows them; then `trimtab explain {kind} NAME`",
            if kind == "hardware" { "" } else { "s" }
        ))),
        [.., name] => Err(unknown(name)),
        [] => Err(Failure::usage("explain what?")),
    }
}

fn unknown(name: &str) -> Failure {
    let registry = Registry::default();
    let (models, cards) = (catalog::models(), catalog::all_hardware());
    let known = registry.all().iter().map(|def| def.name).chain(generators().iter().map(|def| def.name));
    let known = known.chain(evictions().iter().map(|def| def.name));
    let known = known.chain(AUTOSCALERS.iter().map(|def| def.name)).chain(ADMISSIONS.iter().map(|def| def.name));
    let known = known.chain(models.iter().map(|m| m.name.as_str())).chain(cards.iter().map(|h| h.name.as_str()));
    let nearest = nearest_name(name, known).map_or(String::new(), |n| format!(", did you mean `{n}`?"));
    Failure::usage(format!(
        "nothing here is called `{name}`{nearest}\nhint: `trimtab list schedulers` and the other lists show all"
    ))
}

fn deployment(args: &Args, model: &str, hardware: &str, printer: Printer) -> Result<(), Failure> {
    let deployment = catalog::resolve(model, hardware, args.tp, Overrides::default()).map_err(Failure::usage)?;
    let memory_share = Cluster::default().memory_share;
    let facts = explain::facts(&deployment, args.block_tokens, args.max_batched_tokens, memory_share)
        .map_err(Failure::usage)?;
    printer.result(&explain::text(&facts))
}

fn workload(def: &WorkloadDef) -> String {
    let mut out = format!("{}: {}\n\nsource: {}\nparameters:\n", def.name, def.summary, def.citation);
    for param in (def.params)() {
        let _ = writeln!(out, "  {} = {}\n      {}", param.name, param.default, param.meaning);
    }
    out
}

fn scheduler(def: &SchedulerDef) -> String {
    let mut out = format!("{}: {}\n\nsource: {}\n", def.name, def.summary, def.citation);
    reads(&mut out, def.signals);
    parameters_and_deviations(&mut out, (def.params)(), def.deviations);
    out
}

fn eviction(def: &EvictionDef) -> String {
    let mut out = format!("{}: {}\n\nsource: {}\n", def.name, def.summary, def.citation);
    if def.clairvoyant {
        out.push_str("needs: a workload that is known in advance (a trace, or a generator in open loop)\n");
    }
    parameters_and_deviations(&mut out, (def.params)(), def.deviations);
    out
}

fn autoscaler(def: &AutoscalerDef) -> String {
    let mut out = format!("{}: {}\n\n", def.name, def.summary);
    if def.foresees {
        out.push_str("needs: a workload that is known in advance (a trace, or a generator in open loop)\n");
    }
    parameters(&mut out, (def.params)());
    out
}

fn admission(def: &AdmissionDef) -> String {
    let mut out = format!("{}: {}\n\nsource: {}\n", def.name, def.summary, def.citation);
    reads(&mut out, def.signals);
    parameters_and_deviations(&mut out, (def.params)(), def.deviations);
    out
}

fn reads(out: &mut String, signals: Signals) {
    let names = signals.names();
    let names = if names.is_empty() { "router counters only".to_owned() } else { names.join(", ") };
    let _ = writeln!(out, "reads: {names}");
}

fn parameters_and_deviations(out: &mut String, doc: ParamsDoc, deviations: &[&str]) {
    parameters(out, doc);
    if deviations.is_empty() {
        out.push_str("deviations from the source: none\n");
    } else {
        out.push_str("deviations from the source:\n");
        for deviation in deviations {
            let _ = writeln!(out, "  - {deviation}");
        }
    }
}

fn parameters(out: &mut String, doc: ParamsDoc) {
    let params = doc.params;
    if params.is_empty() {
        out.push_str("parameters: none\n");
    } else {
        out.push_str("parameters:\n");
        for (name, default, meaning) in params {
            let _ = writeln!(out, "  {name} = {default}\n      {meaning}");
        }
    }
}
