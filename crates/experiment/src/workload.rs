//! From the workload of a scenario to requests.

use rustc_hash::FxHashMap;
use trimtab_core::params::ParamError;
use trimtab_core::{RngStreams, SessionId, SimTime, Workload, uniform01};
use trimtab_workload::{
    self as source, GenOptions, Ratio, ReadOptions, RescaleError, Trace, ZeroOutput, generator_by_name,
};

use crate::scenario::{self, Scenario};
use crate::simulate::RunError;
use crate::trace_file;

/// The requests of a scenario: a trace, or what a generator makes.
pub fn workload(scenario: &Scenario) -> Result<Box<dyn Workload + Send>, RunError> {
    match generated(scenario)? {
        Some(workload) => Ok(workload),
        None => Ok(load(scenario)?.into_loop(scenario.workload.r#loop.mode()?)),
    }
}

/// How many requests a workload has.
pub fn count(spec: &scenario::Workload) -> Result<u64, RunError> {
    match (&spec.kind, spec.limit, spec.duration_s) {
        (Some(_), Some(limit), None) => Ok(limit),
        (Some(_), ..) => {
            // In an open loop, since nothing ends here.
            let spec = scenario::Workload { r#loop: scenario::Loop::Open, ..spec.clone() };
            let scenario = Scenario { workload: spec, ..Scenario::default() };
            let mut workload = workload(&scenario)?;
            Ok(std::iter::from_fn(|| workload.next()).fold(0, |count, _| count + 1))
        }
        (None, ..) => Ok(read(spec)?.requests.len() as u64),
    }
}

/// Reads the trace of a scenario, arrivals as the seed and the rate place them.
pub fn load(scenario: &Scenario) -> Result<Trace, RunError> {
    let mut trace = read(&scenario.workload)?;
    arrange(&mut trace, scenario)?;
    Ok(trace)
}

/// What the generator of a scenario makes, if it names one.
pub fn generated(scenario: &Scenario) -> Result<Option<Box<dyn Workload + Send>>, RunError> {
    let spec = &scenario.workload;
    let Some(kind) = &spec.kind else { return Ok(None) };
    let field = |field| move |error: ParamError| RunError::Field { field, detail: error.to_string() };
    let def = generator_by_name(kind).map_err(field("workload.kind"))?;
    let options = GenOptions {
        seed: scenario.seed,
        requests: spec.limit,
        until: spec.duration_s.map_or(Ok(SimTime::MAX), |s| seconds("workload.duration_s", s))?,
        rate: spec.rate,
        mode: spec.r#loop.mode()?,
        tenants: spec.tenants.map(|tenants| (tenants.count, tenants.skew)),
    };
    let made = def.generate(&spec.params, &options).map_err(field("workload.params"))?;
    Ok(Some(match spec.max_input_tokens {
        Some(tokens) => Box::new(source::Cut::new(made, tokens)),
        None => made,
    }))
}

/// Reads a trace; what depends on rate and seed is left to [`arrange`].
pub fn read(spec: &scenario::Workload) -> Result<Trace, RunError> {
    check(spec, false)?;
    let Some(path) = &spec.trace else {
        return Err(RunError::Workload("this workload is not a trace".into()));
    };
    let time = |field, value: Option<f64>| value.map(|s| seconds(field, s)).transpose();
    let options = ReadOptions {
        format: spec.format.clone(),
        limit: spec.limit,
        max_input_tokens: spec.max_input_tokens,
        block_tokens: spec.trace_block,
        lenient: spec.lenient,
        max_dropped: spec.max_dropped.unwrap_or(ReadOptions::default().max_dropped),
        zero_output: spec.zero_output,
        strict_order: spec.strict_order,
        window: (
            time("workload.start_s", spec.start_s)?.unwrap_or_default(),
            time("workload.duration_s", spec.duration_s)?,
        ),
        speedup: spec.speedup.map(|s| positive("workload.speedup", s)).transpose()?,
    };
    trace_file::read(path, &options)
}

fn fault(field: &'static str, detail: impl Into<String>) -> RunError {
    RunError::Field { field, detail: detail.into() }
}

fn positive(field: &'static str, value: f64) -> Result<Ratio, RunError> {
    Ratio::from_f64(value)
        .filter(|_| value > 0.0)
        .ok_or_else(|| fault(field, format!("`{value}` is not a positive number of at most 18 digits")))
}

fn seconds(field: &'static str, value: f64) -> Result<SimTime, RunError> {
    SimTime::from_secs_f64(value).ok_or_else(|| fault(field, format!("`{value}` is not a number of seconds")))
}

impl scenario::Loop {
    /// The same for the workload.
    pub fn mode(self) -> Result<source::Loop, RunError> {
        let think = |s| seconds("workload.loop.think_s", s);
        match self {
            Self::Open => Ok(source::Loop::Open),
            Self::Sessions { think_s } => Ok(source::Loop::Sessions { think: think(think_s)? }),
            Self::Users { count: 0, .. } => Err(fault("workload.loop.count", "must be at least 1")),
            Self::Users { count, think_s } => Ok(source::Loop::Users { count, think: think(think_s)? }),
        }
    }
}

/// Whether all requests are known before the first one ends.
pub(crate) fn is_open(scenario: &Scenario) -> Result<bool, RunError> {
    Ok(match generated(scenario)? {
        Some(made) => made.is_open(),
        None => matches!(scenario.workload.r#loop, scenario::Loop::Open),
    })
}

/// Checks everything about a workload but its file. With `searched`, the rate will be chosen later.
pub fn check(spec: &scenario::Workload, searched: bool) -> Result<(), RunError> {
    if spec.real.is_some() {
        return Err(fault("workload.real", "is for specs"));
    }
    match (&spec.trace, &spec.kind) {
        (None, None) => {
            return Err(RunError::Workload("no workload: a generator or a trace is needed (`kind` or `trace` of `[workload]`; `--workload` or `--trace`)".into()));
        }
        (Some(_), Some(_)) => return Err(fault("workload.kind", "a trace or a generator, not both")),
        (Some(_), None) => check_trace(spec)?,
        (None, Some(_)) => check_generator(spec)?,
    }
    for (field, value) in [("workload.rate", spec.rate), ("workload.speedup", spec.speedup)] {
        value.map(|value| positive(field, value)).transpose()?;
    }
    if spec.duration_s == Some(0.0) {
        return Err(fault("workload.duration_s", "must be more than 0"));
    }
    if spec.speedup.is_some() && (searched || spec.rate.is_some()) {
        return Err(fault("workload.speedup", "has no effect where a rate is given"));
    }
    if searched && spec.rate.is_some() {
        return Err(fault("workload.rate", "the search chooses the rate"));
    }
    if spec.limit == Some(0) {
        return Err(fault("workload.limit", "must be at least 1"));
    }
    check_users(spec, searched)
}

/// Users ask when they are ready: whatever moves arrivals would change nothing.
fn check_users(spec: &scenario::Workload, searched: bool) -> Result<(), RunError> {
    spec.r#loop.mode()?;
    if !matches!(spec.r#loop, scenario::Loop::Users { .. }) {
        return Ok(());
    }
    let of_clocks = [
        ("workload.loop", searched),
        ("workload.rate", spec.rate.is_some()),
        ("workload.speedup", spec.speedup.is_some()),
        ("workload.arrivals", spec.arrivals.is_some()),
        ("workload.jitter_s", spec.jitter_s.is_some()),
        ("workload.jitter_ticks", spec.jitter_ticks),
    ];
    match of_clocks.into_iter().find(|(_, set)| *set) {
        Some((field, _)) => {
            Err(fault(field, "a fixed number of users has no rate: each asks when the last answer is there"))
        }
        None => Ok(()),
    }
}

fn check_trace(spec: &scenario::Workload) -> Result<(), RunError> {
    if spec.tenants.is_some() {
        return Err(fault("workload.tenants", "is for generators; a trace says who sent what"));
    }
    if spec.params.as_object().is_some_and(|params| !params.is_empty()) {
        return Err(fault("workload.params", "is for generators"));
    }
    for (field, value) in
        [("workload.max_input_tokens", spec.max_input_tokens), ("workload.trace_block", spec.trace_block)]
    {
        if value == Some(0) {
            return Err(fault(field, "must be at least 1"));
        }
    }
    for (field, value) in [
        ("workload.start_s", spec.start_s),
        ("workload.duration_s", spec.duration_s),
        ("workload.jitter_s", spec.jitter_s),
    ] {
        value.map(|value| seconds(field, value)).transpose()?;
    }
    if let Some(share) = spec.keep_sessions.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
        return Err(fault("workload.keep_sessions", format!("`{share}` is not a share above 0, up to 1")));
    }
    if let Some(share) = spec.max_dropped {
        if !(0.0..=1.0).contains(&share) {
            return Err(fault("workload.max_dropped", format!("`{share}` is not a share from 0 to 1")));
        }
        if !spec.lenient {
            return Err(fault("workload.max_dropped", "needs `lenient`"));
        }
    }
    let Some(arrivals) = &spec.arrivals else { return Ok(()) };
    if spec.jitter_s.is_some() || spec.jitter_ticks {
        return Err(fault("workload.arrivals", "replaces the times that jitter would move"));
    }
    arrivals.fault().map_or(Ok(()), |rule| Err(fault("workload.arrivals", rule)))
}

fn check_generator(spec: &scenario::Workload) -> Result<(), RunError> {
    let of_traces = [
        ("workload.sha256", spec.sha256.is_some()),
        ("workload.format", spec.format.is_some()),
        ("workload.trace_block", spec.trace_block.is_some()),
        ("workload.zero_output", spec.zero_output != ZeroOutput::default()),
        ("workload.lenient", spec.lenient),
        ("workload.max_dropped", spec.max_dropped.is_some()),
        ("workload.strict_order", spec.strict_order),
        ("workload.start_s", spec.start_s.is_some()),
        ("workload.speedup", spec.speedup.is_some()),
        ("workload.arrivals", spec.arrivals.is_some()),
        ("workload.jitter_s", spec.jitter_s.is_some()),
        ("workload.jitter_ticks", spec.jitter_ticks),
        ("workload.keep_sessions", spec.keep_sessions.is_some()),
    ];
    if let Some((field, _)) = of_traces.into_iter().find(|(_, set)| *set) {
        return Err(fault(field, "is for traces; a generator has its own parameters"));
    }
    if spec.limit.is_none() && spec.duration_s.is_none() {
        return Err(fault(
            "workload.limit",
            "a generator has no end of its own: say how many requests (`limit`), or how long (`duration_s`)",
        ));
    }
    generated(&Scenario { workload: spec.clone(), ..Scenario::default() }).map(drop)
}

/// Resamples, retimes or jitters, and rescales the requests of a trace, in this order. The forest is not looked at.
pub fn arrange(trace: &mut Trace, scenario: &Scenario) -> Result<(), RunError> {
    let spec = &scenario.workload;
    let streams = RngStreams::new(scenario.seed);
    if let Some(share) = spec.keep_sessions {
        let mut rng = streams.stream("keep-sessions");
        // Session numbers of a file may be anything; a draw for each number up to the largest must stay cheap.
        if trace.sessions as usize > trace.requests.len().saturating_mul(64).max(1 << 20) {
            return Err(fault(
                "workload.keep_sessions",
                "the session numbers of this trace are too sparse to draw from",
            ));
        }
        let sessions: Vec<bool> = (0..trace.sessions).map(|_| uniform01(&mut rng) < share).collect();
        trace.requests.retain(|r| match r.session {
            Some(session) => sessions[session.index()],
            None => uniform01(&mut rng) < share,
        });
        trace.reorder();
    }
    if let Some(arrivals) = &spec.arrivals {
        return retime(trace, arrivals, scenario);
    }
    if spec.jitter_ticks {
        trace.jitter_ticks(scenario.seed);
    }
    if let Some(jitter) = spec.jitter_s {
        let mut rng = streams.stream("jitter");
        // A turn never comes before the one it continues.
        let mut latest: FxHashMap<SessionId, SimTime> = FxHashMap::default();
        for request in &mut trace.requests {
            let offset = SimTime::from_secs_f64(uniform01(&mut rng) * jitter).expect("less than a checked span");
            let moved = request.arrival.checked_add(offset).filter(|&at| at <= SimTime::LATEST_ARRIVAL);
            request.arrival = moved.ok_or(RescaleError::TooLate)?;
            if let Some(session) = request.session {
                let turn = latest.entry(session).or_default();
                request.arrival = request.arrival.max(*turn);
                *turn = request.arrival;
            }
        }
        trace.reorder();
    }
    if let Some(rate) = spec.rate {
        trace.rescale_to_rate(positive("workload.rate", rate)?)?;
    }
    Ok(())
}

/// New arrivals, at the rate of the scenario or that of the trace.
fn retime(trace: &mut Trace, arrivals: &source::ArrivalSpec, scenario: &Scenario) -> Result<(), RunError> {
    let span = trace.span().as_secs_f64();
    let own = (trace.timed && span > 0.0).then(|| trace.requests.len() as f64 / span);
    let rate =
        scenario.workload.rate.or(own).ok_or_else(|| {
            fault("workload.rate", "the trace has no rate of its own, so the arrival process needs one")
        })?;
    Ok(trace.retime(arrivals, rate, scenario.seed)?)
}
