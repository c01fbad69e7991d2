//! Running one scenario.

use trimtab_core::{FixedWorkload, RequestId, RngStreams, SimTime, Workload, uniform01};
use trimtab_engine::{RunResult, Stepping, build_context};
use trimtab_sched::Registry;
use trimtab_workload::{Ratio, ReadError, ReadOptions, RescaleError, Trace};

use crate::build::ScenarioError;
use crate::scenario::{self, Scenario};

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

/// Reads the requests of a scenario, arrivals as the seed and the rate place them.
pub fn load(scenario: &Scenario) -> Result<Trace, RunError> {
    let mut trace = read(&scenario.workload)?;
    arrange(&mut trace, scenario)?;
    Ok(trace)
}

/// Reads a trace; what depends on rate and seed is left to [`arrange`].
pub fn read(spec: &scenario::Workload) -> Result<Trace, RunError> {
    check_workload(spec, false)?;
    let path = spec.trace.as_ref().expect("a checked workload has a trace");
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
    if spec.trace.is_none() {
        return Err(RunError::Workload("no workload: give `--trace FILE` or `--workload NAME`".into()));
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

/// Runs a scenario on a workload.
pub fn simulate(
    scenario: &Scenario,
    registry: &Registry,
    workload: &mut dyn Workload,
    stepping: Stepping,
) -> Result<RunResult, RunError> {
    let def = scenario.scheduler_def(registry)?;
    let config = scenario.cluster_config(stepping, false)?;
    let scheduler = (def.build)(&scenario.scheduler.params, &build_context(&config))
        .map_err(|error| ScenarioError::Params { name: def.name.into(), detail: error.to_string() })?;
    Ok(trimtab_engine::run(&config, &def, scheduler, workload))
}

/// Reads the workload of a scenario and runs it.
pub fn run(scenario: &Scenario, registry: &Registry, stepping: Stepping) -> Result<RunResult, RunError> {
    // Everything is checked before anything is read.
    scenario.scheduler_def(registry)?;
    scenario.cluster_config(stepping, false)?;
    let mut workload: FixedWorkload = load(scenario)?.into_workload();
    simulate(scenario, registry, &mut workload, stepping)
}
