//! `trimtab run`: one simulation from flags, or a cell of a spec.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use trimtab_core::{PrefixForest, Request, RequestId, SimTime};
use trimtab_engine::Stepping;
use trimtab_experiment::metrics::{self, Metrics, Quantiles};
use trimtab_experiment::overrides::{Override, overridden};
use trimtab_experiment::plan::Plan;
use trimtab_experiment::rows;
use trimtab_experiment::scenario::Scenario;
use trimtab_experiment::simulate::{self, Mode};
use trimtab_experiment::spec::{Output, Source};
use trimtab_experiment::traces::file_sha256;
use trimtab_experiment::workload;
use trimtab_sched::Registry;

use super::flags::Flags;
use super::output::{claim, written};
use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab run`.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Args {
    /// A spec, to run one of its cells; flags then change that cell
    spec: Option<PathBuf>,
    /// Which cell: the beginning of its id (see `trimtab check --cells`); needless if there is one only
    #[arg(long, value_name = "ID", requires = "spec")]
    cell: Option<String>,
    #[command(flatten)]
    flags: Flags,
    /// Scheduler parameter (see `trimtab explain`)
    #[arg(long, value_name = "KEY=VALUE")]
    param: Vec<String>,
    /// Parameter of the generated workload
    #[arg(long, value_name = "KEY=VALUE")]
    workload_param: Vec<String>,
    /// Parameter of the eviction policy (see `trimtab explain eviction`)
    #[arg(long, value_name = "KEY=VALUE")]
    eviction_param: Vec<String>,
    /// Any value by its dotted path, such as signals.refresh_ms=50 (of the spec, if there is one)
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// macro or every: how time advances; the results are the same
    #[arg(long, default_value = "macro", value_parser = stepping)]
    stepping: Stepping,
    /// One JSON document
    #[arg(long)]
    json: bool,
    /// One row per request: .csv or .parquet
    #[arg(long, value_name = "FILE")]
    requests_out: Option<PathBuf>,
    /// One row per decision: .csv or .parquet
    #[arg(long, value_name = "FILE")]
    decisions_out: Option<PathBuf>,
    /// One row per instance and 10 s: .csv or .parquet
    #[arg(long, value_name = "FILE")]
    load_out: Option<PathBuf>,
    /// Try every instance for each decision, to tell what would have been best; slow
    #[arg(long, requires = "decisions_out")]
    regret: bool,
}

fn stepping(text: &str) -> Result<Stepping, String> {
    match text {
        "macro" => Ok(Stepping::Macro),
        "every" => Ok(Stepping::Every),
        _ => Err("expected `macro` or `every`".into()),
    }
}

impl Args {
    fn scenario(&self, registry: &Registry) -> Result<Scenario, Failure> {
        let mut overrides = self.flags.0.clone();
        // With a spec, `--set` is about the spec.
        let set = if self.spec.is_some() { &[][..] } else { &self.set };
        for (flag, prefix, pairs) in [
            ("--param", "scheduler.params.", &self.param[..]),
            ("--workload-param", "workload.params.", &self.workload_param),
            ("--eviction-param", "cluster.eviction_params.", &self.eviction_param),
            ("--set", "", set),
        ] {
            for pair in pairs {
                let one = Override::parse(flag, pair).map_err(|_| {
                    Failure::usage(format!(
                        "{flag} `{pair}`: expected {}=VALUE",
                        if prefix.is_empty() { "PATH" } else { "KEY" }
                    ))
                })?;
                overrides.push(Override { path: format!("{prefix}{}", one.path), ..one });
            }
        }
        let base = match &self.spec {
            Some(spec) => self.cell(spec, registry)?,
            None => Scenario::default(),
        };
        // For a generator, the arrival process is a parameter.
        if base.workload.kind.is_some() || overrides.iter().any(|one| one.path == "workload.kind") {
            for one in overrides.iter_mut().filter(|one| one.path == "workload.arrivals") {
                one.path = "workload.params.arrivals".into();
            }
        }
        let mut base = base;
        if overrides.iter().any(|one| one.path == "workload.trace") {
            // That hash is of another file.
            base.workload.sha256 = None;
        }
        overridden(&base, &overrides).map_err(Failure::usage)
    }

    fn cell(&self, spec: &Path, registry: &Registry) -> Result<Scenario, Failure> {
        let source = Source::load(spec, &self.set).map_err(|error| Failure::of(error.exit_code(), error))?;
        let plan = Plan::new(&source, registry).map_err(|error| Failure::of(error.exit_code(), error))?;
        let listed = format!("hint: `trimtab check {} --cells` lists them", spec.display());
        let id = self.cell.as_deref().unwrap_or_default();
        let mut found = plan.cell(id).map(|cell| cell.scenario);
        if let Some(scenario) = &mut found {
            // What the plan derived from model and hardware is derived anew, in case flags change these.
            let written = |path: &str| plan.paths.iter().any(|known| known.starts_with(path));
            if source.spec.cluster.kv_tokens.is_none() && !written("cluster.kv_tokens") {
                scenario.cluster.kv_tokens = None;
            }
            if !written("cluster.cost") {
                scenario.cluster.cost.clone_from(&source.spec.cluster.cost);
            }
        }
        found.ok_or_else(|| match id {
            "" => Failure::usage(format!("{}: say which of its cells with `--cell`\n{listed}", spec.display())),
            _ => Failure::usage(format!("{}: no cell, or several, with an id like `{id}`\n{listed}", spec.display())),
        })
    }

    fn mode(&self) -> Mode {
        let kept = Output {
            requests: true,
            decisions: self.decisions_out.is_some(),
            regret: self.regret,
            load: self.load_out.is_some(),
        };
        Mode { stepping: self.stepping, ..kept.into() }
    }
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    config: &'a Scenario,
    result: &'a Metrics,
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let registry = Registry::default();
    let scenario = args.scenario(&registry)?;
    // Everything is checked before anything is read.
    workload::check(&scenario.workload, false)?;
    scenario.scheduler_def(&registry)?;
    scenario.cluster_config(args.stepping, false)?;
    let scenario = scenario.resolved()?;
    if let (Some(trace), Some(expected)) = (&scenario.workload.trace, &scenario.workload.sha256) {
        let found = file_sha256(&[trace]).map_err(Failure::data)?;
        if !found.eq_ignore_ascii_case(expected) {
            let path = trace.display();
            return Err(Failure::data(format!("{path}: its SHA-256 is {found}, but workload.sha256 says {expected}")));
        }
    }
    for path in [&args.requests_out, &args.decisions_out, &args.load_out].into_iter().flatten() {
        claim(path)?;
    }
    let mut workload = watched(&scenario, printer)?;
    let start = now();
    let result = simulate::simulate(&scenario, &registry, &mut workload, args.mode())?;
    workload.bar.finish_and_clear();
    let wall = start.elapsed().as_secs_f64();
    let metrics = metrics::metrics(&scenario, &result);
    if let Some(path) = &args.requests_out {
        written(path, rows::write_requests(path, &result))?;
    }
    if let Some(path) = &args.decisions_out {
        written(path, rows::write_decisions(path, &result))?;
    }
    if let Some(path) = &args.load_out {
        written(path, rows::load(&result).write(path))?;
    }
    if args.json {
        printer.json(&Document { schema: 1, config: &scenario, result: &metrics })?;
    } else {
        printer.result(&table(&scenario, &metrics))?;
    }
    let speed = result.rows.len() as f64 / wall.max(1e-9);
    printer.note(&format!("simulated in {wall:.3} s: {speed:.0} requests/s{}", peak_memory()));
    Ok(())
}

/// The requests, generated or read, watched by a progress line.
fn watched(scenario: &Scenario, printer: Printer) -> Result<Watched, Failure> {
    if let Some(inner) = workload::generated(scenario)? {
        return Ok(Watched { inner, bar: printer.progress(scenario.workload.limit.unwrap_or(0), "requests") });
    }
    let trace = workload::load(scenario)?;
    for note in &trace.notes {
        printer.note(&note.to_string());
    }
    if let Some(note) = trace.block_note(scenario.cluster.block_tokens) {
        printer.note(&format!("warning: {note}"));
    }
    let mode = scenario.workload.r#loop.mode()?;
    let bar = printer.progress(trace.requests.len() as u64, "requests");
    Ok(Watched { inner: trace.into_loop(mode), bar })
}

#[expect(clippy::disallowed_methods, reason = "the simulator's own speed, for stderr only")]
fn now() -> Instant {
    Instant::now()
}

/// The peak memory of this process, where the system tells.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.map_or(String::new(), |kib: u64| format!(", peak {} MiB", kib / 1024))
}

/// A workload that moves a progress line.
struct Watched {
    inner: Box<dyn trimtab_core::Workload + Send>,
    bar: indicatif::ProgressBar,
}

impl trimtab_core::Workload for Watched {
    fn forest(&self) -> &PrefixForest {
        self.inner.forest()
    }

    fn peek(&mut self) -> Option<SimTime> {
        self.inner.peek()
    }

    fn next(&mut self) -> Option<Request> {
        let request = self.inner.next();
        if let Some(request) = request.filter(|r| r.id.0 % 4096 == 0) {
            self.bar.set_position(u64::from(request.id.0));
        }
        request
    }

    fn is_open(&self) -> bool {
        self.inner.is_open()
    }

    fn ended(&mut self, request: RequestId, now: SimTime) {
        self.inner.ended(request, now);
    }
}

/// The result for a person.
fn table(scenario: &Scenario, m: &Metrics) -> String {
    let mut lines = vec![
        format!(
            "{} on {} instances ({} on {}, tp {}, {} KV tokens each)",
            scenario.scheduler.kind,
            scenario.cluster.instances,
            scenario.cluster.model,
            scenario.cluster.hardware,
            scenario.cluster.tp,
            scenario.cluster.kv_tokens.unwrap_or(0)
        ),
        format!(
            "{} requests: {} completed, {} rejected, {} failed; {:.1} s simulated; statistics over {}",
            m.requests, m.completed, m.rejected, m.failed, m.makespan_s, m.measured
        ),
        String::new(),
        format!("{:24}{:>12}{:>12}{:>12}{:>12}{:>12}", "", "mean", "p50", "p90", "p99", "max"),
    ];
    let quantiles = [
        ("time to first token, s", &m.ttft_s),
        ("time per token, s", &m.tpot_s),
        ("end to end, s", &m.e2e_s),
        ("queue, s", &m.queue_s),
        ("inter-token gap, s", &m.itl_s),
    ];
    lines.extend(quantiles.map(|(name, q)| format!("{name:24}{}", quantile_cells(q))));
    lines.push(String::new());
    let share = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.4}"));
    let h = &m.hit_ratio;
    let mut facts = vec![
        ("within TTFT objective", share(m.slo_attainment)),
        ("within all objectives", share(m.joint_attainment)),
        ("hit ratio by tokens", share(h.tokens)),
    ];
    if h.loaded_tokens.is_some() {
        let behind = if scenario.cluster.pool.is_some() { "  read from the pool" } else { "  read from the host" };
        facts.extend([("  in the cache itself", share(h.device_tokens)), (behind, share(h.loaded_tokens))]);
    }
    facts.extend([
        ("  by blocks", share(h.blocks)),
        ("  by full blocks", share(h.full_blocks)),
        ("  mean per request", share(h.per_request)),
        ("requests per second", format!("{:.4}", m.throughput_rps)),
        ("output tokens per second", format!("{:.1}", m.output_tokens_per_s)),
        ("load spread (cv)", format!("{:.4}", m.load_cv)),
        ("hotspot share", format!("{:.4}", m.hotspot_share)),
        ("slowdown, mean", share(m.slowdown.mean)),
        ("slowdown, largest", share(m.slowdown.max)),
        ("evenness over tenants", share(m.jain_tenants)),
        ("preemptions", m.preemptions.to_string()),
        ("recomputed tokens", m.recomputed_tokens.to_string()),
        ("migrations", m.migrations.to_string()),
        ("evicted blocks", m.evicted_blocks.to_string()),
        ("engine iterations", m.iterations.to_string()),
    ]);
    lines.extend(facts.into_iter().map(|(name, value)| format!("{name:24}{value:>12}")));
    lines.join("\n") + "\n"
}

fn quantile_cells(q: &Quantiles) -> String {
    let cell = |value: Option<f64>| value.map_or(format!("{:>12}", "-"), |v| format!("{v:>12.4}"));
    [q.mean, q.p50, q.p90, q.p99, q.max].map(cell).concat()
}
