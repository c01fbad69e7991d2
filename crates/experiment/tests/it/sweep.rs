//! Results land whole, once, and the same whoever computes them.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use trimtab_experiment::results::{Existing, Store, SweepError};
use trimtab_experiment::sweep::{Progress, State, SweepOptions, in_cell, sweep};
use trimtab_sched::{Actions, Arrival, ClusterView, Decision, Registry, Scheduler, SchedulerDef, Signals, no_params};

use crate::support::{capacity_text, data, folder, load, manifest, options, run, text};

#[test]
fn threads_and_interruptions_leave_no_trace() {
    let folder = folder(120);
    let text = text(folder.path());
    let at = |name: &str| folder.path().join(name);
    let whole = run(&text, &at("one"), 1, None, &()).unwrap();
    assert_eq!((whole.failures.as_slice(), whole.exit_code(), whole.rows.len()), (&[][..], 0, 24));
    run(&text, &at("four"), 4, None, &()).unwrap();
    assert_eq!(data(&at("one")), data(&at("four")));
    assert_eq!(
        data(&at("one")).len(),
        24 + 10,
        "cells, plan, spec, summary, intervals, comparisons, capacities, probes; three as Parquet too"
    );

    let stopped = run(&text, &at("cut"), 2, None, &StopAfter(5, AtomicUsize::new(0))).unwrap();
    assert_eq!(stopped.exit_code(), 130);
    assert!(stopped.state.done >= 5 && stopped.state.done < 24, "{:?}", stopped.state);
    assert_eq!(manifest(&at("cut"))["status"], "interrupted");
    // A crash leaves a part of a file at worst; it counts as missing.
    let damaged = data(&at("cut")).into_keys().find(|name| name.starts_with("cells")).unwrap();
    fs::write(at("cut").join(damaged), "{\"id\": \"").unwrap();
    let resumed = run(&text, &at("cut"), 2, None, &()).unwrap();
    assert_eq!((resumed.exit_code(), resumed.state.reused), (0, stopped.state.done - 1));
    assert_eq!(data(&at("one")), data(&at("cut")));
    assert_eq!(manifest(&at("cut"))["status"], "complete");
}

/// Results that would mislead come with a word about it, and about which they are.
#[test]
fn what_misleads_is_warned_of() {
    let folder = folder(120);
    let text = text(folder.path());
    let trace = text.lines().find(|line| line.starts_with("trace")).unwrap();
    let sessions = text.replace(trace, "kind = \"multi-turn\"\nlimit = 300").replace("jitter_s = 1.0", "");
    for (name, spec, warning) in [
        ("calm", text.clone(), None),
        ("full", text.replace("kv_tokens = 100_000", "kv_tokens = 1200"), Some("requests are rejected: ")),
        ("cold", text.replace("warmup_requests = 10", "warmup_s = 1e6"), Some("nothing is measured: ")),
        ("young", sessions, Some("arrivals are slower than their rate: ")),
    ] {
        let outcome = run(&spec, &folder.path().join(name), 2, None, &()).unwrap();
        let known = ["rejected", "nothing", "slower"];
        let told: Vec<&String> =
            outcome.warnings.iter().filter(|text| known.iter().any(|word| text.contains(word))).collect();
        assert_eq!(told.is_empty(), warning.is_none(), "{name}: {told:?}");
        for text in told {
            assert!(text.contains(warning.unwrap()) && text.contains(" rps, cluster.instances="), "{name}: {text}");
        }
    }
}

/// Stops a run after some cells.
struct StopAfter(usize, AtomicUsize);

impl Progress for StopAfter {
    fn update(&self, state: &State) {
        self.1.fetch_max(state.done, Ordering::SeqCst);
    }

    fn interrupted(&self) -> bool {
        self.1.load(Ordering::SeqCst) >= self.0
    }
}

#[test]
fn summaries_read_back() {
    let folder = folder(120);
    let out = folder.path().join("out");
    let outcome = run(&text(folder.path()), &out, 2, None, &()).unwrap();
    let mut reader = csv::Reader::from_path(out.join("summary.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    for (record, row) in reader.records().zip(&outcome.rows) {
        let (record, result) = (record.unwrap(), row.result.as_ref().unwrap());
        assert_eq!(&record[column("cell")], row.id);
        assert_eq!(record[column("ttft_mean_s")].parse::<f64>().ok(), result.metrics.ttft_s.mean);
        assert_eq!(record[column("cluster.instances")], result.scenario.cluster.instances.to_string());
        assert_eq!(record[column("tpot_mean_s")].is_empty(), result.metrics.tpot_s.mean.is_none());
    }
    let text = fs::read_to_string(out.join("summary.csv")).unwrap();
    assert!(!text.contains(&folder.path().display().to_string()), "paths are not results");
}

/// Panics on its 30th request, if its seed is 2.
struct Fragile {
    fuse: bool,
    routed: u32,
}

impl Scheduler for Fragile {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        self.routed += 1;
        assert!(in_cell(), "whoever prints panics is told that this one is caught");
        assert!(!self.fuse || self.routed < 30, "the fuse blew");
        Decision::Route(view.members()[0])
    }
}

const FRAGILE: SchedulerDef = SchedulerDef {
    name: "fragile",
    summary: "panics",
    citation: "",
    deviations: &[],
    signals: Signals::NONE,
    hooks: false,
    params: no_params,
    build: |_, context| Ok(Box::new(Fragile { fuse: context.streams == trimtab_core::RngStreams::new(2), routed: 0 })),
};

#[test]
fn a_panic_costs_one_cell() {
    let folder = folder(120);
    let text = text(folder.path()).replace("kind = \"random\"", "kind = \"fragile\"");
    let registry = Registry::default().with(FRAGILE);
    let source = trimtab_experiment::spec::Source::parse("fragile.toml".as_ref(), text, &[]).unwrap();
    let plan = trimtab_experiment::plan::Plan::new(&source, &registry).unwrap();
    let out = folder.path().join("out");
    let outcome = sweep(&plan, &source, &registry, &options(&out, 2), &()).unwrap();
    assert_eq!((outcome.exit_code(), outcome.failures.len(), outcome.state.done), (1, 4, 24));
    for failure in &outcome.failures {
        assert_eq!((failure.label.as_str(), failure.seed), ("coin", 2));
        assert_eq!(failure.message, "panicked: the fuse blew");
        assert_eq!(failure.reproduce, format!("trimtab run fragile.toml --cell {}", failure.id));
        assert_eq!(plan.cell(&failure.id).unwrap().scenario.seed, 2);
    }
    let summary = fs::read_to_string(out.join("summary.csv")).unwrap();
    assert_eq!(summary.lines().filter(|line| line.contains(",2,failed,")).count(), 4);
    assert_eq!(manifest(&out)["status"], "partial");
    assert!(!in_cell());
}

/// Replication asks again for all seeds of a group, and a search for a rate it has tried.
#[test]
fn cells_count_once_however_often_they_are_asked_for() {
    let folder = folder(120);
    let replicate = "\n[replicate]\nmetric = \"ttft_mean_s\"\nhalf_width = 0.001\nmax_seeds = 6\n";
    let registry = Registry::default().with(FRAGILE);
    for (name, spec) in [("more", text(folder.path()) + replicate), ("search", capacity_text(folder.path()))] {
        let text = spec.replace("kind = \"random\"", "kind = \"fragile\"");
        let source = trimtab_experiment::spec::Source::parse("fragile.toml".as_ref(), text, &[]).unwrap();
        let plan = trimtab_experiment::plan::Plan::new(&source, &registry).unwrap();
        let out = folder.path().join(name);
        let outcome = sweep(&plan, &source, &registry, &options(&out, 2), &()).unwrap();
        let ids: BTreeSet<&str> = outcome.failures.iter().map(|failure| &*failure.id).collect();
        let finished = fs::read_dir(out.join("cells")).unwrap().count();
        let state = outcome.state;
        assert!(!ids.is_empty(), "{name}");
        assert_eq!((ids.len(), ids.len()), (outcome.failures.len(), state.failed), "{name}");
        assert_eq!((state.done, state.total, state.reused), (finished + ids.len(), finished + ids.len(), 0), "{name}");
        let cut = outcome.warnings.iter().any(|text| text.contains("coin: the search was cut short"));
        assert_eq!(cut, name == "search", "{:?}", outcome.warnings);
    }
}

#[test]
fn folders_that_cannot_be_used_are_refused() {
    let folder = folder(60);
    let text = text(folder.path());
    let (source, plan) = load(&text, &[]).unwrap();
    let out = folder.path().join("out");
    let with =
        |existing| sweep(&plan, &source, &Registry::default(), &SweepOptions { existing, ..options(&out, 1) }, &());
    let held = Store::open(&out, Existing::Refuse).unwrap();
    let busy = with(Existing::Refuse).unwrap_err();
    assert!(matches!(busy, SweepError::Busy(_)) && busy.exit_code() == 3, "{busy}");
    drop(held);
    with(Existing::Refuse).unwrap();
    let exists = with(Existing::Refuse).unwrap_err();
    assert!(matches!(exists, SweepError::Exists(_)) && exists.exit_code() == 2, "{exists}");
    let again = with(Existing::Resume).unwrap();
    assert_eq!((again.state.reused, again.state.requests), (24, 0));
    let fresh = with(Existing::Replace).unwrap();
    assert_eq!((fresh.state.reused, fresh.state.requests), (0, 24 * 60));

    // A damaged trace fails before anything is simulated.
    let broken = folder.path().join("broken.jsonl");
    fs::write(&broken, "{\"timestamp\": 0,\n").unwrap();
    let error = run(&text.replace("trace.jsonl", "broken.jsonl"), &folder.path().join("b"), 1, None, &()).unwrap_err();
    assert!(matches!(error, SweepError::Data(_)) && error.exit_code() == 3, "{error}");

    // A file where a folder must be: it cannot be made, whoever asks.
    let blocked = folder.path().join("trace.jsonl").join("out");
    let error = run(&text, &blocked, 1, None, &()).unwrap_err();
    assert!(matches!(error, SweepError::Io { .. }) && error.exit_code() == 3, "{error}");
    assert!(error.to_string().contains("cannot create"), "{error}");
}
