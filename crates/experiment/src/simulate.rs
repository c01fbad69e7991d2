//! Running one scenario.

use std::path::PathBuf;

use trimtab_core::{ClockRanOut, FixedWorkload, RngStreams, SimTime, Workload};
use trimtab_engine::timeline::Timeline;
use trimtab_engine::{ClusterConfig, DecisionLog, RunResult, Stepping, build_context, run_timeline, try_run};
use trimtab_sched::{BuildContext, Registry, Scheduler, SchedulerDef};
use trimtab_table::TableError;
use trimtab_workload::{ReadError, RescaleError};

use crate::build::ScenarioError;
use crate::dynamics::{self, Autoscaler};
use crate::scenario::Scenario;
use crate::spec::Output;
use crate::workload::workload;

/// Why a run did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario is not right.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The trace could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A Parquet trace could not be read or written.
    #[error("`{}`: {source}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TableError,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The run lasts longer than the clock.
    #[error("{0}\nhint: look for steps that take very long (`cluster.cost`), and for load that never ends")]
    Clock(#[from] ClockRanOut),
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

/// How a run goes and what it writes down. Nothing here can change a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// How time advances.
    pub stepping: Stepping,
    /// Whether decisions are kept.
    pub decisions: DecisionLog,
    /// Whether the load of instances is kept by 10 s window.
    pub load: bool,
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
        Self { decisions, load: output.load, ..Self::default() }
    }
}

/// Runs a scenario on a workload.
pub fn simulate(
    scenario: &Scenario,
    registry: &Registry,
    workload: &mut dyn Workload,
    mode: impl Into<Mode>,
) -> Result<RunResult, RunError> {
    prepared(scenario, registry, workload, mode.into(), try_run)
}

/// Runs a scenario on a workload up to the end of a window, and returns what happened in it; nothing when that is more
/// than `most` things.
pub fn timeline(
    scenario: &Scenario,
    registry: &Registry,
    workload: &mut dyn Workload,
    window: (SimTime, SimTime),
    most: usize,
) -> Result<Option<Timeline>, RunError> {
    prepared(scenario, registry, workload, Mode::default(), |config, def, schedulers, workload| {
        run_timeline(config, def, schedulers, workload, window, most)
    })
}

/// Refuses what must know all requests in advance where each is made when the one before it has ended.
pub(crate) fn check_foresight(scenario: &Scenario, config: &ClusterConfig, open: bool) -> Result<(), RunError> {
    let evicts = config.instances.iter().map(|instance| instance.eviction.def).find(|def| def.clairvoyant);
    let scales = scenario.autoscaler.as_ref().map(Autoscaler::def).transpose()?.filter(|def| def.foresees);
    let evicts = evicts.map(|def| ("cluster.eviction", def.name));
    match evicts.or(scales.map(|def| ("autoscaler.kind", def.name))).filter(|_| !open) {
        None => Ok(()),
        Some((field, name)) => {
            let detail = format!(
                "`{name}` must know all requests in advance, and this workload makes each when the one before it has ended"
            );
            Err(RunError::Field { field, detail })
        }
    }
}

/// Builds everything that a run needs, and runs it.
fn prepared<R>(
    scenario: &Scenario,
    registry: &Registry,
    workload: &mut dyn Workload,
    Mode { stepping, decisions, load }: Mode,
    run: impl FnOnce(&ClusterConfig, &SchedulerDef, Vec<Box<dyn Scheduler>>, &mut dyn Workload) -> Result<R, ClockRanOut>,
) -> Result<R, RunError> {
    let def = scenario.scheduler_def(registry)?;
    let mut config = ClusterConfig { decisions, ..scenario.cluster_config(stepping, load)? };
    check_foresight(scenario, &config, workload.is_open())?;
    let mut foreseen = None;
    if let Some(scaler) = &scenario.autoscaler
        && scaler.def()?.foresees
    {
        let all = foreseen.insert(FixedWorkload::foreseen(workload));
        let arrivals = all.requests.iter().map(|request| (request.arrival, request.prompt.tokens)).collect();
        config.dynamics.scaling = dynamics::scaling(scenario, &config.instances[0], arrivals)?;
    }
    let context = build_context(&config);
    let schedulers = (0..config.router.replicas).map(|number| {
        // The first one draws as if it were alone.
        let own =
            |streams: RngStreams| if number == 0 { streams } else { streams.within(&format!("replica-{number}")) };
        let context = BuildContext { streams: own(context.streams), ..context.clone() };
        (def.build)(&scenario.scheduler.params, &context)
            .map_err(|error| ScenarioError::Params { name: def.name.into(), detail: error.to_string() })
    });
    let schedulers = schedulers.collect::<Result<Vec<_>, _>>()?;
    let workload = foreseen.as_mut().map_or(workload, |all| all);
    Ok(run(&config, &def, schedulers, workload)?)
}

/// Reads the workload of a scenario and runs it.
pub fn run(scenario: &Scenario, registry: &Registry, stepping: Stepping) -> Result<RunResult, RunError> {
    // Everything is checked before anything is read.
    scenario.scheduler_def(registry)?;
    scenario.cluster_config(stepping, false)?;
    simulate(scenario, registry, &mut *workload(scenario)?, stepping)
}
