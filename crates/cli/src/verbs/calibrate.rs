//! `trimtab calibrate`: fit the step cost to measured steps, or hold it against a measured server.

use std::path::{Path, PathBuf};

use trimtab_experiment::calibrate::{
    self, CalibrateError, Calibration, Measured, ProfileFile, RequestsError, Selection, Server, Simulated, Validation,
    fit_host, read_requests, read_rows, validate,
};
use trimtab_experiment::catalog::{self, Overrides};
use trimtab_report::calibration::{Compared, StepError, residuals};
use trimtab_report::figure::Figure;
use trimtab_report::{PictureFormat, Theme, save};
use trimtab_table::write_whole;

use crate::exit::Failure;
use crate::printer::Printer;

/// Arguments of `trimtab calibrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measured steps (CSV)
    #[arg(value_name = "STEPS", required_unless_present = "requests", conflicts_with = "requests")]
    steps: Option<PathBuf>,
    /// Keep the rows of this hardware, or say what it is
    #[arg(long, value_name = "H")]
    hardware: Option<String>,
    /// Keep the rows of this engine, or say what it is
    #[arg(long, value_name = "E")]
    engine: Option<String>,
    /// Keep the rows of this model, or say what it is
    #[arg(long, value_name = "M")]
    model: Option<String>,
    /// Tensor-parallel degree, when the rows do not say it
    #[arg(long, value_name = "N")]
    tp: Option<u32>,
    /// Where the fitted profile goes (TOML)
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Measured steps that the fit must not see (CSV)
    #[arg(long, value_name = "FILE")]
    holdout: Option<PathBuf>,
    /// Where measured, predicted and relative error of every row go (CSV)
    #[arg(long, value_name = "FILE")]
    residuals_out: Option<PathBuf>,
    /// Where a figure goes (.svg, .pdf or .png): the error of every step, or the measured server beside its simulation
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Measured requests of a real server (CSV), replayed and compared
    #[arg(long, value_name = "FILE")]
    requests: Option<PathBuf>,
    /// Fitted profile to replay with; the defaults otherwise
    #[arg(long, value_name = "FILE", requires = "requests")]
    profile: Option<PathBuf>,
    /// Fit the host overhead of a step on this very run
    #[arg(long, requires = "requests")]
    fit_host: bool,
    /// KV blocks of the measured server
    #[arg(long, value_name = "N", requires = "requests")]
    kv_blocks: Option<u64>,
    /// Tokens of a KV block of the measured server
    #[arg(long, value_name = "N", default_value_t = Server::default().block_tokens)]
    block_tokens: u32,
    /// Token budget of a step of the measured server
    #[arg(long, value_name = "N", default_value_t = Server::default().max_batched_tokens)]
    max_batched_tokens: u32,
    /// Sequence limit of the measured server
    #[arg(long, value_name = "N", default_value_t = Server::default().max_seqs)]
    max_seqs: u32,
    /// Milliseconds that a request spends outside the engine before its first token
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    api_ms: f64,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, printer: Printer) -> Result<(), Failure> {
    if let Some(path) = &args.plot {
        PictureFormat::of(path).map_err(|error| Failure::usage(format!("--plot {}: {error}", path.display())))?;
    }
    match (&args.requests, &args.steps) {
        (Some(requests), _) => replay(args, requests, printer),
        (None, Some(steps)) => fit(args, steps, printer),
        (None, None) => Err(Failure::usage("give measured steps, or `--requests FILE`")),
    }
}

fn fit(args: &Args, steps: &Path, printer: Printer) -> Result<(), Failure> {
    let selection = Selection {
        hardware: args.hardware.clone(),
        model: args.model.clone(),
        tp: args.tp,
        engine: args.engine.clone(),
    };
    let read = |path: &Path| read_rows(path, &selection).map_err(Failure::data);
    let rows = read(steps)?;
    let holdout = args.holdout.as_deref().map(read).transpose()?;
    let calibration = calibrate::calibrate(rows, holdout).map_err(|error| match error {
        CalibrateError::Deployment { .. } => Failure::usage(error),
        CalibrateError::TooFew(_) => Failure::data(error),
    })?;
    if let Some(path) = &args.out {
        write(path, &calibration.profiles().to_toml())?;
    }
    if let Some(path) = &args.residuals_out {
        write(path, &calibrate::residuals_csv(&calibration))?;
    }
    if let Some(path) = &args.plot {
        draw(&residuals(&step_errors(&calibration)), path)?;
    }
    if args.json { printer.json(&calibration) } else { printer.result(&calibrate::text(&calibration)) }
}

fn replay(args: &Args, path: &Path, printer: Printer) -> Result<(), Failure> {
    let (run, requests) = read_requests(path).map_err(Failure::data)?;
    let missing = |what: &str| Failure::usage(format!("{}: no `{what}` column; give `--{what}`", path.display()));
    let pick = |given: &Option<String>, known: Option<&String>| given.clone().or_else(|| known.cloned());
    let hardware = pick(&args.hardware, run.as_ref().map(|r| &r.hardware)).ok_or_else(|| missing("hardware"))?;
    let model = pick(&args.model, run.as_ref().map(|r| &r.model)).ok_or_else(|| missing("model"))?;
    let tp = args.tp.or(run.map(|r| r.tp)).unwrap_or(1);
    let card = catalog::hardware(&hardware).map_err(Failure::usage)?;
    let tuning = args
        .profile
        .as_deref()
        .map(|file| {
            let profiles = ProfileFile::load(file)?;
            Ok(profiles.pick(file, &card.name, args.engine.as_deref())?.tuning)
        })
        .transpose()
        .map_err(|error: calibrate::ProfileError| Failure::data(error))?;
    let overrides = Overrides { tuning, ..Overrides::default() };
    let deployment = catalog::resolve(&model, &hardware, tp, overrides).map_err(Failure::usage)?;
    let server = Server {
        kv_blocks: args.kv_blocks,
        block_tokens: args.block_tokens,
        max_batched_tokens: args.max_batched_tokens,
        max_seqs: args.max_seqs,
        api_ms: args.api_ms,
        ..Server::default()
    };
    let compare = if args.fit_host { fit_host } else { validate };
    let validation = compare(&requests, &deployment, &server).map_err(|error| match error {
        RequestsError::Server(_) => Failure::usage(error),
        _ => Failure::data(error),
    })?;
    if let Some(path) = &args.residuals_out {
        write(path, &calibrate::validation_csv(&validation))?;
    }
    if let Some(path) = &args.plot {
        draw(&trimtab_report::calibration::replay(&compared(&validation)), path)?;
    }
    if args.json { printer.json(&validation) } else { printer.result(&calibrate::validation_text(&validation)) }
}

/// Every fitted step with the prediction of a fit that had not seen its group, else its fold.
fn step_errors(calibration: &Calibration) -> Vec<StepError> {
    let pairs = calibration.pairs.iter();
    let rows = pairs.flat_map(|pair| {
        let name = format!("{} {}", pair.hardware, pair.engine);
        pair.residuals.iter().map(move |residual| (name.clone(), residual))
    });
    rows.map(|(pair, residual)| StepError {
        pair,
        kind: residual.row.kind.name().to_owned(),
        measured: residual.row.seconds,
        predicted: residual.without_group.or(residual.without_row).unwrap_or(residual.fitted),
    })
    .collect()
}

fn compared(validation: &Validation) -> Vec<Compared> {
    let quantity = |name: &str, of: fn(&Measured, &Simulated) -> Option<(f64, f64)>| Compared {
        quantity: name.to_owned(),
        pairs: validation.pairs.iter().filter_map(|(measured, simulated)| of(measured, simulated)).collect(),
    };
    vec![
        quantity("TTFT", |m, s| Some((m.ttft, s.ttft))),
        quantity("TPOT", |m, s| Some((m.tpot?, s.tpot?))),
        quantity("E2E", |m, s| Some((m.e2e, s.e2e))),
    ]
}

fn draw(figure: &Figure, path: &Path) -> Result<(), Failure> {
    let theme = Theme::named("paper-wide").map_err(Failure::usage)?;
    Ok(save(figure, &theme, path)?)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    write_whole(path, text.as_bytes()).map_err(|error| Failure::writing(path, &error))
}
