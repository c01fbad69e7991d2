//! `trimtab cache`: replays only the caches.

use std::fmt::Write as _;
use std::path::PathBuf;

use trimtab_core::{FixedWorkload, nearest_name};
use trimtab_engine::{EvictionConfig, evictions};
use trimtab_experiment::caches::{CachePoint, CacheStudy, StaticRouter, study};
use trimtab_experiment::scenario::{Scenario, Workload as Requests};
use trimtab_experiment::workload;
use trimtab_report::{Theme, miss_ratio, picture};

use crate::exit::Failure;
use crate::printer::Printer;
use crate::workload_flags::{Extent, Reading};

/// Arguments of `trimtab cache`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Trace file; compressed ones too
    #[arg(required_unless_present = "workload", conflicts_with = "workload")]
    file: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    extent: Extent,
    /// Generated workload instead of a trace
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// Parameter of the generated workload
    #[arg(long, value_name = "KEY=VALUE")]
    workload_param: Vec<String>,
    /// Eviction policies (see `trimtab list evictions`), or `all`
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_value = "lru")]
    policy: Vec<String>,
    /// Parameter of a policy
    #[arg(long, value_name = "POLICY.KEY=VALUE")]
    policy_param: Vec<String>,
    /// Blocks of each cache
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', default_values_t = [1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000])]
    capacities: Vec<u64>,
    /// Tokens of a block; the trace's own when not given, 16 for generated workloads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    block_tokens: Option<u32>,
    /// Cache and match the final partial block of a prompt too
    #[arg(long)]
    partial_tail: bool,
    /// How many caches
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    instances: u32,
    /// Which cache a request goes to: round-robin, session or prefix
    #[arg(long, default_value = "round-robin", value_parser = router)]
    router: StaticRouter,
    /// Seed of every random stream
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON array
    #[arg(long)]
    json: bool,
    /// Draw the miss ratios (.svg, .pdf or .png), the points drawn as CSV beside it
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

fn router(text: &str) -> Result<StaticRouter, String> {
    serde_json::from_value(text.into()).map_err(|_| "expected `round-robin`, `session` or `prefix`".into())
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let policies = args.policies()?;
    let (workload, block) = args.read(printer)?;
    let options = CacheStudy {
        policies,
        capacities: args.capacities.clone(),
        block_tokens: block,
        partial_tail: args.partial_tail,
        instances: args.instances as usize,
        router: args.router,
        seed: args.seed,
    };
    let points = study(&workload.forest, &workload.requests, &options).map_err(Failure::usage)?;
    if let Some(path) = &args.plot {
        let curves: Vec<(String, Vec<(u64, f64)>)> = options
            .policies
            .iter()
            .map(|(name, _)| {
                let of = points.iter().filter(|point| point.policy == *name);
                (name.clone(), of.map(|point| (point.capacity_blocks, 1.0 - point.hit_tokens)).collect())
            })
            .collect();
        for file in picture(&miss_ratio::figure(&curves), &Theme::default(), path)? {
            printer.note(&format!("figure: {}", file.display()));
        }
    }
    if args.json { printer.json(&points) } else { printer.result(&table(&options, &points)) }
}

impl Args {
    fn policies(&self) -> Result<Vec<(String, EvictionConfig)>, Failure> {
        let names: Vec<&str> = match self.policy.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["all"] => evictions().iter().map(|def| def.name).collect(),
            ref names => names.to_vec(),
        };
        let mut policies = Vec::new();
        for name in names {
            let Some(&def) = evictions().iter().find(|def| def.name == name) else {
                let nearest = nearest_name(name, evictions().iter().map(|def| def.name));
                let hint = nearest.map_or(String::new(), |near| format!(", did you mean `{near}`?"));
                return Err(Failure::usage(format!(
                    "unknown eviction policy `{name}`{hint}\nhint: `trimtab list evictions` shows all"
                )));
            };
            let own = self.policy_param.iter().filter_map(|param| param.strip_prefix(name)?.strip_prefix('.'));
            let params = super::pairs("--policy-param", &own.map(str::to_owned).collect::<Vec<_>>())?;
            let policy = EvictionConfig { def, params };
            policy.check().map_err(|error| Failure::usage(format!("eviction policy `{name}`: {error}")))?;
            policies.push((name.to_owned(), policy));
        }
        let known = |param: &String| policies.iter().any(|(name, _)| param.starts_with(&format!("{name}.")));
        match self.policy_param.iter().find(|param| !known(param)) {
            Some(param) => Err(Failure::usage(format!("--policy-param `{param}`: expected POLICY.KEY=VALUE"))),
            None => Ok(policies),
        }
    }

    /// The requests, and the tokens of a block.
    fn read(&self, printer: Printer) -> Result<(FixedWorkload, u32), Failure> {
        let params = super::pairs("--workload-param", &self.workload_param)?;
        let requests =
            Requests { trace: self.file.clone(), kind: self.workload.clone(), params, ..Requests::default() };
        let requests = self.reading.apply(self.extent.apply(requests));
        workload::check(&requests, false)?;
        let scenario = Scenario { seed: self.seed, workload: requests, ..Scenario::default() };
        if let Some(mut generated) = workload::generated(&scenario)? {
            if !generated.is_open() {
                return Err(Failure::usage(
                    "a closed loop has no order without timing\nhint: choose the generator's open loop",
                ));
            }
            return Ok((FixedWorkload::foreseen(&mut *generated), self.block_tokens.unwrap_or(16)));
        }
        let trace = workload::read(&scenario.workload)?;
        for note in &trace.notes {
            printer.note(&note.to_string());
        }
        let own = if trace.block_tokens > 1 { trace.block_tokens } else { 16 };
        Ok((trace.into_workload(), self.block_tokens.unwrap_or(own)))
    }
}

/// The share of prompt tokens hit, a line for each policy.
fn table(options: &CacheStudy, points: &[CachePoint]) -> String {
    let caches =
        if options.instances == 1 { "one cache".into() } else { format!("each of {} caches", options.instances) };
    let mut out =
        format!("prompt tokens hit (%), by blocks of {} tokens of {caches}\n\n{:14}", options.block_tokens, "");
    out.extend(options.capacities.iter().map(|capacity| format!("{capacity:>10}")));
    out.push('\n');
    for (name, _) in &options.policies {
        let _ = write!(out, "{name:14}");
        let own = points.iter().filter(|point| point.policy == *name);
        out.extend(own.map(|point| format!("{:>10.2}", point.hit_tokens * 100.0)));
        out.push('\n');
    }
    out
}
