//! Quantiles of the time to first token against the arrival rate, one panel each.

use super::{At, Axis, Figure, FigureDef, Panel, Results, Scale, Unavailable, by_rate, drawn, lines, rate_axis, ttft_objective};

pub(super) const DEF: FigureDef =
    FigureDef { name: "ttft-vs-rate", summary: "P50, P90 and P99 of the time to first token against the arrival rate", build };

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let figures = by_rate(results, DEF.name)?.into_iter().map(|slice| {
        let panel = |(heading, metric): (&str, &str)| Panel {
            heading: Some(heading.to_owned()),
            x: rate_axis(),
            y: Axis::new("TTFT (s)", Scale::LogIfWide),
            series: lines(&slice, metric, 1.0, f64::INFINITY),
            references: ttft_objective(&slice, At::Y),
        };
        let panels = [("P50", "ttft_p50_s"), ("P90", "ttft_p90_s"), ("P99", "ttft_p99_s")].map(panel).into();
        Figure { name: slice.name(DEF.name), title: slice.title("Time to first token"), panels, spread: None }
    });
    drawn(figures.collect(), DEF.name, "requests that got a first token")
}
