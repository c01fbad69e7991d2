//! `trimtab run`: one simulation from flags, or a cell of a spec.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use trimtab_engine::Stepping;
use trimtab_experiment::metrics::{self, Metrics, Quantiles};
use trimtab_experiment::rows;
use trimtab_experiment::scenario::Scenario;
use trimtab_experiment::simulate::{self, Mode};
use trimtab_experiment::spec::Output;
use trimtab_sched::Registry;

use super::chosen::{Chosen, watched};
use super::output::{claim, written};
use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab run`.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Args {
    #[command(flatten)]
    chosen: Chosen,
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
    let scenario = args.chosen.scenario(&registry, printer)?;
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
        ("believed, not cached", share(m.belief.too_high)),
        ("cached, not believed", share(m.belief.too_low)),
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
    for gate in &m.admission {
        let turned_away = gate.rejected + gate.expired;
        lines.push(format!("{:24}{:>12}  of {} that asked", format!("{}: away", gate.kind), turned_away, gate.asked));
    }
    lines.join("\n") + "\n"
}

fn quantile_cells(q: &Quantiles) -> String {
    let cell = |value: Option<f64>| value.map_or(format!("{:>12}", "-"), |v| format!("{v:>12.4}"));
    [q.mean, q.p50, q.p90, q.p99, q.max].map(cell).concat()
}
