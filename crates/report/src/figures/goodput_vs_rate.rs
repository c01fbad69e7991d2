//! Requests within all objectives per second, against the arrival rate.

use super::{Axis, Figure, FigureDef, Panel, Results, Scale, Unavailable, by_rate, drawn, lines, rate_axis};

pub(super) const DEF: FigureDef = FigureDef {
    name: "goodput-vs-rate",
    summary: "requests within all objectives per second, against the arrival rate",
    needs: "at least two arrival rates and an objective (`[slo]`)",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let figures = by_rate(results, &DEF)?.into_iter().map(|slice| {
        let panel = Panel {
            heading: None,
            x: rate_axis(),
            y: Axis::new("Goodput (requests/s)", Scale::FromZero),
            series: lines(&slice, "goodput_rps", 1.0, f64::INFINITY),
            references: Vec::new(),
        };
        Figure {
            name: slice.name(DEF.name),
            title: slice.title("Goodput"),
            panels: vec![panel],
            ..Figure::default()
        }
    });
    drawn(figures.collect(), &DEF)
}
