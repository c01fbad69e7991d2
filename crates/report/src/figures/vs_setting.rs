//! The main metrics against whatever number an experiment varied besides the rate.

use super::times::TTFT;
use super::{
    At, Axis, Figure, FigureDef, Panel, RATE, Reference, Results, Scale, Slice, Unavailable, drawn, lines_along, target,
};
use crate::results::Attainment;

pub(super) const DEF: FigureDef = FigureDef {
    name: "vs-setting",
    summary: "attainment, P90 time to first token, hit ratio and load CV against each number that was varied",
    needs: "a number with at least two values in the grid",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let mut figures = Vec::new();
    for setting in results.settings().into_iter().filter(|&name| name != RATE) {
        let slices = results.slices(&[setting]);
        if slices.iter().any(|slice| slice.places(setting).len() > 1) {
            let kind = format!("{}--{setting}", DEF.name);
            figures.extend(slices.iter().map(|slice| Figure {
                name: slice.name(&kind),
                title: slice.title(&format!("Against {setting}")),
                panels: panels(slice, setting, results.attainment()),
                ..Figure::default()
            }));
        }
    }
    drawn(figures, &DEF)
}

fn panels(slice: &Slice<'_>, setting: &str, attainment: Attainment) -> Vec<Panel> {
    let percent = |label: &str| Axis::new(label, Scale::Percent);
    let metrics = [
        (percent(&format!("{} (%)", attainment.name())), attainment.metric(), 100.0, vec![target(slice)]),
        (Axis::new("P90 TTFT (s)", Scale::LogIfWide), "ttft_p90_s", 1.0, TTFT.objective(slice, At::Y)),
        (percent("Prompt tokens hit (%)"), "hit_ratio_tokens", 100.0, Vec::new()),
        (Axis::new("Load CV", Scale::FromZero), "load_cv", 1.0, Vec::new()),
    ];
    let panel = |(y, metric, factor, references): (Axis, &str, f64, Vec<Reference>)| {
        let most = if y.scale == Scale::Percent { 100.0 } else { f64::INFINITY };
        let series = lines_along(slice, setting, metric, factor, most);
        (!series.is_empty()).then(|| Panel {
            heading: None,
            x: Axis::new(setting, Scale::LogIfWide),
            y,
            series,
            references,
        })
    };
    metrics.into_iter().filter_map(panel).collect()
}
