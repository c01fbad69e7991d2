//! A calibration as text for people, and its residuals as CSV for plots.

use std::fmt::Write as _;

use super::{Calibration, ErrorTable, PairFit};

/// Outliers and impossible rows that the text names; the JSON document holds all.
const NAMED: usize = 10;

/// The text report.
pub fn text(calibration: &Calibration) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "Step error (mean / median / 90th percentile of |predicted/measured - 1|, rows)");
    for (name, table) in [
        ("defaults, no fit", &calibration.defaults),
        ("fitted rows", &calibration.fit),
        ("whole groups left out", &calibration.group_holdout),
        ("random rows left out", &calibration.row_holdout),
    ] {
        errors(&mut out, name, table);
    }
    errors(&mut out, &format!("hold-out ({})", calibration.holdout_kind), &calibration.holdout);
    for pair in &calibration.pairs {
        pair_text(&mut out, pair);
    }
    let _ = suspects(&mut out, "Physically impossible rows, left out", &calibration.impossible);
    for warning in &calibration.warnings {
        let _ = writeln!(out, "warning: {warning}");
    }
    out
}

fn errors(out: &mut String, name: &str, table: &ErrorTable) {
    let figures = |a: &super::Accuracy| {
        format!("{:5.1} / {:4.1} / {:4.1} % ({})", 100.0 * a.mape, 100.0 * a.median_ape, 100.0 * a.p90_ape, a.n)
    };
    if table.overall.n == 0 {
        return;
    }
    let _ = write!(out, "  {name:<28} {}", figures(&table.overall));
    for (kind, accuracy) in &table.by_kind {
        let _ = write!(out, "  {kind} {}", figures(accuracy));
    }
    out.push('\n');
}

fn pair_text(out: &mut String, pair: &PairFit) {
    let groups: Vec<String> = pair.groups.iter().map(|(model, tp)| format!("{model} tp {tp}")).collect();
    let _ = writeln!(out, "\n{} with {}: {}", pair.hardware, pair.engine, groups.join(", "));
    for (name, value) in pair.tuning.fields() {
        let note = match pair.kept.iter().find(|k| k.parameter == name) {
            Some(kept) => format!("  not fitted: {}", kept.reason),
            None if pair.at_bound.contains(&name) => "  on a bound".to_owned(),
            None => String::new(),
        };
        let _ = writeln!(out, "  {name:<18} {value:>10.4}{note}");
    }
    errors(out, "defaults, no fit", &pair.defaults);
    errors(out, "fitted rows", &pair.fit);
    if let Some(groups) = &pair.group_holdout {
        errors(out, "whole groups left out", groups);
        for group in &pair.left_out {
            errors(out, &format!("  {} tp {}", group.model, group.tp), &group.errors);
        }
    }
    errors(out, "random rows left out", &pair.row_holdout);
    let _ = suspects(out, "  outliers", &pair.outliers);
}

fn suspects(out: &mut String, title: &str, list: &[super::Suspect]) -> std::fmt::Result {
    if list.is_empty() {
        return Ok(());
    }
    writeln!(out, "{title}: {}", list.len())?;
    for suspect in list.iter().take(NAMED) {
        writeln!(out, "    line {}: {}: {}", suspect.line, suspect.row, suspect.reason)?;
    }
    if list.len() > NAMED {
        writeln!(out, "    and {} more", list.len() - NAMED)?;
    }
    Ok(())
}

/// Measured and predicted times of every fitted row, in milliseconds.
pub fn residuals_csv(calibration: &Calibration) -> String {
    let mut out = String::from(
        "hw,model,tp,engine,kind,batch,new_tokens,context_tokens,kv_prefill,measured_ms,fitted_ms,without_group_ms,without_row_ms\n",
    );
    let optional = |value: Option<f64>| value.map_or(String::new(), |v| format!("{:.6}", v * 1e3));
    for residual in calibration.pairs.iter().flat_map(|p| &p.residuals) {
        let r = &residual.row;
        let _ = writeln!(
            out,
            "{},{},{},{},{},{},{},{},{},{:.6},{:.6},{},{}",
            r.hardware,
            r.model,
            r.tp,
            r.engine,
            r.kind.name(),
            r.batch,
            r.new_tokens,
            r.context_tokens,
            r.history,
            r.seconds * 1e3,
            residual.fitted * 1e3,
            optional(residual.without_group),
            optional(residual.without_row)
        );
    }
    out
}
