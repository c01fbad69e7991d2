//! Replays a Mooncake-format trace through the published `dynamo-mocker` crate (offline replay,
//! one pool of vLLM-like workers) and prints a JSON summary; optionally writes one CSV row per request.
//!
//! Three input paths of the peer are used: its trace-file entry point (default), its compact loaded
//! trace (`--compact`), and a request list with ids that we choose (`--requests-out`), because the
//! first two give every request a random id that cannot be mapped back to its line in the trace.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use dynamo_mocker::common::protocols::MockerConfig;
use dynamo_mocker::loadgen::{Trace, TraceFileFormat};
use dynamo_mocker::replay::{
    ReplayRouterMode, ReplayRuntimeObservers, SlaThresholds, TraceSimulationReport,
    simulate_loaded_trace_with_router_mode_and_options, simulate_trace_file_with_router_mode_and_format,
    simulate_trace_requests_with_router_mode_and_runtime_observers,
};
use serde_json::{Value, json};
use uuid::Uuid;

const USAGE: &str = "\
usage: dynamo-mocker-replay --trace FILE [options]
  --workers N             workers in the pool (8)
  --block N               tokens in a KV block of the engine (512)
  --trace-block N         tokens in one hash id of the trace (512)
  --blocks N              KV blocks of a worker (2048)
  --max-seqs N            most running requests of a worker (256)
  --max-batched-tokens N  token budget of a pass (8192)
  --no-prefix-cache       turn prefix caching off
  --timing T              polynomial | fixed:PREFILL_MS,DECODE_MS (polynomial)
  --router R              rr | kv (rr)
  --speedup X             arrivals X times faster (1)
  --compact               keep prompts as hashes (the peer's loaded-trace path)
  --requests-out FILE     write one CSV row per request, in trace order";

struct Options {
    trace: PathBuf,
    workers: usize,
    block: usize,
    trace_block: usize,
    blocks: usize,
    max_seqs: usize,
    max_batched_tokens: usize,
    prefix_cache: bool,
    timing: Value,
    router: ReplayRouterMode,
    speedup: f64,
    compact: bool,
    requests_out: Option<PathBuf>,
}

impl Options {
    /// Reads the command line; `None` when help was asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut trace = None;
        let mut options = Self {
            trace: PathBuf::new(),
            workers: 8,
            block: 512,
            trace_block: 512,
            blocks: 2048,
            max_seqs: 256,
            max_batched_tokens: 8192,
            prefix_cache: true,
            timing: json!({"type": "polynomial"}),
            router: ReplayRouterMode::RoundRobin,
            speedup: 1.0,
            compact: false,
            requests_out: None,
        };
        while let Some(flag) = words.next() {
            match flag.as_str() {
                "--help" | "-h" => return Ok(None),
                "--compact" => {
                    options.compact = true;
                    continue;
                }
                "--no-prefix-cache" => {
                    options.prefix_cache = false;
                    continue;
                }
                _ => {}
            }
            let value = words.next().with_context(|| format!("unknown flag {flag}, or its value is missing"))?;
            let count = || -> Result<usize> {
                let number = value.parse::<usize>();
                let number = number.with_context(|| format!("{flag} {value}: not a count"))?;
                ensure!(number > 0, "{flag} must be positive");
                Ok(number)
            };
            match flag.as_str() {
                "--trace" => trace = Some(PathBuf::from(&value)),
                "--workers" => options.workers = count()?,
                "--block" => options.block = count()?,
                "--trace-block" => options.trace_block = count()?,
                "--blocks" => options.blocks = count()?,
                "--max-seqs" => options.max_seqs = count()?,
                "--max-batched-tokens" => options.max_batched_tokens = count()?,
                "--timing" => options.timing = parse_timing(&value)?,
                "--router" => {
                    options.router = match value.as_str() {
                        "rr" => ReplayRouterMode::RoundRobin,
                        "kv" => ReplayRouterMode::KvRouter,
                        other => bail!("--router {other}: expected rr or kv"),
                    }
                }
                "--speedup" => {
                    options.speedup = value.parse().context("--speedup: not a number")?;
                }
                "--requests-out" => options.requests_out = Some(PathBuf::from(&value)),
                other => bail!("unknown flag {other}"),
            }
        }
        options.trace = trace.context("--trace is required")?;
        ensure!(
            !(options.compact && options.requests_out.is_some()),
            "--compact gives requests random ids, so it cannot be combined with --requests-out"
        );
        Ok(Some(options))
    }

    fn engine(&self) -> Result<MockerConfig> {
        MockerConfig::from_value(json!({
            "engine": {
                "backend": "vllm",
                "num_gpu_blocks": self.blocks,
                "block_size": self.block,
                "max_num_seqs": self.max_seqs,
                "max_num_batched_tokens": self.max_batched_tokens,
                "enable_prefix_caching": self.prefix_cache,
                "enable_chunked_prefill": true,
                "timing_model": self.timing,
            }
        }))
    }

    fn settings(&self) -> Value {
        json!({
            "trace": self.trace.display().to_string(),
            "workers": self.workers,
            "block": self.block,
            "trace_block": self.trace_block,
            "blocks": self.blocks,
            "max_seqs": self.max_seqs,
            "max_batched_tokens": self.max_batched_tokens,
            "prefix_cache": self.prefix_cache,
            "timing": self.timing,
            "router": match self.router {
                ReplayRouterMode::RoundRobin => "rr",
                ReplayRouterMode::KvRouter => "kv",
            },
            "speedup": self.speedup,
            "compact": self.compact,
        })
    }
}

fn parse_timing(text: &str) -> Result<Value> {
    if text == "polynomial" {
        return Ok(json!({"type": "polynomial"}));
    }
    let expected = || format!("--timing {text}: expected polynomial or fixed:PREFILL_MS,DECODE_MS");
    let (prefill, decode) = text.strip_prefix("fixed:").and_then(|pair| pair.split_once(',')).with_context(expected)?;
    let prefill_ms: f64 = prefill.parse().with_context(expected)?;
    let decode_ms: f64 = decode.parse().with_context(expected)?;
    Ok(json!({"type": "fixed", "prefill_ms": prefill_ms, "decode_ms": decode_ms}))
}

fn simulate(options: &Options) -> Result<TraceSimulationReport> {
    let engine = options.engine()?;
    if options.requests_out.is_some() {
        let trace = Trace::from_mooncake(&options.trace, options.trace_block)?;
        let mut requests = trace.to_single_turn_requests()?;
        for (index, request) in requests.iter_mut().enumerate() {
            request.uuid = Some(Uuid::from_u128(index as u128));
        }
        return simulate_trace_requests_with_router_mode_and_runtime_observers(
            engine,
            None,
            None,
            requests,
            options.workers,
            options.speedup,
            options.router,
            true,
            SlaThresholds::default(),
            ReplayRuntimeObservers::default(),
        );
    }
    if options.compact {
        let trace = Trace::from_mooncake(&options.trace, options.trace_block)?;
        return simulate_loaded_trace_with_router_mode_and_options(
            engine,
            None,
            None,
            trace,
            options.workers,
            options.speedup,
            options.router,
            false,
            None,
            SlaThresholds::default(),
        );
    }
    simulate_trace_file_with_router_mode_and_format(
        engine,
        None,
        None,
        &options.trace,
        options.trace_block,
        options.workers,
        options.speedup,
        options.router,
        TraceFileFormat::Mooncake,
        0.0,
        1,
        false,
        None,
        SlaThresholds::default(),
    )
}

/// Writes one row per request in trace order. Times are in ms after the first arrival, printed with
/// the shortest digits that read back as the same `f64`; a time that never came is left empty.
fn write_requests(report: &TraceSimulationReport, path: &Path) -> Result<()> {
    let mut rows = Vec::with_capacity(report.per_request.len());
    for record in &report.per_request {
        let index = Uuid::parse_str(&record.uuid)?.as_u128();
        rows.push((index, record));
    }
    rows.sort_unstable_by_key(|(index, _)| *index);
    let time = |value: Option<f64>| value.map_or_else(String::new, |ms| ms.to_string());

    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut out = BufWriter::new(file);
    writeln!(
        out,
        "index,arrival_ms,worker,ttft_ms,e2e_ms,first_token_ms,finish_ms,first_admit_ms,\
         input_tokens,output_tokens,cached_tokens,admissions,status"
    )?;
    for (index, record) in rows {
        let worker = record.decode_worker_idx;
        // Tokens found cached at the first admission; the record's own total is the largest over
        // all admissions, which after a preemption counts the request's own blocks.
        let first = record.admission_history.first();
        writeln!(
            out,
            "{index},{},{},{},{},{},{},{},{},{},{},{},{:?}",
            record.arrival_time_ms,
            worker.map_or_else(String::new, |worker| worker.to_string()),
            time(record.ttft_ms),
            time(record.e2e_latency_ms),
            time(record.first_token_ms),
            record.terminal_time_ms,
            time(record.first_admit_ms),
            record.input_length,
            record.output_length,
            first.map_or(0, |admission| admission.reused_input_tokens),
            record.admission_count,
            record.terminal_status,
        )?;
    }
    out.flush()?;
    Ok(())
}

fn main() -> Result<()> {
    let Some(options) = Options::parse(std::env::args().skip(1)).context(USAGE)? else {
        println!("{USAGE}");
        return Ok(());
    };
    let started = Instant::now();
    let report = simulate(&options)?;
    let wall_s = started.elapsed().as_secs_f64();
    if let Some(path) = &options.requests_out {
        write_requests(&report, path)?;
    }
    let summary = json!({
        "settings": options.settings(),
        "load_and_simulate_wall_s": wall_s,
        "report": serde_json::to_value(&report)?,
    });
    println!("{}", serde_json::to_string_pretty(&summary)?);
    Ok(())
}
