//! `trimtab trace`: look at traces and turn them into one another.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use trimtab_experiment::scenario::{Scenario, Workload};
use trimtab_experiment::{trace_file, workload};
use trimtab_report::picture;
use trimtab_report::prefixes::{self, Prefixes};
use trimtab_workload::{CanonicalWriter, Stats, StatsOptions, Trace, TraceFile};

use crate::exit::Failure;
use crate::printer::Printer;
use crate::workload_flags::{Extent, Generating, Reading, Timing};

/// Arguments of `trimtab trace`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Rows, lengths, burstiness, sharing, hit ratios of every cache size
    Stats(StatsArgs),
    /// Read it all and say what is wrong with it
    Validate(Source),
    /// Write it in the canonical form: JSON lines, compressed if the name ends in .zst or .gz; Parquet for .parquet
    Convert(ConvertArgs),
    /// Write a generated workload in the same form
    Generate(GenerateArgs),
    /// How long the adaptive keys of DualMap become: shares of requests by blocks of their key, as CSV
    Keys(super::keys::Args),
}

/// Which trace, and how to read it.
#[derive(Debug, ClapArgs)]
struct Source {
    /// Trace file; compressed ones and Parquet too
    file: PathBuf,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    extent: Extent,
}

#[derive(Debug, ClapArgs)]
struct StatsArgs {
    #[command(flatten)]
    source: Source,
    /// Cache sizes, in blocks, at which the LRU hit ratio is told
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    capacities: Option<Vec<u64>>,
    /// Tokens of a block, instead of the trace's own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    block_tokens: Option<u32>,
    /// Count the final partial block of a prompt too
    #[arg(long)]
    partial_tail: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
    /// Draw LRU hit ratios, popularity and reuse into this file (.svg, .pdf or .png), the points beside it as CSV
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Theme of the figure: paper, paper-wide, slide, or a TOML file
    #[arg(long, default_value = "paper-wide", requires = "plot")]
    theme: String,
}

#[derive(Debug, ClapArgs)]
struct ConvertArgs {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    timing: Timing,
    /// Seed of every random stream
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where it goes; what it becomes is told from the end of the name
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, ClapArgs)]
struct GenerateArgs {
    /// Generator (see `trimtab list workloads`)
    name: String,
    /// Parameter of the generator (see `trimtab explain`)
    #[arg(long, value_name = "KEY=VALUE")]
    param: Vec<String>,
    #[command(flatten)]
    generating: Generating,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    timing: Timing,
    /// Seed of every random stream
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where it goes; what it becomes is told from the end of the name
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

impl Source {
    fn workload(&self) -> Workload {
        self.reading.apply(self.extent.apply(Workload { trace: Some(self.file.clone()), ..Workload::default() }))
    }

    fn read(&self, printer: Printer) -> Result<Trace, Failure> {
        Ok(noted(workload::read(&self.workload())?, printer))
    }
}

/// Says what was noticed.
fn noted(trace: Trace, printer: Printer) -> Trace {
    for note in &trace.notes {
        printer.note(&note.to_string());
    }
    trace
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    match &args.what {
        What::Stats(args) => stats(args, printer),
        What::Convert(args) => convert(args, printer),
        What::Generate(args) => generate(args, printer),
        What::Keys(args) => super::keys::run(args, printer),
        What::Validate(source) => {
            let trace = source.read(printer)?;
            let Trace { format, rows, requests, sessions, .. } = &trace;
            let sessions = if *sessions > 0 { format!(", {sessions} sessions") } else { String::new() };
            printer.result(&format!(
                "valid {format} trace: {rows} rows read, {} requests used{sessions}, {:.3} s from first to last\n",
                requests.len(),
                trace.span().as_secs_f64()
            ))
        }
    }
}

/// More different blocks than this are not counted: they take some bytes each.
const MOST_BLOCKS: u64 = 1 << 29;

fn stats(args: &StatsArgs, printer: Printer) -> Result<(), Failure> {
    let mut options =
        StatsOptions { block_tokens: args.block_tokens, partial_tail: args.partial_tail, ..StatsOptions::default() };
    if let Some(capacities) = &args.capacities {
        options.capacities.clone_from(capacities);
    }
    let theme = super::plot::theme(&args.theme)?;
    let trace = args.source.read(printer)?;
    let blocks = Stats::blocks_of(&trace, &options);
    if blocks > MOST_BLOCKS {
        return Err(Failure::data(format!(
            "{blocks} different blocks are too many to count (the most is {MOST_BLOCKS})\n\
             hint: count larger ones with `--block-tokens`, or read less with `--limit`"
        )));
    }
    let stats = Stats::of_trace(&trace, &options);
    if let Some(path) = &args.plot {
        let name = args.source.file.file_stem().unwrap_or_default().to_string_lossy();
        if stats.hit_ratio.blocks <= 0.0 {
            return Err(Failure::data("nothing to draw: no prefix of this trace ever comes back"));
        }
        for file in picture(&prefixes::figure(&drawable(&stats, &name)), &theme, path)? {
            printer.note(&format!("figure: {}", file.display()));
        }
    }
    if args.json { printer.json(&stats) } else { printer.result(&stats.render()) }
}

/// What a figure shows of them.
fn drawable(stats: &Stats, name: &str) -> Prefixes {
    let tokens = |blocks: u64| blocks as f64 * f64::from(stats.block_tokens);
    let curves = &stats.curves;
    let fit = stats.popularity.all_blocks.as_ref();
    Prefixes {
        name: name.to_owned(),
        lru: curves.lru.iter().map(|at| (tokens(at.capacity_blocks), at.hit_tokens)).collect(),
        infinite: stats.hit_ratio.tokens,
        popularity: curves.popularity.clone(),
        zipf: fit.map(|fit| (fit.s, [1.0, fit.ranks as f64].map(|rank| (rank, fit.at(rank))))),
        reuse: curves.reuse_ms.iter().map(|&(ms, share)| (ms as f64 / 1e3, share)).collect(),
    }
}

fn convert(args: &ConvertArgs, printer: Printer) -> Result<(), Failure> {
    let workload = args.timing.apply(args.source.workload())?;
    let trace = noted(workload::load(&Scenario { workload, seed: args.seed, ..Scenario::default() })?, printer);
    trace_file::write(&trace, &args.out)?;
    printer.note(&format!("{} requests in {}", trace.requests.len(), args.out.display()));
    Ok(())
}

/// Tokens of a block in which a generated workload's prompts are told apart in files.
const GENERATED_BLOCK: u32 = 512;

fn generate(args: &GenerateArgs, printer: Printer) -> Result<(), Failure> {
    let workload = args.extent.apply(Workload::default());
    let workload = args.generating.apply(Some(args.name.clone()), "--param", &args.param, workload)?;
    let scenario = Scenario { workload: args.timing.apply(workload)?, seed: args.seed, ..Scenario::default() };
    workload::check(&scenario.workload, false)?;
    let mut requests = workload::workload(&scenario)?;
    let count = if trace_file::is_parquet(&args.out) {
        let trace = Trace::record(&mut *requests, GENERATED_BLOCK);
        trace_file::write(&trace, &args.out)?;
        trace.requests.len()
    } else {
        stream(&mut *requests, &args.out).map_err(|error| Failure::writing(&args.out, &error))?
    };
    printer.note(&format!("{count} requests in {}", args.out.display()));
    Ok(())
}

/// Writes requests as they come; how many.
fn stream(requests: &mut dyn trimtab_core::Workload, out: &Path) -> std::io::Result<usize> {
    let mut writer = CanonicalWriter::new(TraceFile::create(out)?, GENERATED_BLOCK, true, &[], &[])?;
    let mut count = 0;
    while let Some(request) = requests.next() {
        writer.push(requests.forest(), &request, None)?;
        count += 1;
    }
    writer.finish()?.finish()?;
    Ok(count)
}
