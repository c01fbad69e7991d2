//! The fit of one hardware and engine, with its cross-validation.

use std::collections::BTreeSet;

use serde::Serialize;
use trimtab_engine::cost::Tuning;

use super::fit::{PARAMS, few_heads, fit, place};
use super::identify::{self, Kept};
use super::profile::Profile;
use super::suspect::{Suspect, outliers};
use super::{ErrorTable, Row, Sample};

/// Random folds of cross-validation.
const FOLDS: u64 = 5;
/// Fewer rows than this are not fitted.
pub(super) const LEAST_ROWS: usize = 8;
/// Significant digits of a fitted parameter: more would be noise.
const DIGITS: i32 = 5;

/// A fit and what is known about its error.
#[derive(Clone, Debug, Serialize)]
pub struct PairFit {
    /// Hardware, as the catalogue calls it.
    pub hardware: String,
    /// Engine, as the rows call it.
    pub engine: String,
    /// (model, tp) groups.
    pub groups: Vec<(String, u32)>,
    /// The parameters.
    pub tuning: Tuning,
    /// Parameters that the rows cannot tell.
    pub kept: Vec<Kept>,
    /// Parameters that ended on a bound.
    pub at_bound: Vec<&'static str>,
    /// Error on the fitted rows.
    pub fit: ErrorTable,
    /// Error of the defaults on the same rows.
    pub defaults: ErrorTable,
    /// Error on whole (model, tp) groups that the fit had not seen; absent with one group.
    pub group_holdout: Option<ErrorTable>,
    /// The same for each of these groups, in the order of `groups`.
    pub left_out: Vec<LeftOut>,
    /// Error on random rows that the fit had not seen.
    pub row_holdout: ErrorTable,
    /// Rows that the fit misses.
    pub outliers: Vec<Suspect>,
    /// Measured and predicted times, for residual plots.
    #[serde(skip)]
    pub residuals: Vec<Residual>,
}

/// Error on a group that the fit had not seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeftOut {
    /// Model of the group.
    pub model: String,
    /// Its tensor-parallel degree.
    pub tp: u32,
    /// The error.
    pub errors: ErrorTable,
}

/// Measured and predicted time of one row, in seconds.
#[derive(Clone, Debug)]
pub struct Residual {
    /// The row.
    pub row: Row,
    /// By the fit over all rows.
    pub fitted: f64,
    /// By a fit that had not seen its group.
    pub without_group: Option<f64>,
    /// By a fit that had not seen its fold.
    pub without_row: Option<f64>,
}

impl Residual {
    /// Absolute relative error of a prediction.
    pub(super) fn error(&self, predicted: f64) -> f64 {
        (predicted / self.row.seconds - 1.0).abs()
    }
}

/// Fits rows of one hardware and engine, in the order of [`Row::order`].
pub(super) fn fit_pair(rows: &[&Row], samples: &[Sample]) -> PairFit {
    let mut scope = identify::scope(rows, samples);
    let tuning = fit_subset(rows, samples, |_| true).unwrap_or(scope.start);
    let head = place("kv_read_head");
    if scope.free[head] && !samples.iter().any(|s| few_heads(&s.ideal, &tuning)) {
        scope.free[head] = false;
        scope.kept.push(Kept { parameter: PARAMS[head].name, reason: "it bounds no decode".into() });
    }
    let groups: BTreeSet<(String, u32)> = rows.iter().map(|r| (r.model.clone(), r.tp)).collect();
    let mut residuals: Vec<Residual> = rows
        .iter()
        .zip(samples)
        .map(|(row, sample)| {
            let fitted = sample.ideal.under(&tuning).total();
            Residual { row: (*row).clone(), fitted, without_group: None, without_row: None }
        })
        .collect();
    if groups.len() > 1 {
        for (model, tp) in &groups {
            let out = |row: &Row| row.model == *model && row.tp == *tp;
            leave_out(rows, samples, &mut residuals, out, |r| &mut r.without_group);
        }
    }
    for fold in 0..FOLDS {
        leave_out(rows, samples, &mut residuals, |row| fold_of(row) == fold, |r| &mut r.without_row);
    }
    let table = |of: &dyn Fn(&Residual) -> Option<f64>| {
        let errors: Vec<_> =
            residuals.iter().filter_map(|r| of(r).map(|predicted| (r.row.kind, r.error(predicted)))).collect();
        ErrorTable::of(&errors)
    };
    let start = identify::start();
    let default_errors: Vec<_> = rows
        .iter()
        .zip(samples)
        .map(|(row, s)| (row.kind, (s.ideal.under(&start).total() / row.seconds - 1.0).abs()))
        .collect();
    let group_holdout = (groups.len() > 1).then(|| table(&|r| r.without_group));
    let left_out = groups.iter().map(|(model, tp)| {
        let own = |r: &Residual| r.row.model == *model && r.row.tp == *tp;
        let errors = table(&|r| r.without_group.filter(|_| own(r)));
        LeftOut { model: model.clone(), tp: *tp, errors }
    });
    let left_out = left_out.filter(|group| group.errors.overall.n > 0).collect();
    let predicted: Vec<f64> = residuals.iter().map(|r| r.fitted).collect();
    PairFit {
        hardware: rows[0].hardware.clone(),
        engine: rows[0].engine.clone(),
        groups: groups.into_iter().collect(),
        at_bound: (0..PARAMS.len())
            .filter(|&i| scope.free[i] && PARAMS[i].at_bound(PARAMS[i].get(&tuning)))
            .map(|i| PARAMS[i].name)
            .collect(),
        kept: scope.kept,
        fit: table(&|r| Some(r.fitted)),
        defaults: ErrorTable::of(&default_errors),
        group_holdout,
        left_out,
        row_holdout: table(&|r| r.without_row),
        outliers: outliers(rows, &predicted),
        tuning,
        residuals,
    }
}

impl PairFit {
    /// The profile to write.
    pub fn profile(&self) -> Profile {
        let models: BTreeSet<String> = self.groups.iter().map(|(model, _)| model.clone()).collect();
        Profile {
            hardware: self.hardware.clone(),
            engine: self.engine.clone(),
            models: models.into_iter().collect(),
            rows: self.residuals.len(),
            not_fitted: self.kept.iter().map(|k| k.parameter.to_owned()).collect(),
            tuning: self.tuning,
        }
    }
}

/// Fits the rows that `keep` selects, with the rules applied to those alone; `None` when they are too few.
fn fit_subset(rows: &[&Row], samples: &[Sample], keep: impl Fn(&Row) -> bool) -> Option<Tuning> {
    let (rows, samples): (Vec<&Row>, Vec<Sample>) =
        rows.iter().zip(samples).filter(|(row, _)| keep(row)).map(|(row, sample)| (*row, *sample)).unzip();
    if rows.len() < LEAST_ROWS.min(6) {
        return None;
    }
    let scope = identify::scope(&rows, &samples);
    let mut tuning = fit(&samples, &scope.start, &scope.free);
    for (param, _) in PARAMS.iter().zip(scope.free).filter(|(_, free)| *free) {
        let rounded = round_to_digits(param.get(&tuning));
        param.set(&mut tuning, rounded);
    }
    if !samples.iter().any(|s| few_heads(&s.ideal, &tuning)) {
        // Wherever the fit left it, it says nothing about fewer heads than these.
        tuning.kv_read_head = Tuning::default().kv_read_head;
    }
    let mixed_was_fitted = PARAMS.iter().zip(scope.free).any(|(param, free)| free && param.name == "kv_read_mixed");
    // An efficiency of pure reads that was low for a while must not leave its mark on one that nothing fitted.
    let mixed = if mixed_was_fitted { tuning.kv_read_mixed } else { scope.start.kv_read_mixed };
    tuning.kv_read_mixed = mixed.min(tuning.kv_read);
    Some(tuning)
}

/// Predicts the rows that `out` selects from a fit over the others.
fn leave_out(
    rows: &[&Row],
    samples: &[Sample],
    residuals: &mut [Residual],
    out: impl Fn(&Row) -> bool,
    slot: impl Fn(&mut Residual) -> &mut Option<f64>,
) {
    if let Some(tuning) = fit_subset(rows, samples, |row| !out(row)) {
        for (residual, sample) in residuals.iter_mut().zip(samples).filter(|(r, _)| out(&r.row)) {
            *slot(residual) = Some(sample.ideal.under(&tuning).total());
        }
    }
}

fn round_to_digits(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "an exponent")]
    let exponent = DIGITS - 1 - libm::floor(libm::log10(value.abs())) as i32;
    let scale = libm::pow(10.0, f64::from(exponent.abs()));
    if exponent >= 0 { libm::round(value * scale) / scale } else { libm::round(value / scale) * scale }
}

/// The random fold of a row: a fixed hash (FNV-1a) of what it says, so that the order of the file does not matter.
fn fold_of(row: &Row) -> u64 {
    let text = format!(
        "{} {} {} {} {} {} {} {} {}",
        row.hardware,
        row.model,
        row.tp,
        row.engine,
        row.kind.name(),
        row.batch,
        row.new_tokens,
        row.context_tokens,
        row.history
    );
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 32)) % FOLDS
}
