//! Share of prompt tokens found cached, against the arrival rate.

use super::{Axis, Figure, FigureDef, Panel, Results, Scale, Unavailable, by_rate, drawn, lines, rate_axis};

pub(super) const DEF: FigureDef = FigureDef {
    name: "hit-ratio-vs-rate",
    summary: "prefix cache hit ratio (tokens) against the arrival rate",
    needs: "at least two arrival rates",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let figures = by_rate(results, &DEF)?.into_iter().map(|slice| {
        let panel = Panel {
            heading: None,
            x: rate_axis(),
            y: Axis::new("Prompt tokens hit (%)", Scale::FromZero),
            series: lines(&slice, "hit_ratio_tokens", 100.0, 100.0),
            references: Vec::new(),
        };
        Figure { name: slice.name(DEF.name), title: slice.title("Prefix cache hit ratio"), panels: vec![panel], ..Figure::default() }
    });
    drawn(figures.collect(), &DEF)
}
