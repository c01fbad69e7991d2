//! Every scheduler against the first one: ratios of the main metrics, paired by seed.

use super::{
    At, Axis, Figure, FigureDef, Marks, Panel, Point, Reference, Results, Scale, Series, Unavailable, drawn, lacks,
};
use crate::estimate::Estimate;
use crate::results::Pair;

pub(super) const DEF: FigureDef = FigureDef {
    name: "forest",
    summary: "ratio of the main metrics to those of the first scheduler, paired by seed, with 95 % intervals",
    needs: "at least two schedulers and two seeds (`comparisons.csv`)",
    build,
};

/// The metrics besides attainment, with what they are.
const METRICS: [(&str, &str); 5] = [
    ("goodput_rps", "Goodput"),
    ("ttft_p90_s", "P90 TTFT"),
    ("e2e_p90_s", "P90 E2E"),
    ("hit_ratio_tokens", "Hit ratio"),
    ("load_cv", "Load CV"),
];

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let Some(first) = results.labels().into_iter().next() else { return Err(lacks(&DEF)) };
    let attainment = results.attainment();
    let metrics = || std::iter::once((attainment.metric(), attainment.name())).chain(METRICS);
    let mut figures = Vec::new();
    for slice in results.compared().ok_or_else(|| lacks(&DEF))? {
        let labels: Vec<String> = slice.labels().into_iter().filter(|label| *label != first).collect();
        let panel =
            |(metric, name): (&str, &str)| panel(name, &first, &labels, &|label| slice.pair(label, &first, metric));
        figures.push(Figure {
            name: slice.name(DEF.name),
            title: slice.title(&format!("Against {first}")),
            panels: metrics().filter_map(panel).collect(),
            spread: Some("geometric mean of the ratios and 95 % t interval over pairs of equal seeds"),
            ..Figure::default()
        });
    }
    drawn(figures, &DEF)
}

fn panel(name: &str, first: &str, labels: &[String], pair: &dyn Fn(&str) -> Option<Pair>) -> Option<Panel> {
    let places = || labels.iter().rev().enumerate();
    let row = |(place, label): (usize, &String)| {
        let Pair { ratio, verdict } = pair(label)?;
        let point = Point { note: Some(verdict), ..Point::new(ratio, Estimate::exact(place as f64)) };
        Some(Series { label: label.clone(), marks: Marks::Whiskers, points: vec![point] })
    };
    let mut series: Vec<Series> = places().filter_map(row).collect();
    series.reverse();
    let ends = || series.iter().flat_map(|series| &series.points).map(|point| point.x.extent());
    let (low, high) = ends().fold((1.0_f64, 1.0_f64), |(low, high), (lo, hi)| (low.min(lo), high.max(hi)));
    // Near 1 a ratio and its logarithm look the same, and plain ticks read better.
    let scale = if high < 3.0 * low { Scale::Linear } else { Scale::Log };
    (!series.is_empty()).then(|| Panel {
        heading: Some(name.to_owned()),
        x: Axis::new(format!("Ratio to {first}"), scale),
        y: Axis::new("", Scale::Names(places().map(|(_, label)| label.clone()).collect())),
        series,
        references: vec![Reference { at: At::X(1.0), label: String::new() }],
    })
}
