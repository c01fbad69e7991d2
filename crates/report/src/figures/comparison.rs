//! The main metrics by scheduler, for experiments with a single arrival rate.

use super::times::TTFT;
use super::{At, Axis, Figure, FigureDef, RATE, Results, Scale, Slice, Unavailable, bars, drawn_if_served, lacks};
use crate::axis::short;
use crate::figure::{Panel, Reference};

pub(super) const DEF: FigureDef = FigureDef {
    name: "comparison",
    summary: "attainment, P90 time to first token and hit ratio by scheduler, for a single arrival rate",
    needs: "a single arrival rate",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    if results.variety(RATE) > 1 {
        return Err(lacks(&DEF));
    }
    let attainment = results.attainment();
    let figures = results.slices(&[RATE]).into_iter().map(|slice| {
        let percent = |label: &str| Axis::new(label, Scale::Percent);
        let panels = [
            panel(&slice, attainment.name(), percent("requests (%)"), attainment.metric(), 100.0),
            panel(&slice, "P90 TTFT", Axis::new("seconds", Scale::FromZero), "ttft_p90_s", 1.0)
                .map(|panel| held_against(panel, TTFT.objective(&slice, At::X))),
            panel(&slice, "Hit ratio", percent("prompt tokens (%)"), "hit_ratio_tokens", 100.0),
        ];
        Figure {
            name: slice.name(DEF.name),
            title: slice.title("Schedulers compared"),
            panels: panels.into_iter().flatten().collect(),
            ..Figure::default()
        }
    });
    drawn_if_served(figures.collect(), &DEF)
}

/// Lines named in the heading: among bars and their numbers there is no room.
fn held_against(panel: Panel, references: Vec<Reference>) -> Panel {
    let names = panel.heading.into_iter().chain(references.iter().map(|reference| reference.label.clone()));
    let heading = Some(names.collect::<Vec<_>>().join(", "));
    let references = references.into_iter().map(|reference| Reference { label: String::new(), ..reference }).collect();
    Panel { heading, references, ..panel }
}

fn panel(slice: &Slice<'_>, heading: &str, axis: Axis, metric: &str, factor: f64) -> Option<Panel> {
    let most = if axis.scale == Scale::Percent { 100.0 } else { f64::INFINITY };
    bars(&slice.labels(), Some(heading), axis, |label| {
        let estimate = slice.estimate(label, metric)?.map(|value| value * factor).within(0.0, most);
        Some((estimate, short(estimate.mean)))
    })
}
