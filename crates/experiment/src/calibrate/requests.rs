//! Validation against a measured server: replays its requests and compares what each one experienced.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use trimtab_core::{ClockRanOut, FixedWorkload, PrefixForest, Prompt, Request, SimTime};
use trimtab_engine::cost::{Analytic, Deployment, DeploymentError};
use trimtab_engine::{CacheConfig, ClusterConfig, EvictionConfig, InstanceConfig, Mixing, Order, Row, build_context};
use trimtab_sched::Registry;

use crate::catalog::CatalogError;

/// One measured request, times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Its name in the file.
    pub id: String,
    /// When it was sent.
    pub arrival: f64,
    /// Prompt tokens.
    pub input_tokens: u32,
    /// Generated tokens.
    pub output_tokens: u32,
    /// Time to first token.
    pub ttft: f64,
    /// Time per output token after the first; absent for one-token outputs.
    pub tpot: Option<f64>,
    /// Arrival to last token.
    pub e2e: f64,
}

/// The server that was measured, as its columns name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasuredRun {
    /// Hardware, by the catalogue's name or alias.
    pub hardware: String,
    /// Model.
    pub model: String,
    /// Tensor-parallel degree.
    pub tp: u32,
}

/// How the server was set up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Server {
    /// KV blocks; derived from model and hardware when absent.
    pub kv_blocks: Option<u64>,
    /// Share of the memory it may use, for the derived blocks.
    pub memory_share: f64,
    /// Tokens of a KV block.
    pub block_tokens: u32,
    /// Token budget of a step.
    pub max_batched_tokens: u32,
    /// Sequence limit of a step.
    pub max_seqs: u32,
    /// Time that a request spends outside the engine before its first token (tokenising, HTTP), in milliseconds. It
    /// delays what the client sees, never the engine.
    pub api_ms: f64,
}

impl Server {
    /// The first number with which no server runs.
    fn fault(&self) -> Option<String> {
        let counts = [
            ("kv-blocks", self.kv_blocks.unwrap_or(1)),
            ("block-tokens", u64::from(self.block_tokens)),
            ("max-batched-tokens", u64::from(self.max_batched_tokens)),
            ("max-seqs", u64::from(self.max_seqs)),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, value)| *value == 0) {
            return Some(format!("--{name} is 0; the least is 1"));
        }
        if self.max_batched_tokens < self.max_seqs {
            let (tokens, seqs) = (self.max_batched_tokens, self.max_seqs);
            return Some(format!("--max-batched-tokens {tokens} is less than --max-seqs {seqs}: not all could decode"));
        }
        let outside = self.api_ms;
        (!outside.is_finite() || outside < 0.0).then(|| format!("--api-ms is {outside}; give a time of at least 0"))
    }
}

impl Default for Server {
    /// vLLM's defaults for an online server, and no time outside the engine.
    fn default() -> Self {
        Self {
            kv_blocks: None,
            memory_share: 0.9,
            block_tokens: 16,
            max_batched_tokens: 2048,
            max_seqs: 256,
            api_ms: 0.0,
        }
    }
}

/// Relative errors of a simulated distribution, as fractions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct DistributionError {
    /// Of the mean.
    pub mean_error: f64,
    /// Of the median.
    pub p50_error: f64,
    /// Of the 90th percentile.
    pub p90_error: f64,
    /// Of the 99th percentile.
    pub p99_error: f64,
}

/// What a replay found.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// Time to first token.
    pub ttft: DistributionError,
    /// Time per output token.
    pub tpot: DistributionError,
    /// Arrival to last token.
    pub e2e: DistributionError,
    /// Mean absolute relative error of each request's time from arrival to last token.
    pub per_request_e2e_mape: f64,
    /// The same for the time to first token.
    pub per_request_ttft_mape: f64,
    /// Requests compared.
    pub requests: usize,
    /// Preemptions in the simulation.
    pub preemptions: u64,
    /// KV blocks of the simulated server.
    pub kv_blocks: u64,
    /// Host overhead per step, in microseconds; fitted to this very run when [`fit_host`] was asked for.
    pub step_us: f64,
    /// Measured and simulated times of each request, for plots.
    #[serde(skip)]
    pub pairs: Vec<(Measured, Simulated)>,
}

/// Simulated times of one request, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Simulated {
    /// Time to first token.
    pub ttft: f64,
    /// Time per output token.
    pub tpot: Option<f64>,
    /// Arrival to last token.
    pub e2e: f64,
}

/// Why a run could not be validated.
#[derive(Debug, thiserror::Error)]
pub enum RequestsError {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}:{line}: {detail}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// Column, value and remedy.
        detail: String,
    },
    /// The server cannot be set up so.
    #[error("{0}")]
    Server(String),
    /// The simulated server is impossible.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The simulation lasts longer than the clock.
    #[error(transparent)]
    Clock(#[from] ClockRanOut),
    /// A request never completed in the simulation.
    #[error("request `{0}` did not complete in the simulation: the KV cache cannot hold it")]
    Incomplete(String),
}

impl From<DeploymentError> for RequestsError {
    fn from(error: DeploymentError) -> Self {
        Self::Catalog(error.into())
    }
}

/// Reads a measured run: columns `arrival_s`, `input_tokens`, `output_tokens`, `ttft_ms`, `e2e_ms` and, optionally,
/// `request_id`, `tpot_ms`, `hw`, `model`, `tp`. The run's identity is that of the first row.
pub fn read_requests(path: &Path) -> Result<(Option<MeasuredRun>, Vec<Measured>), RequestsError> {
    let text = std::fs::read_to_string(path).map_err(|source| RequestsError::Read { path: path.into(), source })?;
    parse_requests(path, &text)
}

fn parse_requests(path: &Path, text: &str) -> Result<(Option<MeasuredRun>, Vec<Measured>), RequestsError> {
    let fault = |line: u64, detail: String| RequestsError::Cell { path: path.into(), line, detail };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| fault(1, e.to_string()))?.clone();
    let at = |name: &str| header.iter().position(|h| h == name);
    let need = |name: &str| at(name).ok_or_else(|| fault(1, format!("column `{name}` is missing")));
    let (arrival, input, output) = (need("arrival_s")?, need("input_tokens")?, need("output_tokens")?);
    let (ttft, e2e, tpot, id) = (need("ttft_ms")?, need("e2e_ms")?, at("tpot_ms"), at("request_id"));
    let mut requests = Vec::new();
    let mut run = None;
    for record in reader.records() {
        let record = record.map_err(|e| fault(e.position().map_or(0, csv::Position::line), e.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |i: usize| record.get(i).unwrap_or("");
        let bad = |i: usize, expected: &str| {
            fault(line, format!("`{}` is `{}`; expected {expected}", header.get(i).unwrap_or(""), cell(i)))
        };
        let time = |i: usize, scale: f64| {
            let value: f64 = cell(i).parse().unwrap_or(f64::NAN);
            if value.is_finite() && value >= 0.0 {
                Ok(value / scale)
            } else {
                Err(bad(i, "a finite time of at least 0"))
            }
        };
        let count = |i: usize| match cell(i).parse() {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(bad(i, "a whole number of at least 1")),
        };
        if let (None, Some(hw), Some(model), Some(tp)) = (&run, at("hw"), at("model"), at("tp")) {
            run = Some(MeasuredRun { hardware: cell(hw).into(), model: cell(model).into(), tp: count(tp)? });
        }
        let whole = time(e2e, 1e3)?;
        if whole <= 0.0 {
            return Err(bad(e2e, "a time above 0"));
        }
        requests.push(Measured {
            id: id.map_or_else(|| format!("{}", requests.len()), |i| cell(i).to_owned()),
            arrival: Some(time(arrival, 1.0)?)
                .filter(|&s| s <= SimTime::LATEST_ARRIVAL.as_secs_f64())
                .ok_or_else(|| bad(arrival, "a time of at most 200 days"))?,
            input_tokens: count(input)?,
            output_tokens: count(output)?,
            ttft: time(ttft, 1e3)?,
            tpot: tpot.filter(|i| !cell(*i).is_empty()).map(|i| time(i, 1e3)).transpose()?,
            e2e: whole,
        });
    }
    if requests.is_empty() {
        return Err(fault(1, "no requests below the header".into()));
    }
    requests.sort_by(|a, b| a.arrival.total_cmp(&b.arrival));
    Ok((run, requests))
}

/// Replays `requests` on one simulated server and compares.
pub fn validate(requests: &[Measured], deployment: &Deployment, server: &Server) -> Result<Validation, RequestsError> {
    if let Some(fault) = server.fault() {
        return Err(RequestsError::Server(fault));
    }
    let kv_blocks = match server.kv_blocks {
        Some(blocks) => blocks,
        None => deployment.kv_blocks(server.block_tokens, server.max_batched_tokens, server.memory_share)?,
    };
    let rows = replay(requests, deployment, server, kv_blocks)?;
    let mut pairs = Vec::new();
    for (measured, row) in requests.iter().zip(&rows) {
        let (Some(first), Some(whole)) = (row.ttft(), row.e2e()) else {
            return Err(RequestsError::Incomplete(measured.id.clone()));
        };
        let outside = server.api_ms / 1e3;
        let simulated = Simulated {
            ttft: first.as_secs_f64() + outside,
            tpot: row.tpot().map(SimTime::as_secs_f64),
            e2e: whole.as_secs_f64() + outside,
        };
        pairs.push((measured.clone(), simulated));
    }
    Ok(Validation {
        ttft: compare(&pairs, |m, s| Some((m.ttft, s.ttft))),
        tpot: compare(&pairs, |m, s| Some((m.tpot?, s.tpot?))),
        e2e: compare(&pairs, |m, s| Some((m.e2e, s.e2e))),
        per_request_e2e_mape: mean(pairs.iter().map(|(m, s)| (s.e2e / m.e2e - 1.0).abs())),
        per_request_ttft_mape: mean(
            pairs.iter().filter(|(m, _)| m.ttft > 0.0).map(|(m, s)| (s.ttft / m.ttft - 1.0).abs()),
        ),
        requests: pairs.len(),
        preemptions: rows.iter().map(|r| u64::from(r.preemptions)).sum(),
        kv_blocks,
        step_us: deployment.tuning().step_us,
        pairs,
    })
}

fn replay(
    requests: &[Measured],
    deployment: &Deployment,
    server: &Server,
    kv_blocks: u64,
) -> Result<Vec<Row>, ClockRanOut> {
    let at = |seconds: f64| SimTime::from_secs_f64(seconds).expect("read as a time of at most 200 days");
    let list = requests.iter().zip(0..).map(|(r, id)| {
        // Without identity: a measured run without shared prompts hits nothing.
        Request::new(id, at(r.arrival), Prompt { leaf: None, tokens: r.input_tokens }, r.output_tokens)
    });
    let mut workload = FixedWorkload::new(PrefixForest::default(), list.collect());
    let instance = InstanceConfig {
        cost: Arc::new(Analytic::new(deployment.clone(), server.max_batched_tokens)),
        kv_blocks,
        block_tokens: server.block_tokens,
        max_batched_tokens: server.max_batched_tokens,
        max_seqs: server.max_seqs,
        mixing: Mixing::DecodeFirst,
        order: Order::Fcfs,
        watermark_blocks: 0,
        cache: CacheConfig::default(),
        eviction: EvictionConfig::default(),
    };
    let config = ClusterConfig::new(vec![instance]);
    let registry = Registry::default();
    let def = registry.get("round-robin").expect("the registry has it");
    let scheduler = (def.build)(&Value::Object(serde_json::Map::new()), &build_context(&config))
        .expect("round-robin has no parameters");
    Ok(trimtab_engine::try_run(&config, def, vec![scheduler], &mut workload)?.rows)
}

/// The host overhead per step with which the replay's per-request error is least, and that replay.
///
/// This uses the server's own measurements as a knob: say so wherever its figures appear.
pub fn fit_host(requests: &[Measured], deployment: &Deployment, server: &Server) -> Result<Validation, RequestsError> {
    let run = |step_us: f64| {
        let tuning = trimtab_engine::cost::Tuning { step_us, ..*deployment.tuning() };
        validate(requests, &deployment.with_tuning(tuning)?, server)
    };
    // Ternary search in whole steps of 10 us from 0 to 10 ms, then a walk over what is left: the error is smooth but not
    // exactly unimodal, because a batch boundary can jump.
    let (mut low, mut high) = (0_u32, 1_000_u32);
    while high - low > 6 {
        let third = (high - low) / 3;
        let (a, b) = (low + third, high - third);
        if run(f64::from(a * 10))?.per_request_e2e_mape <= run(f64::from(b * 10))?.per_request_e2e_mape {
            high = b;
        } else {
            low = a;
        }
    }
    let mut best = run(f64::from(low * 10))?;
    for step in low + 1..=high {
        let next = run(f64::from(step * 10))?;
        if next.per_request_e2e_mape < best.per_request_e2e_mape {
            best = next;
        }
    }
    Ok(best)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0_u32), |(sum, n), value| (sum + value, n + 1));
    sum / f64::from(n.max(1))
}

/// Compares the distributions of what `of` picks as (measured, simulated), where both have it.
fn compare(
    pairs: &[(Measured, Simulated)],
    of: impl Fn(&Measured, &Simulated) -> Option<(f64, f64)>,
) -> DistributionError {
    let (mut measured, mut simulated): (Vec<f64>, Vec<f64>) = pairs.iter().filter_map(|(m, s)| of(m, s)).unzip();
    let n = measured.len();
    if n == 0 {
        return DistributionError::default();
    }
    measured.sort_by(f64::total_cmp);
    simulated.sort_by(f64::total_cmp);
    let error = |per_cent: usize| {
        let rank = (n * per_cent).div_ceil(100).max(1) - 1;
        simulated[rank] / measured[rank] - 1.0
    };
    let mean_error = mean(simulated.iter().copied()) / mean(measured.iter().copied()) - 1.0;
    DistributionError { mean_error, p50_error: error(50), p90_error: error(90), p99_error: error(99) }
}

/// The text report.
pub fn validation_text(validation: &Validation) -> String {
    let mut out = format!(
        "{} requests replayed on {} KV blocks, {} preemptions, {} us of host time per step\n\n",
        validation.requests, validation.kv_blocks, validation.preemptions, validation.step_us
    );
    out += "simulated against measured     mean      p50      p90      p99\n";
    for (name, e) in [("TTFT", validation.ttft), ("TPOT", validation.tpot), ("E2E", validation.e2e)] {
        let _ = writeln!(
            out,
            "{name:<24} {:>+8.1} %{:>+7.1} %{:>+7.1} %{:>+7.1} %",
            100.0 * e.mean_error,
            100.0 * e.p50_error,
            100.0 * e.p90_error,
            100.0 * e.p99_error
        );
    }
    let _ = writeln!(
        out,
        "\nper request, mean |error|: E2E {:.1} %, TTFT {:.1} %",
        100.0 * validation.per_request_e2e_mape,
        100.0 * validation.per_request_ttft_mape
    );
    out
}

/// Measured and simulated times of every request, in milliseconds.
pub fn validation_csv(validation: &Validation) -> String {
    let mut out = String::from(
        "request_id,arrival_s,input_tokens,output_tokens,ttft_ms,sim_ttft_ms,tpot_ms,sim_tpot_ms,e2e_ms,sim_e2e_ms\n",
    );
    let ms = |value: Option<f64>| value.map_or(String::new(), |v| format!("{:.4}", v * 1e3));
    for (m, s) in &validation.pairs {
        let cells = [Some(m.ttft), Some(s.ttft), m.tpot, s.tpot, Some(m.e2e), Some(s.e2e)].map(ms).join(",");
        let _ = writeln!(out, "{},{},{},{},{cells}", m.id, m.arrival, m.input_tokens, m.output_tokens);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubtful_requests_are_refused() {
        let header = "arrival_s,input_tokens,output_tokens,ttft_ms,e2e_ms\n";
        let parse = |text: &str| parse_requests(Path::new("r.csv"), text);
        assert_eq!(parse(&format!("{header}1,10,2,5,9\n0,10,2,5,9\n")).unwrap().1[0].id, "1");
        for (text, expected) in [
            (header.to_owned(), "no requests"),
            (header.replace("ttft_ms,", ""), "column `ttft_ms` is missing"),
            (format!("{header}x,10,2,5,9\n"), "r.csv:2: `arrival_s` is `x`"),
            (format!("{header}0,0,2,5,9\n"), "`input_tokens` is `0`"),
            (format!("{header}0,10,2,NaN,9\n"), "`ttft_ms` is `NaN`"),
            (format!("{header}0,10,2,5,0\n"), "`e2e_ms` is `0`"),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
