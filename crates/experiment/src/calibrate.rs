//! Calibration: fits the step cost's parameters to measured steps and says how wrong the result is.
//!
//! One fit for each hardware and engine in the rows. Rows are sorted first, so that their order in the file never
//! matters; rows that no machine could have produced are named and left out.

mod accuracy;
mod fit;
mod identify;
mod pair;
mod profile;
mod report;
mod requests;
mod rows;
mod suspect;

use serde::Serialize;
use trimtab_engine::cost::Tuning;

pub use accuracy::{Accuracy, ErrorTable};
pub use fit::Sample;
pub use identify::Kept;
pub use pair::{LeftOut, PairFit, Residual};
pub use profile::{Profile, ProfileError, ProfileFile, SCHEMA};
pub use report::{residuals_csv, text};
pub use requests::{
    DistributionError, Measured, MeasuredRun, RequestsError, Server, Simulated, Validation, fit_host, read_requests,
    validate, validation_csv, validation_text,
};
pub use rows::{Deployments, Kind, Row, RowsError, Selection, parse_rows, read_rows};
pub use suspect::Suspect;

use crate::catalog::CatalogError;

/// Why nothing was fitted.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// A row's deployment does not exist.
    #[error("line {line}: {source}")]
    Deployment {
        /// The row's line.
        line: u64,
        /// The reason.
        source: CatalogError,
    },
    /// No hardware and engine has enough rows.
    #[error("too few rows to fit: {0}; at least {least} usable rows of one hardware and engine are needed", least = pair::LEAST_ROWS)]
    TooFew(String),
}

/// Everything that a calibration found.
#[derive(Clone, Debug, Serialize)]
pub struct Calibration {
    /// Error on the fitted rows, all pairs together.
    pub fit: ErrorTable,
    /// Error on rows that the fits had not seen: another file when one was given, else whole groups and random rows.
    pub holdout: ErrorTable,
    /// Where `holdout` comes from: `file` or `cross-validation`.
    pub holdout_kind: &'static str,
    /// Error of the defaults without any fit.
    pub defaults: ErrorTable,
    /// Cross-validation by whole (hardware, model, tp) groups.
    pub group_holdout: ErrorTable,
    /// Cross-validation by random rows.
    pub row_holdout: ErrorTable,
    /// Each hardware and engine.
    pub pairs: Vec<PairFit>,
    /// Rows that no machine could have produced, left out of everything above.
    pub impossible: Vec<Suspect>,
    /// What a reader should know.
    pub warnings: Vec<String>,
}

/// Fits every hardware and engine in `rows`; measures the error on `holdout` when given.
pub fn calibrate(mut rows: Vec<Row>, holdout: Option<Vec<Row>>) -> Result<Calibration, CalibrateError> {
    rows.sort_by(Row::order);
    let mut deployments = Deployments::default();
    let Usable { rows, samples, impossible } = usable(rows, &mut deployments)?;
    let mut warnings = Vec::new();
    let mut pairs = Vec::new();
    let mut at = 0;
    while at < rows.len() {
        let same = |row: &Row| row.hardware == rows[at].hardware && row.engine == rows[at].engine;
        let end = at + rows[at..].iter().take_while(|row| same(row)).count();
        let name = format!("{} with {}", rows[at].hardware, rows[at].engine);
        if end - at < pair::LEAST_ROWS {
            warnings.push(format!("{name}: {} rows, not fitted", end - at));
        } else {
            pairs.push(pair::fit_pair(&rows[at..end].iter().collect::<Vec<_>>(), &samples[at..end]));
        }
        at = end;
    }
    if pairs.is_empty() {
        let found = if rows.is_empty() { "none is usable".to_owned() } else { warnings.join("; ") };
        return Err(CalibrateError::TooFew(found));
    }
    warnings.extend(pairs.iter().filter(|p| !p.at_bound.is_empty()).map(|p| {
        let bounds = p.at_bound.join(", ");
        format!(
            "{} with {}: {bounds} ended on a bound; the rows may contain time that no term describes",
            p.hardware, p.engine
        )
    }));
    let pooled = |of: &dyn Fn(&Residual) -> Vec<f64>| {
        let all = pairs.iter().flat_map(|p| &p.residuals);
        let errors: Vec<_> = all.flat_map(|r| of(r).into_iter().map(|p| (r.row.kind, r.error(p)))).collect();
        ErrorTable::of(&errors)
    };
    let both = |r: &Residual| r.without_group.into_iter().chain(r.without_row).collect();
    let mut calibration = Calibration {
        fit: pooled(&|r| vec![r.fitted]),
        holdout: pooled(&both),
        holdout_kind: "cross-validation",
        defaults: default_errors(&rows, &samples),
        group_holdout: pooled(&|r| r.without_group.into_iter().collect()),
        row_holdout: pooled(&|r| r.without_row.into_iter().collect()),
        pairs,
        impossible,
        warnings,
    };
    if let Some(mut other) = holdout {
        other.sort_by(Row::order);
        calibration.measure(other, &mut deployments)?;
    }
    Ok(calibration)
}

impl Calibration {
    /// The profiles to write.
    pub fn profiles(&self) -> ProfileFile {
        ProfileFile::new(self.pairs.iter().map(PairFit::profile).collect())
    }

    /// Takes the hold-out error from other rows.
    fn measure(&mut self, rows: Vec<Row>, deployments: &mut Deployments) -> Result<(), CalibrateError> {
        let Usable { rows, samples, impossible } = usable(rows, deployments)?;
        let mut errors = Vec::new();
        let mut strangers: Vec<(String, String, usize)> = Vec::new();
        for (row, sample) in rows.iter().zip(&samples) {
            let (tuning, known) = self.tuning_for(row);
            if !known {
                match strangers.last_mut() {
                    Some((h, e, n)) if *h == row.hardware && *e == row.engine => *n += 1,
                    _ => strangers.push((row.hardware.clone(), row.engine.clone(), 1)),
                }
            }
            errors.push((row.kind, (sample.ideal.under(&tuning).total() / row.seconds - 1.0).abs()));
        }
        let more = strangers.into_iter().map(|(hardware, engine, n)| {
            format!("hold-out: {n} rows of {hardware} with {engine} have no fit of their own; the nearest was used")
        });
        self.warnings.extend(more);
        self.warnings.extend(impossible.iter().map(|s| format!("hold-out line {}: {}: {}", s.line, s.row, s.reason)));
        self.holdout = ErrorTable::of(&errors);
        self.holdout_kind = "file";
        Ok(())
    }

    /// The fit of a row's hardware and engine, else of its hardware, else the defaults; and whether it is its own.
    fn tuning_for(&self, row: &Row) -> (Tuning, bool) {
        let of_hardware = || self.pairs.iter().filter(|p| p.hardware == row.hardware);
        if let Some(own) = of_hardware().find(|p| p.engine == row.engine) {
            return (own.tuning, true);
        }
        let near = of_hardware().max_by_key(|p| p.residuals.len());
        (near.map_or_else(identify::start, |p| p.tuning), false)
    }
}

/// Rows with their samples, and the rows that cannot be true.
struct Usable {
    rows: Vec<Row>,
    samples: Vec<Sample>,
    impossible: Vec<Suspect>,
}

fn usable(rows: Vec<Row>, deployments: &mut Deployments) -> Result<Usable, CalibrateError> {
    let mut usable = Usable { rows: Vec::new(), samples: Vec::new(), impossible: Vec::new() };
    for row in rows {
        let deployment =
            deployments.of(&row).map_err(|source| CalibrateError::Deployment { line: row.line, source })?;
        let mut ideal = deployment.ideal_terms(&row.shape());
        if !row.all_reduce {
            (ideal.all_reduce_start, ideal.all_reduce_bytes) = (0.0, 0.0);
        }
        let sample = Sample { ideal, seconds: row.seconds };
        if let Some(reason) = suspect::impossible(&row, &sample, deployment) {
            usable.impossible.push(Suspect::new(&row, reason));
        } else {
            usable.rows.push(row);
            usable.samples.push(sample);
        }
    }
    Ok(usable)
}

fn default_errors(rows: &[Row], samples: &[Sample]) -> ErrorTable {
    let start = identify::start();
    let error = |(row, s): (&Row, &Sample)| (row.kind, (s.ideal.under(&start).total() / s.seconds - 1.0).abs());
    ErrorTable::of(&rows.iter().zip(samples).map(error).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
