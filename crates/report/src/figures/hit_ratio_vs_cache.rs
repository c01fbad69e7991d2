//! Share of prompt tokens found cached, against the size of the caches.

use super::{Axis, Figure, FigureDef, Panel, Results, Scale, Unavailable, drawn, lines_along};

pub(super) const DEF: FigureDef = FigureDef {
    name: "hit-ratio-vs-cache",
    summary: "prefix cache hit ratio (tokens) against the size of the caches, or of the memory behind them",
    needs: "at least two values of `cluster.kv_tokens`, or of the `capacity_tokens` of `cluster.host` or `cluster.pool`",
    build,
};

/// Settings that are sizes, with what they are.
const SIZES: [(&str, &str); 3] = [
    ("cluster.kv_tokens", "KV cache of an instance (tokens)"),
    ("cluster.host.capacity_tokens", "Host memory of an instance (tokens)"),
    ("cluster.pool.capacity_tokens", "Pool (tokens)"),
];

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let mut figures = Vec::new();
    for (setting, name) in SIZES.into_iter().filter(|(setting, _)| results.variety(setting) > 1) {
        figures.extend(results.slices(&[setting]).into_iter().map(|slice| {
            let panel = Panel {
                heading: None,
                x: Axis::new(name, Scale::LogIfWide),
                y: Axis::new("Prompt tokens hit (%)", Scale::FromZero),
                series: lines_along(&slice, setting, "hit_ratio_tokens", 100.0, 100.0),
                references: Vec::new(),
            };
            Figure {
                name: slice.name(DEF.name),
                title: slice.title("Prefix cache hit ratio"),
                panels: vec![panel],
                ..Figure::default()
            }
        }));
    }
    drawn(figures, &DEF)
}
