//! Flags about requests, the same for every verb that has them.

use serde_json::Value;
use trimtab_experiment::scenario::{Tenants, Workload};
use trimtab_workload::{ArrivalSpec, ZeroOutput};

use crate::exit::Failure;
use crate::verbs::pairs;

/// How a trace is read.
#[derive(Debug, clap::Args)]
pub(crate) struct Reading {
    /// Force the trace format (see `trimtab list formats`)
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Cut prompts to N tokens, keeping the head
    #[arg(long, value_name = "N")]
    max_input_tokens: Option<u32>,
    /// Begin at this time of the trace, which becomes 0
    #[arg(long, value_name = "SECONDS")]
    start: Option<f64>,
    /// Tokens of one block id of the trace, when they are not those of its format
    #[arg(long, value_name = "N")]
    trace_block: Option<u32>,
    /// Requests without output: drop, or one (token, which is what a prefill yields)
    #[arg(long, default_value = "drop", value_parser = named::<ZeroOutput>)]
    zero_output: ZeroOutput,
    /// Skip and count faulty rows, up to 1 % of them
    #[arg(long)]
    lenient: bool,
    /// The share of rows that may be skipped, instead of 0.01
    #[arg(long, value_name = "SHARE", requires = "lenient")]
    max_dropped: Option<f64>,
    /// Refuse times that decrease, instead of sorting
    #[arg(long)]
    strict_order: bool,
}

/// How many requests.
#[derive(Debug, clap::Args)]
pub(crate) struct Extent {
    /// The first N requests
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// The requests of this many seconds
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,
}

/// When requests arrive.
#[derive(Debug, clap::Args)]
pub(crate) struct Timing {
    /// Rescale the arrival clock to this many requests per second
    #[arg(long, value_name = "RPS", conflicts_with = "speedup")]
    rate: Option<f64>,
    /// Divide arrival times by this
    #[arg(long, value_name = "X")]
    speedup: Option<f64>,
    /// Arrival process instead of the recorded times: poisson, constant, gamma:CV, weibull:CV, or JSON such as
    /// '{"states":{"rates":[0.2,1.8],"stay_s":60}}' (see docs/workloads.md)
    #[arg(long, value_name = "PROCESS", value_parser = process)]
    arrivals: Option<ArrivalSpec>,
    /// Move each arrival later by up to this, seeded: spreads the ticks of a coarse clock
    #[arg(long, value_name = "SECONDS")]
    jitter_s: Option<f64>,
    /// Spread arrivals that share a time up to the next time, seeded
    #[arg(long)]
    jitter_ticks: bool,
    /// Keep each session with this probability, seeded
    #[arg(long, value_name = "SHARE")]
    keep_sessions: Option<f64>,
}

/// What a generator makes.
#[derive(Debug, clap::Args)]
pub(crate) struct Generating {
    /// So many tenants, the r-th with a rate in proportion to r^-SKEW
    #[arg(long, value_name = "N[:SKEW]", value_parser = tenants)]
    tenants: Option<Tenants>,
}

/// A value by its name, as in a spec.
pub(crate) fn named<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.into())).map_err(|error| error.to_string())
}

/// `gamma:3.5` for the common case, JSON for everything.
fn process(text: &str) -> Result<ArrivalSpec, String> {
    if text.starts_with('{') {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    let (process, cv) = text.split_once(':').map_or((text, None), |(process, cv)| (process, Some(cv)));
    let cv = cv.map(|cv| cv.parse().map_err(|_| format!("`{cv}` is not a coefficient of variation"))).transpose()?;
    let spec = ArrivalSpec { process: named(process)?, cv, ..ArrivalSpec::default() };
    spec.fault().map_or(Ok(spec), |rule| Err(format!("{rule}, as in `gamma:3.5`")))
}

/// The same as JSON.
pub(crate) fn arrivals(text: &str) -> Result<String, String> {
    process(text).and_then(|spec| serde_json::to_string(&spec).map_err(|error| error.to_string()))
}

pub(crate) fn tenants(text: &str) -> Result<Tenants, String> {
    let (count, skew) = text.split_once(':').unwrap_or((text, "0"));
    let expected = || format!("`{text}` is not a number of tenants, or number:skew such as 10:1.5");
    Ok(Tenants { count: count.parse().map_err(|_| expected())?, skew: skew.parse().map_err(|_| expected())? })
}

impl Reading {
    pub(crate) fn apply(&self, workload: Workload) -> Workload {
        Workload {
            format: self.format.clone(),
            max_input_tokens: self.max_input_tokens,
            start_s: self.start,
            trace_block: self.trace_block,
            zero_output: self.zero_output,
            lenient: self.lenient,
            max_dropped: self.max_dropped,
            strict_order: self.strict_order,
            ..workload
        }
    }
}

impl Extent {
    pub(crate) fn apply(&self, workload: Workload) -> Workload {
        Workload { limit: self.limit, duration_s: self.duration, ..workload }
    }
}

impl Timing {
    /// For a generator, the arrival process is a parameter.
    pub(crate) fn apply(&self, mut workload: Workload) -> Result<Workload, Failure> {
        let mut arrivals = self.arrivals.clone();
        if let (Some(_), Value::Object(params)) = (&workload.kind, &mut workload.params)
            && let Some(spec) = arrivals.take()
        {
            let value = serde_json::to_value(spec).map_err(Failure::usage)?;
            if params.insert("arrivals".into(), value).is_some() {
                return Err(Failure::usage("`arrivals` is given twice: as a flag and as a parameter"));
            }
        }
        let Self { rate, speedup, jitter_s, jitter_ticks, keep_sessions, .. } = *self;
        Ok(Workload { rate, speedup, arrivals, jitter_s, jitter_ticks, keep_sessions, ..workload })
    }
}

impl Generating {
    /// The generator of this name, with `KEY=VALUE` parameters given with `flag`.
    pub(crate) fn apply(
        &self,
        kind: Option<String>,
        flag: &str,
        params: &[String],
        workload: Workload,
    ) -> Result<Workload, Failure> {
        Ok(Workload { kind, params: pairs(flag, params)?, tenants: self.tenants, ..workload })
    }
}
