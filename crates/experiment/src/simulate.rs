//! Running one scenario.

use trimtab_core::{FixedWorkload, Workload};
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
    /// The workload is not said, or said twice.
    #[error("{0}")]
    Workload(String),
}

/// Reads or generates the requests of a scenario.
pub fn load(spec: &scenario::Workload) -> Result<Trace, RunError> {
    let Some(path) = &spec.trace else {
        return Err(RunError::Workload("no workload: give `--trace FILE` or `--workload NAME`".into()));
    };
    let positive = |name: &str, value: f64| {
        Ratio::from_f64(value)
            .filter(|_| value > 0.0)
            .ok_or_else(|| RunError::Workload(format!("workload.{name}: `{value}` is not a positive number")))
    };
    let options = ReadOptions {
        format: spec.format.clone(),
        limit: spec.limit,
        max_input_tokens: spec.max_input_tokens,
        speedup: spec.speedup.map(|s| positive("speedup", s)).transpose()?,
        ..ReadOptions::default()
    };
    let mut trace = trimtab_workload::read_file(path, &options)?;
    if let Some(rate) = spec.rate {
        trace.rescale_to_rate(positive("rate", rate)?)?;
    }
    Ok(trace)
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
    let mut workload: FixedWorkload = load(&scenario.workload)?.into_workload();
    simulate(scenario, registry, &mut workload, stepping)
}
