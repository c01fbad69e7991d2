//! The figures, one file each. Adding one: a file with a `DEF`, and a line in the list below.

use crate::axis::{Axis, Scale};
use crate::estimate::Estimate;
use crate::figure::{At, Figure, Marks, Panel, Point, Reference, Series};
use crate::results::{Results, ResultsError, Slice};

pub mod calibration;
pub mod miss_ratio;
pub mod prefixes;
mod times;

/// Declares the modules and lists their definitions in this order.
macro_rules! figures {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*

        /// All kinds of figures.
        pub static FIGURES: &[FigureDef] = &[$($module::DEF),*];
    };
}

figures! {
    attainment_vs_rate,
    goodput_vs_rate,
    ttft_vs_rate,
    tpot_vs_rate,
    e2e_vs_rate,
    hit_ratio_vs_rate,
    hit_ratio_vs_cache,
    hit_ratio_by_eviction,
    vs_setting,
    ttft_cdf,
    tpot_cdf,
    e2e_cdf,
    capacity_bars,
    comparison,
    forest,
    hit_cv_plane,
    over_time,
    load_over_time,
    load_map,
    queue_over_time,
}

/// A kind of figure.
#[derive(Debug)]
pub struct FigureDef {
    /// What it is called on the command line and in file names.
    pub name: &'static str,
    /// One line on what it shows.
    pub summary: &'static str,
    /// What the results must have.
    pub needs: &'static str,
    /// Makes the figures of this kind that the results allow: one for each combination of other settings.
    pub build: fn(&Results) -> Result<Vec<Figure>, Unavailable>,
}

/// Why the results do not have what a figure needs.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// They never will.
    #[error("{0}")]
    NoData(String),
    /// A file is broken.
    #[error(transparent)]
    Results(#[from] ResultsError),
}

/// The arrival rate: the axis of most figures.
const RATE: &str = "rate_rps";

fn rate_axis() -> Axis {
    Axis::new("Rate (requests/s)", Scale::Linear)
}

/// The results do not have what a figure needs.
fn lacks(def: &FigureDef) -> Unavailable {
    Unavailable::NoData(format!("{} needs {}", def.name, def.needs))
}

/// Slices with arrival rates along an axis, if several were run.
fn by_rate<'a>(results: &'a Results, def: &FigureDef) -> Result<Vec<Slice<'a>>, Unavailable> {
    if results.variety(RATE) < 2 { Err(lacks(def)) } else { Ok(results.slices(&[RATE])) }
}

/// The share of requests that must meet their objectives, on an axis of percent.
fn target(slice: &Slice<'_>) -> Reference {
    // In whole and decimal percent: 0.55 times 100 is not quite 55.
    let percent = libm::round(slice.objectives().attain.unwrap_or(0.9) * 1e8) / 1e6;
    Reference { at: At::Y(percent), label: format!("target {percent} %") }
}

/// A line for each scheduler: a metric against the rate, in other units if need be, its interval cut to what can be.
fn lines(slice: &Slice<'_>, metric: &str, factor: f64, most: f64) -> Vec<Series> {
    lines_along(slice, RATE, metric, factor, most)
}

/// The same against any numeric setting.
fn lines_along(slice: &Slice<'_>, setting: &str, metric: &str, factor: f64, most: f64) -> Vec<Series> {
    let convert = |point: Point| Point { y: point.y.map(|y| y * factor).within(0.0, most), ..point };
    let curve = |label: &str| slice.curve(label, setting, metric).into_iter().map(convert).collect();
    series(slice, Marks::Line, curve)
}

/// A series for each scheduler that has points.
fn series(slice: &Slice<'_>, marks: Marks, points: impl Fn(&str) -> Vec<Point>) -> Vec<Series> {
    let all = slice.labels().into_iter().map(|label| Series { points: points(&label), label, marks });
    all.filter(|series| !series.points.is_empty()).collect()
}

/// Figures with at least one point.
fn drawn(figures: Vec<Figure>, def: &FigureDef) -> Result<Vec<Figure>, Unavailable> {
    drawn_or(figures, || lacks(def))
}

/// The same of figures for which results need nothing else than what any run has in which something was served.
fn drawn_if_served(figures: Vec<Figure>, def: &FigureDef) -> Result<Vec<Figure>, Unavailable> {
    drawn_or(figures, || Unavailable::NoData(format!("{} needs a run that served requests", def.name)))
}

fn drawn_or(figures: Vec<Figure>, lacks: impl FnOnce() -> Unavailable) -> Result<Vec<Figure>, Unavailable> {
    let drawn: Vec<Figure> = figures
        .into_iter()
        .filter(|figure| figure.panels.iter().any(|panel| panel.series.iter().any(|series| !series.points.is_empty())))
        .collect();
    if drawn.is_empty() { Err(lacks()) } else { Ok(drawn) }
}

/// A bar for each scheduler, the first one on top. Absent where no scheduler has a value.
fn bars(
    labels: &[String],
    heading: Option<&str>,
    axis: Axis,
    value: impl Fn(&str) -> Option<(Estimate, String)>,
) -> Option<Panel> {
    let places = || labels.iter().rev().enumerate();
    let bar = |(place, label): (usize, &String)| {
        let (x, note) = value(label)?;
        let point = Point { note: Some(note), ..Point::new(x, Estimate::exact(place as f64)) };
        Some(Series { label: label.clone(), marks: Marks::Bars, points: vec![point] })
    };
    let mut series: Vec<Series> = places().filter_map(bar).collect();
    series.reverse();
    let names = Axis::new("", Scale::Names(places().map(|(_, label)| label.clone()).collect()));
    (!series.is_empty()).then(|| Panel {
        heading: heading.map(str::to_owned),
        x: axis,
        y: names,
        series,
        references: Vec::new(),
    })
}
