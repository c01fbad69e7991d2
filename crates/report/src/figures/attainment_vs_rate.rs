//! Share of requests whose first token came in time, against the arrival rate.

use super::{At, Axis, Figure, FigureDef, Panel, Reference, Results, Scale, Unavailable, by_rate, drawn, lines, rate_axis};

pub(super) const DEF: FigureDef = FigureDef {
    name: "attainment-vs-rate",
    summary: "SLO attainment against the arrival rate, with the target",
    needs: "at least two arrival rates and `slo.ttft_s`",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let figures = by_rate(results, &DEF)?.into_iter().map(|slice| {
        let target = slice.objectives().attain.unwrap_or(0.9) * 100.0;
        let panel = Panel {
            heading: None,
            x: rate_axis(),
            y: Axis::new("SLO attainment (%)", Scale::Percent),
            series: lines(&slice, "slo_attainment", 100.0, 100.0),
            references: vec![Reference { at: At::Y(target), label: format!("target {target} %") }],
        };
        Figure { name: slice.name(DEF.name), title: slice.title("SLO attainment"), panels: vec![panel], ..Figure::default() }
    });
    drawn(figures.collect(), &DEF)
}
