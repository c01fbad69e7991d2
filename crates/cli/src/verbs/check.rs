//! `trimtab check`: whether a spec is right, what it would run and what that costs. Only a few requests are simulated.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use trimtab_experiment::estimate::{Estimate, estimate};
use trimtab_experiment::plan::{Group, Plan};
use trimtab_experiment::spec::Search;
use trimtab_sched::Registry;

use super::experiment::load;
use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The spec (TOML)
    spec: PathBuf,
    /// Change a value of the spec
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Every cell with its id
    #[arg(long)]
    cells: bool,
    /// The plan as JSON: everything resolved, defaults filled in
    #[arg(long)]
    print_plan: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
    /// Cells at a time, for the estimate; as many as there are processors when not given
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    name: &'a str,
    cells: usize,
    requests: u64,
    cpu_s: f64,
    wall_s: f64,
    memory_bytes: u64,
}

#[expect(clippy::disallowed_methods, reason = "an estimate of the simulator's own speed")]
pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let plan = load(&args.spec, &args.set, printer)?.plan;
    if args.print_plan {
        return printer.json(&plan);
    }
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1);
    let start = Instant::now();
    let cost = estimate(&plan, &Registry::default(), jobs, &|| start.elapsed().as_secs_f64())?;
    let wall_s = cost.cpu_s / jobs.min(cost.cells.max(1)) as f64;
    if args.json {
        let Estimate { cells, requests, cpu_s, bytes } = cost;
        let name = &plan.name;
        return printer.json(&Document { schema: 1, name, cells, requests, cpu_s, wall_s, memory_bytes: bytes });
    }
    let (cpu_s, mib) = (cost.cpu_s, cost.bytes >> 20);
    let cost_line = format!("about {wall_s:.1} s with {jobs} jobs ({cpu_s:.1} CPU s), {mib} MiB of memory\n");
    let mut text = summary(&plan, &cost) + &cost_line;
    if args.cells {
        let line = |(group, cell): (&Group, trimtab_experiment::plan::Cell)| {
            let searched = cell.scenario.workload.rate.filter(|_| group.rate_rps.is_none());
            let rate = searched.map_or(String::new(), |rate| format!("{rate} rps, "));
            format!("{}  {rate}{}, seed {}\n", cell.id, plan.name(group), cell.scenario.seed)
        };
        text += &plan.possible().map(line).collect::<String>();
    }
    printer.result(&text)
}

fn summary(plan: &Plan, cost: &Estimate) -> String {
    let (groups, seeds) = (plan.groups.len(), plan.seeds.len());
    let cells = match (&plan.search, &plan.replicate) {
        (Search::Sweep { .. }, None) => format!("{groups} groups x {seeds} seeds = {} cells", cost.cells),
        (Search::Sweep { .. }, Some(more)) => format!(
            "{groups} groups x {seeds} seeds = {} cells, then up to {} seeds until `{}` is known to {} %",
            cost.cells,
            more.max_seeds,
            more.metric,
            more.half_width * 100.0
        ),
        (Search::Capacity { rate_rps, .. }, _) => format!(
            "{groups} capacity searches from {} to {} requests/s, {seeds} seeds a rate, about {} cells",
            rate_rps.low, rate_rps.high, cost.cells
        ),
    };
    format!("{}: {cells}, {} requests\n", plan.name, cost.requests)
}
