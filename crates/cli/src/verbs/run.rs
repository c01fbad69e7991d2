//! `trimtab run`: one simulation from flags.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;
use trimtab_core::{PrefixForest, Request, RequestId, SimTime, Workload};
use trimtab_engine::cost::WeightType;
use trimtab_engine::{Generated, Mixing, Outcome, Row, RunResult, Stepping, Visible};
use trimtab_experiment::metrics::{self, Metrics, Quantiles};
use trimtab_experiment::scenario::{Cost, Order, Scenario};
use trimtab_experiment::simulate;
use trimtab_sched::Registry;

use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab run`.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Args {
    /// Trace file to replay; the format is sniffed
    #[arg(long, value_name = "FILE", conflicts_with = "workload")]
    trace: Option<PathBuf>,
    /// Force the trace format (see `trimtab list formats`)
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Generated workload
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// Parameter of the generated workload
    #[arg(long, value_name = "KEY=VALUE")]
    workload_param: Vec<String>,
    /// Scheduler (see `trimtab list schedulers`)
    #[arg(long, value_name = "NAME", default_value = "round-robin")]
    scheduler: String,
    /// Scheduler parameter (see `trimtab explain`)
    #[arg(long, value_name = "KEY=VALUE")]
    param: Vec<String>,
    /// Instances
    #[arg(long, value_name = "N", default_value_t = 8)]
    instances: u32,
    /// Rescale the arrival clock to this many requests per second
    #[arg(long, value_name = "RPS", conflicts_with = "speedup")]
    rate: Option<f64>,
    /// Divide arrival times by this
    #[arg(long, value_name = "X")]
    speedup: Option<f64>,
    /// Move each arrival later by up to this, seeded: spreads the ticks of a coarse clock
    #[arg(long, value_name = "SECONDS")]
    jitter_s: Option<f64>,
    /// Model: catalogue name, TOML file or Hugging Face config.json
    #[arg(long, default_value = "qwen2.5-7b")]
    model: String,
    /// Hardware: catalogue name or TOML file
    #[arg(long, default_value = "h100")]
    hardware: String,
    /// GPUs per instance (tensor parallel)
    #[arg(long, default_value_t = 1)]
    tp: u32,
    /// Storage type of the weights: bf16 or fp8
    #[arg(long, value_name = "TYPE", value_parser = named::<WeightType>)]
    weights: Option<WeightType>,
    /// KV cache per instance in tokens, instead of what fits
    #[arg(long, value_name = "N")]
    kv_tokens: Option<u64>,
    /// Tokens of a KV block
    #[arg(long, value_name = "N", default_value_t = 16)]
    block_tokens: u32,
    /// Token budget of a step
    #[arg(long, value_name = "N", default_value_t = 8192)]
    max_batched_tokens: u32,
    /// Sequence limit of a step
    #[arg(long, value_name = "N", default_value_t = 256)]
    max_seqs: u32,
    /// decode-first or prefill-first
    #[arg(long, default_value = "decode-first", value_parser = named::<Mixing>)]
    mixing: Mixing,
    /// Admission order: fcfs or longest-prefix
    #[arg(long, default_value = "fcfs", value_parser = named::<Order>)]
    order: Order,
    /// Share of KV blocks that admission leaves free
    #[arg(long, default_value_t = 0.0)]
    watermark: f64,
    /// Which cached block goes first
    #[arg(long, value_name = "NAME", default_value = "lru")]
    eviction: String,
    /// Reuse nothing
    #[arg(long)]
    no_prefix_cache: bool,
    /// Reuse the final partial block of a prompt too
    #[arg(long)]
    partial_tail: bool,
    /// When a block can be hit: computed or scheduled
    #[arg(long, default_value = "computed", value_parser = named::<Visible>)]
    cache_visible: Visible,
    /// Generated blocks that nothing can name: free or keep
    #[arg(long, default_value = "free", value_parser = named::<Generated>)]
    generated: Generated,
    /// Step cost: analytic, polynomial, or JSON such as '{"kind":"analytic","profile":"fitted"}'
    #[arg(long, default_value = "analytic", value_parser = cost)]
    cost: Cost,
    /// TTFT objective
    #[arg(long, value_name = "SECONDS")]
    slo_ttft: Option<f64>,
    /// TPOT objective
    #[arg(long, value_name = "SECONDS")]
    slo_tpot: Option<f64>,
    /// End-to-end objective
    #[arg(long, value_name = "SECONDS")]
    slo_e2e: Option<f64>,
    /// Leave the first N requests out of the statistics
    #[arg(long, value_name = "N", default_value_t = 0)]
    warmup_requests: u32,
    /// Cut prompts to N tokens, keeping the head
    #[arg(long, value_name = "N")]
    max_input_tokens: Option<u32>,
    /// The first N requests
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Seed of every random stream
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// macro or every: how time advances; the results are the same
    #[arg(long, default_value = "macro", value_parser = stepping)]
    stepping: Stepping,
    /// One JSON document
    #[arg(long)]
    json: bool,
    /// One row per request, as CSV
    #[arg(long, value_name = "FILE")]
    requests_out: Option<PathBuf>,
}

/// A value by its kebab-case name, as in a spec.
fn named<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.into())).map_err(|error| error.to_string())
}

fn cost(text: &str) -> Result<Cost, String> {
    let value =
        if text.starts_with('{') { serde_json::from_str(text) } else { Ok(serde_json::json!({ "kind": text })) };
    value.and_then(serde_json::from_value).map_err(|error| error.to_string())
}

fn stepping(text: &str) -> Result<Stepping, String> {
    match text {
        "macro" => Ok(Stepping::Macro),
        "every" => Ok(Stepping::Every),
        _ => Err("expected `macro` or `every`".into()),
    }
}

impl Args {
    fn scenario(&self) -> Result<Scenario, Failure> {
        let mut scenario = Scenario { seed: self.seed, warmup_requests: self.warmup_requests, ..Scenario::default() };
        let cluster = &mut scenario.cluster;
        cluster.instances = self.instances;
        cluster.model.clone_from(&self.model);
        cluster.hardware.clone_from(&self.hardware);
        cluster.tp = self.tp;
        cluster.weights = self.weights;
        cluster.kv_tokens = self.kv_tokens;
        cluster.block_tokens = self.block_tokens;
        cluster.max_batched_tokens = self.max_batched_tokens;
        cluster.max_seqs = self.max_seqs;
        cluster.mixing = self.mixing;
        cluster.order = self.order;
        cluster.watermark = self.watermark;
        cluster.eviction.clone_from(&self.eviction);
        cluster.cache.enabled = !self.no_prefix_cache;
        cluster.cache.partial_tail = self.partial_tail;
        cluster.cache.visible = self.cache_visible;
        cluster.cache.generated = self.generated;
        cluster.cost = self.cost.clone();
        let workload = &mut scenario.workload;
        workload.trace.clone_from(&self.trace);
        workload.format.clone_from(&self.format);
        workload.kind.clone_from(&self.workload);
        workload.params = super::pairs("--workload-param", &self.workload_param)?;
        workload.limit = self.limit;
        workload.max_input_tokens = self.max_input_tokens;
        workload.rate = self.rate;
        workload.speedup = self.speedup;
        workload.jitter_s = self.jitter_s;
        scenario.scheduler.kind.clone_from(&self.scheduler);
        scenario.scheduler.params = super::pairs("--param", &self.param)?;
        scenario.slo.ttft_s = self.slo_ttft;
        scenario.slo.tpot_s = self.slo_tpot;
        scenario.slo.e2e_s = self.slo_e2e;
        Ok(scenario)
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
    let scenario = args.scenario()?;
    // Everything is checked before anything is read.
    simulate::check_workload(&scenario.workload, false)?;
    scenario.scheduler_def(&registry)?;
    scenario.cluster_config(args.stepping, false)?;
    let scenario = scenario.resolved()?;
    let mut workload = workload(&scenario, printer)?;
    let start = now();
    let result = simulate::simulate(&scenario, &registry, &mut workload, args.stepping)?;
    workload.bar.finish_and_clear();
    let wall = start.elapsed().as_secs_f64();
    let metrics = metrics::metrics(&scenario, &result);
    if let Some(path) = &args.requests_out {
        write_requests(path, &result)?;
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
fn workload(scenario: &Scenario, printer: Printer) -> Result<Watched, Failure> {
    if let Some(inner) = simulate::generated(scenario)? {
        return Ok(Watched { inner, bar: printer.progress(scenario.workload.limit.unwrap_or(0), "requests") });
    }
    let trace = simulate::load(scenario)?;
    for note in &trace.notes {
        printer.note(&note.to_string());
    }
    if let Some(note) = trace.block_note(scenario.cluster.block_tokens) {
        printer.note(&format!("warning: {note}"));
    }
    let bar = printer.progress(trace.requests.len() as u64, "requests");
    Ok(Watched { inner: Box::new(trace.into_workload()), bar })
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
    inner: Box<dyn Workload + Send>,
    bar: indicatif::ProgressBar,
}

impl Workload for Watched {
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

    fn ended(&mut self, request: RequestId, now: SimTime) {
        self.inner.ended(request, now);
    }
}

/// The columns of `--requests-out`.
const COLUMNS: [&str; 15] = [
    "request",
    "outcome",
    "instance",
    "arrival_s",
    "routed_s",
    "admitted_s",
    "first_token_s",
    "finish_s",
    "prompt_tokens",
    "hit_tokens",
    "hit_blocks",
    "recomputed_tokens",
    "output_tokens",
    "preemptions",
    "migrations",
];

fn write_requests(path: &Path, result: &RunResult) -> Result<(), Failure> {
    let at = |error: csv::Error| Failure::data(format!("cannot write {}: {error}", path.display()));
    let mut out = csv::Writer::from_path(path).map_err(at)?;
    out.write_record(COLUMNS).map_err(at)?;
    for (index, row) in result.rows.iter().enumerate() {
        out.write_record(record(index, row)).map_err(at)?;
    }
    out.flush().map_err(|error| Failure::data(format!("cannot write {}: {error}", path.display())))
}

fn record(index: usize, row: &Row) -> [String; 15] {
    let time = |t: SimTime| if t == SimTime::MAX { String::new() } else { t.exact_seconds() };
    let outcome = match row.outcome {
        Outcome::Open => "open",
        Outcome::Completed => "completed",
        Outcome::Rejected => "rejected",
        Outcome::Failed => "failed",
    };
    [
        index.to_string(),
        outcome.into(),
        row.instance.0.to_string(),
        time(row.arrival),
        time(row.routed),
        time(row.admitted),
        time(row.first_token),
        time(row.finish),
        row.prompt_tokens.to_string(),
        row.hit_tokens.to_string(),
        row.hit_blocks.to_string(),
        row.recomputed_tokens.to_string(),
        row.output_tokens.to_string(),
        row.preemptions.to_string(),
        row.migrations.to_string(),
    ]
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
    let facts = [
        ("within TTFT objective", share(m.slo_attainment)),
        ("within all objectives", share(m.joint_attainment)),
        ("hit ratio by tokens", share(h.tokens)),
        ("  by blocks", share(h.blocks)),
        ("  by full blocks", share(h.full_blocks)),
        ("  mean per request", share(h.per_request)),
        ("requests per second", format!("{:.4}", m.throughput_rps)),
        ("output tokens per second", format!("{:.1}", m.output_tokens_per_s)),
        ("load spread (cv)", format!("{:.4}", m.load_cv)),
        ("hotspot share", format!("{:.4}", m.hotspot_share)),
        ("preemptions", m.preemptions.to_string()),
        ("recomputed tokens", m.recomputed_tokens.to_string()),
        ("migrations", m.migrations.to_string()),
        ("evicted blocks", m.evicted_blocks.to_string()),
        ("engine iterations", m.iterations.to_string()),
    ];
    lines.extend(facts.map(|(name, value)| format!("{name:24}{value:>12}")));
    lines.join("\n") + "\n"
}

fn quantile_cells(q: &Quantiles) -> String {
    let cell = |value: Option<f64>| value.map_or(format!("{:>12}", "-"), |v| format!("{v:>12.4}"));
    [q.mean, q.p50, q.p90, q.p99, q.max].map(cell).concat()
}
