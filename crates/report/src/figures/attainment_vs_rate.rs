//! Share of requests that met their objectives, against the arrival rate.

use super::{Axis, Figure, FigureDef, Panel, Results, Scale, Unavailable, by_rate, drawn, lines, rate_axis, target};

pub(super) const DEF: FigureDef = FigureDef {
    name: "attainment-vs-rate",
    summary: "SLO attainment against the arrival rate, with the target",
    needs: "at least two arrival rates and an objective (`[slo]`)",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let attainment = results.attainment();
    let figures = by_rate(results, &DEF)?.into_iter().map(|slice| {
        let panel = Panel {
            heading: None,
            x: rate_axis(),
            y: Axis::new(format!("{} (%)", attainment.name()), Scale::Percent),
            series: lines(&slice, attainment.metric(), 100.0, 100.0),
            references: vec![target(&slice)],
        };
        Figure {
            name: slice.name(DEF.name),
            title: slice.title(attainment.name()),
            panels: vec![panel],
            ..Figure::default()
        }
    });
    drawn(figures.collect(), &DEF)
}
