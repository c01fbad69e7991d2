//! `trimtab trace keys`: how long the adaptive keys of DualMap become on a workload.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use trimtab_core::PrefixId;
use trimtab_experiment::scenario::{Scenario, Workload};
use trimtab_experiment::workload;
use trimtab_report::estimate::Estimate;
use trimtab_sched::Arrival;
use trimtab_sched::parts::{HotnessTree, KeyRule};

use crate::exit::Failure;
use crate::printer::Printer;
use crate::workload_flags::{Extent, Reading};

/// Arguments of `trimtab trace keys`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Trace file; compressed ones and Parquet too
    #[arg(required_unless_present = "workload", conflicts_with = "workload")]
    file: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    extent: Extent,
    /// Generated workload instead of a trace
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// Members of the cluster: a prefix with more than 2/N of the recent requests gets longer keys
    #[arg(long, value_name = "N", default_value_t = 8)]
    instances: usize,
    /// Recent requests that shares are taken over
    #[arg(long, value_name = "N", default_value_t = 1000)]
    window: usize,
    /// Requests that are not counted
    #[arg(long, value_name = "N", default_value_t = 0)]
    warmup_requests: usize,
    /// Seeds of the generator; shares are means over them
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', default_values_t = [1])]
    seeds: Vec<u64>,
}

/// Prints CSV: the share of the requests whose keys have so many blocks.
pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let mut shares: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for (at, &seed) in args.seeds.iter().enumerate() {
        for (blocks, share) in args.shares(seed)? {
            // A length that earlier seeds did not have was as rare as 0 there.
            shares.entry(blocks).or_insert_with(|| vec![0.0; at]).push(share);
        }
        for shares in shares.values_mut() {
            shares.resize(at + 1, 0.0);
        }
    }
    let mut text = "blocks,n,mean,lo,hi\n".to_owned();
    for (blocks, shares) in shares {
        let found = Estimate::of(&shares).expect("one share for each seed");
        let (lo, hi) = found.interval.map_or_else(Default::default, |(lo, hi)| (lo.to_string(), hi.to_string()));
        writeln!(text, "{blocks},{},{},{lo},{hi}", found.n, found.mean).expect("memory");
    }
    printer.result(&text)
}

impl Args {
    fn shares(&self, seed: u64) -> Result<BTreeMap<u32, f64>, Failure> {
        let requests = Workload { trace: self.file.clone(), kind: self.workload.clone(), ..Workload::default() };
        let requests = self.reading.apply(self.extent.apply(requests));
        workload::check(&requests, false)?;
        let mut requests = workload::workload(&Scenario { seed, workload: requests, ..Scenario::default() })?;
        let rule = KeyRule { block_tokens: 512, initial_blocks: 1, adaptive: true, window: self.window };
        let mut tree = HotnessTree::new(rule);
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        let (mut index, mut path): (usize, Vec<PrefixId>) = (0, Vec::new());
        while let Some(request) = requests.next() {
            let forest = requests.forest();
            path.clear();
            forest.path(request.prompt, &mut path);
            let arrival = Arrival {
                id: request.id,
                arrival: request.arrival,
                prompt: request.prompt,
                path: &path,
                forest,
                session: request.session,
                turn: request.turn,
                tenant: request.tenant,
                model: request.model,
                priority: request.priority,
            };
            let blocks = tree.key(&arrival, self.instances).map_or(0, |key| key.blocks);
            if index >= self.warmup_requests {
                *counts.entry(blocks).or_default() += 1;
            }
            index += 1;
        }
        let all = counts.values().sum::<u64>() as f64;
        Ok(counts.into_iter().map(|(blocks, count)| (blocks, count as f64 / all)).collect())
    }
}
