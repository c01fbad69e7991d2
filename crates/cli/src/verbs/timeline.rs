//! `trimtab timeline`: a window of a run for Perfetto.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use trimtab_core::SimTime;
use trimtab_experiment::scenario::Scenario;
use trimtab_experiment::{simulate, timeline};
use trimtab_sched::Registry;

use super::chosen::{Chosen, watched};
use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab timeline`.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// When the window begins, in seconds of simulated time
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    from_s: f64,
    /// When it ends
    #[arg(long, value_name = "SECONDS")]
    to_s: f64,
    /// More events than this are refused: a viewer would not open them
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    max_events: usize,
    /// The file: .json or .json.gz, for ui.perfetto.dev or chrome://tracing
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

impl Args {
    fn window(&self) -> Result<(SimTime, SimTime), Failure> {
        let time = |flag: &str, seconds: f64| {
            let time = SimTime::from_secs_f64(seconds);
            time.ok_or_else(|| Failure::usage(format!("{flag} {seconds}: not a number of seconds")))
        };
        let (from, to) = (time("--from-s", self.from_s)?, time("--to-s", self.to_s)?);
        if from >= to {
            let ends = format!("--from-s {} --to-s {}", self.from_s, self.to_s);
            return Err(Failure::usage(format!("{ends}: the window ends before it begins")));
        }
        Ok((from, to))
    }
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    let window = args.window()?;
    let zipped = match args.out.to_string_lossy() {
        name if name.ends_with(".json.gz") => true,
        name if name.ends_with(".json") => false,
        name => return Err(Failure::usage(format!("--out {name}: expected a name that ends in .json or .json.gz"))),
    };
    let registry = Registry::default();
    let scenario = args.chosen.scenario(&registry, printer)?;
    // Shown to be writable before anything is simulated; what was there stays until there is something else.
    let partial = args.out.with_added_extension("partial");
    let failed = |error: io::Error| Failure::data(format!("cannot write {}: {error}", args.out.display()));
    let file = File::create(&partial).map_err(failed)?;
    let (events, text) =
        made(args, &scenario, &registry, window, printer).inspect_err(|_| drop(fs::remove_file(&partial)))?;
    write(file, text.as_bytes(), zipped).and_then(|()| fs::rename(&partial, &args.out)).map_err(failed)?;
    printer.result(&format!("{events} events in {}\n", args.out.display()))
}

/// How many events there are, and the document with them.
fn made(
    args: &Args,
    scenario: &Scenario,
    registry: &Registry,
    window: (SimTime, SimTime),
    printer: Printer,
) -> Result<(usize, String), Failure> {
    let most = args.max_events;
    let too_many = || {
        let hint = "hint: take a shorter window, or allow more with `--max-events`";
        Failure::usage(format!("more than {most} events\n{hint}"))
    };
    let mut workload = watched(scenario, printer)?;
    let timeline = simulate::timeline(scenario, registry, &mut workload, window, most)?.ok_or_else(too_many)?;
    workload.bar.finish_and_clear();
    let events = timeline::trace_events(&timeline, instances(scenario)?);
    if events.len() > most {
        return Err(too_many());
    }
    let about =
        json!({ "trimtab": env!("CARGO_PKG_VERSION"), "from_s": args.from_s, "to_s": args.to_s, "config": scenario });
    Ok((events.len(), timeline::document(&events, &about)))
}

/// All instances that ever serve.
fn instances(scenario: &Scenario) -> Result<u32, Failure> {
    let instances = scenario.cluster_config(trimtab_engine::Stepping::Every, false)?.instances.len();
    Ok(u32::try_from(instances).expect("instance ids are 32 bits"))
}

fn write(mut file: File, content: &[u8], zipped: bool) -> io::Result<()> {
    if !zipped {
        return file.write_all(content);
    }
    let mut encoder = GzEncoder::new(file, Compression::default());
    encoder.write_all(content)?;
    encoder.finish().map(drop)
}
