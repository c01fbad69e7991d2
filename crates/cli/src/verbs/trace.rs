//! `trimtab trace`: look at traces and turn them into one another.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use trimtab_workload::{GenOptions, ReadOptions, Stats, StatsOptions, Trace, generator_by_name, read_file, write_file};

use crate::exit::Failure;
use crate::printer::Printer;

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
    /// Write it in the canonical form (JSON lines; compressed when the name ends in .zst or .gz)
    Convert(ConvertArgs),
    /// Write a generated workload in the canonical form
    Generate(GenerateArgs),
}

/// Which trace, and how to read it.
#[derive(Debug, ClapArgs)]
struct Source {
    /// Trace file; compressed ones too
    file: PathBuf,
    /// Force the format (see `trimtab list formats`)
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// The first N requests
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Cut prompts to N tokens, keeping the head
    #[arg(long, value_name = "N")]
    max_input_tokens: Option<u32>,
    /// Skip and count faulty rows, up to 1 % of them
    #[arg(long)]
    lenient: bool,
    /// Refuse times that decrease
    #[arg(long)]
    strict_order: bool,
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
}

#[derive(Debug, ClapArgs)]
struct ConvertArgs {
    #[command(flatten)]
    source: Source,
    /// Where it goes
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
    /// How many requests
    #[arg(long, value_name = "N")]
    limit: u64,
    /// Requests per second, instead of the generator's own
    #[arg(long, value_name = "RPS")]
    rate: Option<f64>,
    /// Seed of every random stream
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where it goes
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

impl Source {
    fn read(&self, printer: Printer) -> Result<Trace, Failure> {
        let options = ReadOptions {
            format: self.format.clone(),
            limit: self.limit,
            max_input_tokens: self.max_input_tokens,
            lenient: self.lenient,
            strict_order: self.strict_order,
            ..ReadOptions::default()
        };
        let trace = read_file(&self.file, &options).map_err(Failure::data)?;
        for note in &trace.notes {
            printer.note(&note.to_string());
        }
        Ok(trace)
    }
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    match &args.what {
        What::Stats(args) => stats(args, printer),
        What::Convert(args) => write(&args.source.read(printer)?, &args.out, printer),
        What::Generate(args) => generate(args, printer),
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

fn stats(args: &StatsArgs, printer: Printer) -> Result<(), Failure> {
    let mut options =
        StatsOptions { block_tokens: args.block_tokens, partial_tail: args.partial_tail, ..StatsOptions::default() };
    if let Some(capacities) = &args.capacities {
        options.capacities.clone_from(capacities);
    }
    let stats = Stats::of_trace(&args.source.read(printer)?, &options);
    if args.json { printer.json(&stats) } else { printer.result(&stats.render()) }
}

/// Tokens of a block in which a generated workload's prompts are told apart in files.
const GENERATED_BLOCK: u32 = 512;

fn generate(args: &GenerateArgs, printer: Printer) -> Result<(), Failure> {
    let def = generator_by_name(&args.name).map_err(Failure::usage)?;
    let options = GenOptions { seed: args.seed, requests: Some(args.limit), rate: args.rate, ..GenOptions::default() };
    let params = super::pairs("--param", &args.param)?;
    let mut workload = def.generate(&params, &options).map_err(Failure::usage)?;
    write(&Trace::record(&mut *workload, GENERATED_BLOCK), &args.out, printer)
}

fn write(trace: &Trace, out: &Path, printer: Printer) -> Result<(), Failure> {
    write_file(trace, out).map_err(|error| Failure::data(format!("cannot write {}: {error}", out.display())))?;
    printer.note(&format!("{} requests in {}", trace.requests.len(), out.display()));
    Ok(())
}
