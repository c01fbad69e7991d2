//! Running one scenario.

use trimtab_core::{RequestId, RngStreams, SimTime, Workload, uniform01};
use trimtab_engine::{ClusterConfig, DecisionLog, RunResult, Stepping, build_context};
use trimtab_sched::Registry;
use trimtab_workload::{GenOptions, ParamError, Ratio, ReadError, ReadOptions, RescaleError, Trace, generator_by_name};

use crate::build::ScenarioError;
use crate::scenario::{self, Scenario};
use crate::spec::Output;

/// Why a run did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario is not right.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The trace could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The arrivals could not be rescaled.
    #[error(transparent)]
    Rescale(#[from] RescaleError),
    /// A value of the workload that cannot be.
    #[error("{field}: {detail}")]
    Field {
        /// Its dotted path.
        field: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// The workload is not said, or said twice.
    #[error("{0}")]
    Workload(String),
}

/// Reads the trace of a scenario, arrivals as the seed and the rate place them.
pub fn load(scenario: &Scenario) -> Result<Trace, RunError> {
    let mut trace = read(&scenario.workload)?;
    arrange(&mut trace, scenario)?;
    Ok(trace)
}

/// The requests of a scenario: a trace, or what a generator makes.
pub fn workload(scenario: &Scenario) -> Result<Box<dyn Workload + Send>, RunError> {
    match generated(scenario)? {
        Some(workload) => Ok(workload),
        None => Ok(Box::new(load(scenario)?.into_workload())),
    }
}

/// What the generator of a scenario makes, if it names one.
pub fn generated(scenario: &Scenario) -> Result<Option<Box<dyn Workload + Send>>, RunError> {
    let spec = &scenario.workload;
    let Some(kind) = &spec.kind else { return Ok(None) };
    let field = |field| move |error: ParamError| RunError::Field { field, detail: error.to_string() };
    let def = generator_by_name(kind).map_err(field("workload.kind"))?;
    let options = GenOptions { seed: scenario.seed, requests: spec.limit, rate: spec.rate, ..GenOptions::default() };
    def.generate(&spec.params, &options).map(Some).map_err(field("workload.params"))
}

/// Reads a trace; what depends on rate and seed is left to [`arrange`].
pub fn read(spec: &scenario::Workload) -> Result<Trace, RunError> {
    check_workload(spec, false)?;
    let Some(path) = &spec.trace else {
        return Err(RunError::Workload("this workload is not a trace".into()));
    };
    let options = ReadOptions {
        format: spec.format.clone(),
        limit: spec.limit,
        max_input_tokens: spec.max_input_tokens,
        speedup: spec.speedup.map(|s| positive("workload.speedup", s)).transpose()?,
        ..ReadOptions::default()
    };
    Ok(trimtab_workload::read_file(path, &options)?)
}

fn positive(field: &'static str, value: f64) -> Result<Ratio, RunError> {
    Ratio::from_f64(value).filter(|_| value > 0.0).ok_or_else(|| RunError::Field {
        field,
        detail: format!("`{value}` is not a positive number of at most 18 digits"),
    })
}

/// Checks everything about a workload but its file. With `searched`, the rate will be chosen later.
pub fn check_workload(spec: &scenario::Workload, searched: bool) -> Result<(), RunError> {
    let fail = |field, detail: String| Err(RunError::Field { field, detail });
    match (&spec.trace, &spec.kind) {
        (None, None) => {
            return Err(RunError::Workload("no workload: give `--trace FILE` or `--workload NAME`".into()));
        }
        (Some(_), Some(_)) => return fail("workload.kind", "a trace or a generator, not both".into()),
        (Some(_), None) => {}
        (None, Some(_)) => check_generator(spec)?,
    }
    if spec.max_input_tokens == Some(0) {
        return fail("workload.max_input_tokens", "must be at least 1".into());
    }
    for (field, value) in [("workload.rate", spec.rate), ("workload.speedup", spec.speedup)] {
        value.map(|value| positive(field, value)).transpose()?;
    }
    if searched && spec.rate.is_some() {
        return fail("workload.rate", "the search chooses the rate".into());
    }
    if let Some(share) = spec.keep_sessions.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
        return fail("workload.keep_sessions", format!("`{share}` is not a share above 0, up to 1"));
    }
    if let Some(jitter) = spec.jitter_s.filter(|s| SimTime::from_secs_f64(*s).is_none()) {
        return fail("workload.jitter_s", format!("`{jitter}` is not a number of seconds"));
    }
    Ok(())
}

fn check_generator(spec: &scenario::Workload) -> Result<(), RunError> {
    let of_traces = [
        ("workload.sha256", spec.sha256.is_some()),
        ("workload.format", spec.format.is_some()),
        ("workload.max_input_tokens", spec.max_input_tokens.is_some()),
        ("workload.speedup", spec.speedup.is_some()),
        ("workload.jitter_s", spec.jitter_s.is_some()),
        ("workload.keep_sessions", spec.keep_sessions.is_some()),
    ];
    if let Some((field, _)) = of_traces.into_iter().find(|(_, set)| *set) {
        return Err(RunError::Field { field, detail: "is for traces; a generator has its own parameters".into() });
    }
    if spec.limit.is_none_or(|limit| limit == 0) {
        let detail = "a generator has no end of its own: say how many requests".into();
        return Err(RunError::Field { field: "workload.limit", detail });
    }
    generated(&Scenario { workload: spec.clone(), ..Scenario::default() }).map(drop)
}

/// Resamples, jitters and rescales the requests of a trace, in this order. The forest is not looked at.
pub fn arrange(trace: &mut Trace, scenario: &Scenario) -> Result<(), RunError> {
    let spec = &scenario.workload;
    let streams = RngStreams::new(scenario.seed);
    if spec.keep_sessions.is_some() || spec.jitter_s.is_some() {
        // They go by the place of a request in the file.
        trace.delays.clear();
    }
    if let Some(share) = spec.keep_sessions {
        let mut rng = streams.stream("keep-sessions");
        let sessions: Vec<bool> = (0..trace.sessions).map(|_| uniform01(&mut rng) < share).collect();
        trace.requests.retain(|r| match r.session {
            Some(session) => sessions[session.index()],
            None => uniform01(&mut rng) < share,
        });
    }
    if let Some(jitter) = spec.jitter_s {
        let mut rng = streams.stream("jitter");
        // A turn never comes before the one it continues.
        let mut latest = vec![SimTime::ZERO; trace.sessions as usize];
        for request in &mut trace.requests {
            let offset = SimTime::from_secs_f64(uniform01(&mut rng) * jitter).expect("less than a checked span");
            request.arrival += offset;
            if let Some(session) = request.session {
                let turn = &mut latest[session.index()];
                request.arrival = request.arrival.max(*turn);
                *turn = request.arrival;
            }
        }
        trace.requests.sort_by_key(|r| r.arrival);
    }
    for (id, request) in (0..).zip(&mut trace.requests) {
        request.id = RequestId(id);
    }
    if let Some(rate) = spec.rate {
        trace.rescale_to_rate(positive("workload.rate", rate)?)?;
    }
    Ok(())
}

/// How a run goes and what it writes down. Nothing here can change a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// How time advances.
    pub stepping: Stepping,
    /// Whether decisions are kept.
    pub decisions: DecisionLog,
}

impl From<Stepping> for Mode {
    fn from(stepping: Stepping) -> Self {
        Self { stepping, ..Self::default() }
    }
}

impl From<Output> for Mode {
    fn from(output: Output) -> Self {
        let decisions = match (output.decisions, output.regret) {
            (false, _) => DecisionLog::Off,
            (true, false) => DecisionLog::On,
            (true, true) => DecisionLog::Regret,
        };
        Self { decisions, ..Self::default() }
    }
}

/// Runs a scenario on a workload.
pub fn simulate(
    scenario: &Scenario,
    registry: &Registry,
    workload: &mut dyn Workload,
    mode: impl Into<Mode>,
) -> Result<RunResult, RunError> {
    let Mode { stepping, decisions } = mode.into();
    let def = scenario.scheduler_def(registry)?;
    let config = ClusterConfig { decisions, ..scenario.cluster_config(stepping, false)? };
    if let Some(instance) =
        config.instances.iter().find(|it| it.eviction.def.clairvoyant).filter(|_| !workload.is_open())
    {
        let detail = format!(
            "`{}` must know all requests in advance, and this workload makes each when the one before it has ended",
            instance.eviction.def.name
        );
        return Err(RunError::Field { field: "cluster.eviction", detail });
    }
    let scheduler = (def.build)(&scenario.scheduler.params, &build_context(&config))
        .map_err(|error| ScenarioError::Params { name: def.name.into(), detail: error.to_string() })?;
    Ok(trimtab_engine::run(&config, &def, scheduler, workload))
}

/// Reads the workload of a scenario and runs it.
pub fn run(scenario: &Scenario, registry: &Registry, stepping: Stepping) -> Result<RunResult, RunError> {
    // Everything is checked before anything is read.
    scenario.scheduler_def(registry)?;
    scenario.cluster_config(stepping, false)?;
    simulate(scenario, registry, &mut *workload(scenario)?, stepping)
}
