//! The highest arrival rate that meets the objective, by scheduler.

use super::{Axis, Figure, FigureDef, Results, Scale, Slice, Unavailable, bars, drawn, lacks};
use crate::axis::short;
use crate::estimate::Estimate;

pub(super) const DEF: FigureDef = FigureDef {
    name: "capacity-bars",
    summary: "highest arrival rate that meets the objective, by scheduler, from the last rate that passed to the first that failed",
    needs: "`capacity.csv`, which `trimtab capacity` and sweeps over rates write",
    build,
};

/// What the whiskers are.
const BRACKET: &str = "from the highest rate below which all probes passed to the lowest that failed";

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let figures = results.capacities().ok_or_else(|| lacks(&DEF))?.into_iter().map(|slice| {
        let axis = Axis::new("Capacity (requests/s)", Scale::FromZero);
        let panel = bars(&slice.labels(), None, axis, |label| capacity(&slice, label));
        Figure {
            name: slice.name(DEF.name),
            title: slice.title("Capacity"),
            panels: panel.into_iter().collect(),
            spread: Some(BRACKET),
            ..Figure::default()
        }
    });
    drawn(figures.collect(), &DEF)
}

/// The middle of the bracket with the bracket as its interval and in words: the middle is not an estimate. A search that
/// hit its upper bound has no upper end: the bar then stops at what is known, and says so.
fn capacity(slice: &Slice<'_>, label: &str) -> Option<(Estimate, String)> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seeds")]
    let n = slice.value(label, "seeds").unwrap_or(1.0) as usize;
    match (slice.value(label, "capacity_lo_rps"), slice.value(label, "capacity_hi_rps")) {
        (Some(lo), Some(hi)) => {
            let mean = f64::midpoint(lo, hi);
            let (from, to) = (rate(lo), rate(hi));
            // A narrow one is the same in the digits shown.
            let note = if from == to { from } else { format!("{from} to {to}") };
            Some((Estimate { mean, interval: Some((lo, hi)), n }, note))
        }
        (Some(lo), None) => Some((Estimate { mean: lo, interval: None, n }, format!("≥ {}", rate(lo)))),
        (None, Some(hi)) => Some((Estimate { mean: hi, interval: None, n }, format!("< {}", rate(hi)))),
        (None, None) => None,
    }
}

/// A rate that was tried: round ones without zeros that say nothing.
fn rate(value: f64) -> String {
    let text = short(value);
    if text.contains(char::is_alphabetic) || !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tried_rates_are_short() {
        let rates = [10.0, 8.25, 8.5, 0.5, 100.0, 1234.5, 12_300.0, 7.03125].map(rate);
        assert_eq!(rates, ["10", "8.25", "8.5", "0.5", "100", "1234", "12.3k", "7.03"]);
    }
}
