//! Figures of a calibration: what a fit misses, and a measured server beside its simulation.

use super::times::distribution;
use crate::axis::{Axis, Scale};
use crate::estimate::Estimate;
use crate::figure::{At, Figure, Marks, Panel, Point, Reference, Series};

/// Errors beyond this stand on the edge of their panel.
const EDGE_PERCENT: f64 = 40.0;

/// A measured step and its prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct StepError {
    /// Hardware and engine: one panel each.
    pub pair: String,
    /// Kind of step: one series each.
    pub kind: String,
    /// In seconds.
    pub measured: f64,
    /// In seconds.
    pub predicted: f64,
}

/// The relative error of every step against its measured time: a panel for each hardware and engine, in order of
/// appearance.
pub fn residuals(steps: &[StepError]) -> Figure {
    let panel = |pair: &String| {
        let here: Vec<&StepError> = steps.iter().filter(|step| step.pair == *pair).collect();
        let cloud = |kind: String| Series {
            marks: Marks::Cloud,
            points: here.iter().filter(|step| step.kind == kind).map(|step| point(step)).collect(),
            label: kind,
        };
        let series = names(steps.iter().map(|step| &step.kind)).into_iter().map(cloud);
        Panel {
            heading: Some(format!("{pair} ({})", here.len())),
            x: Axis::new("Measured (ms)", Scale::Log),
            y: Axis::new("Error (%)", Scale::Within(-EDGE_PERCENT, EDGE_PERCENT)),
            series: series.filter(|series| !series.points.is_empty()).collect(),
            references: vec![Reference { at: At::Y(0.0), label: String::new() }],
        }
    };
    Figure {
        name: "residuals".to_owned(),
        title: "Predicted against measured step times".to_owned(),
        panels: names(steps.iter().map(|step| &step.pair)).iter().map(panel).collect(),
        spread: Some("one point per measured step, predicted by a fit that had not seen it"),
        ..Figure::default()
    }
}

fn point(step: &StepError) -> Point {
    let error = 100.0 * (step.predicted / step.measured - 1.0);
    Point::new(Estimate::exact(1e3 * step.measured), Estimate::exact(error))
}

/// Each name once, in order of appearance.
fn names<'a>(all: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in all {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// One quantity of the requests of a measured server, as (measured, simulated), in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// What it is.
    pub quantity: String,
    /// By request.
    pub pairs: Vec<(f64, f64)>,
}

/// Above, the distribution of each quantity as measured and as simulated; below, every request by itself.
pub fn replay(quantities: &[Compared]) -> Figure {
    let shown = || quantities.iter().filter(|compared| compared.pairs.iter().any(|&(m, s)| m > 0.0 && s > 0.0));
    Figure {
        name: "replay".to_owned(),
        title: "A measured server and its simulation".to_owned(),
        panels: shown().map(distributions).chain(shown().map(requests)).collect(),
        spread: Some("one run of the server, one of the simulation"),
        ..Figure::default()
    }
}

fn distributions(compared: &Compared) -> Panel {
    let curve = |label: &str, of: fn(&(f64, f64)) -> f64| Series {
        label: label.to_owned(),
        marks: Marks::Curve,
        points: distribution(&compared.pairs.iter().map(|pair| Some(of(pair))).collect::<Vec<_>>()),
    };
    Panel {
        heading: Some(compared.quantity.clone()),
        x: Axis::new("Seconds", Scale::LogIfWide),
        y: Axis::new("Requests (%)", Scale::Percent),
        series: vec![curve("measured", |pair| pair.0), curve("simulated", |pair| pair.1)],
        references: Vec::new(),
    }
}

fn requests(compared: &Compared) -> Panel {
    let at = |x: f64, y: f64| Point::new(Estimate::exact(x), Estimate::exact(y));
    let inside = || compared.pairs.iter().copied().filter(|&(measured, simulated)| measured > 0.0 && simulated > 0.0);
    let (low, high) =
        inside().fold((f64::INFINITY, 0.0_f64), |(low, high), (m, s)| (low.min(m).min(s), high.max(m).max(s)));
    // The same range on both axes, so that the diagonal is one.
    let equal = Series { label: "equal".to_owned(), marks: Marks::Guide, points: vec![at(low, low), at(high, high)] };
    let cloud = Series {
        label: "one request".to_owned(),
        marks: Marks::Cloud,
        points: inside().map(|(measured, simulated)| at(measured, simulated)).collect(),
    };
    Panel {
        heading: None,
        x: Axis::new("Measured (s)", Scale::LogIfWide),
        y: Axis::new("Simulated (s)", Scale::LogIfWide),
        series: vec![equal, cloud],
        references: Vec::new(),
    }
}
