//! The figure of `trimtab trace stats`: what a cache of any size finds, how unequal prefixes are, how soon they return.

use trimtab_report::axis::{Axis, Scale};
use trimtab_report::estimate::Estimate;
use trimtab_report::figure::{At, Figure, Marks, Panel, Point, Reference, Series};
use trimtab_workload::Stats;

/// Three panels over the prefixes of a trace; `None` if no prefix ever comes back.
pub(crate) fn figure(stats: &Stats, name: &str) -> Option<Figure> {
    (stats.hit_ratio.blocks > 0.0).then(|| Figure {
        name: "trace".to_owned(),
        title: format!("Prefixes of {name}"),
        panels: vec![capacities(stats, name), popularity(stats, name), reuse(stats, name)],
        spread: Some("one trace"),
    })
}

fn panel(heading: &str, (x, y): (Axis, Axis), name: &str, points: Vec<Point>) -> Panel {
    let series = vec![Series { label: name.to_owned(), marks: Marks::Curve, points }];
    Panel { heading: Some(heading.to_owned()), x, y, series, references: Vec::new() }
}

fn point(x: f64, y: f64) -> Point {
    Point::new(Estimate::exact(x), Estimate::exact(y))
}

fn capacities(stats: &Stats, name: &str) -> Panel {
    let tokens = |blocks: u64| blocks as f64 * f64::from(stats.block_tokens) / 1e6;
    let curve = stats.curves.lru.iter().map(|at| point(tokens(at.capacity_blocks), 100.0 * at.hit_tokens)).collect();
    let axes = (Axis::new("Capacity (million tokens)", Scale::Log), Axis::new("Tokens hit (%)", Scale::FromZero));
    let infinite = 100.0 * stats.hit_ratio.tokens;
    let references = vec![Reference { at: At::Y(infinite), label: format!("infinite {infinite:.1} %") }];
    Panel { references, ..panel("LRU cache", axes, name, curve) }
}

fn popularity(stats: &Stats, name: &str) -> Panel {
    let curve = stats.curves.popularity.iter().map(|&(rank, uses)| point(rank as f64, uses as f64)).collect();
    let axes = (Axis::new("Prefix, by popularity", Scale::Log), Axis::new("Requests with it", Scale::Log));
    let Some(fit) = stats.popularity.all_blocks else { return panel("Popularity", axes, name, curve) };
    let mut panel = panel(&format!("Popularity, Zipf s = {:.2}", fit.s), axes, name, curve);
    let last = fit.ranks as f64;
    let points = vec![point(1.0, fit.at(1.0)), point(last, fit.at(last))];
    panel.series.push(Series { label: "Zipf fit".to_owned(), marks: Marks::Guide, points });
    panel
}

fn reuse(stats: &Stats, name: &str) -> Panel {
    // A logarithmic axis has no place for what returns at once; its share is in the height of the first point.
    let later = stats.curves.reuse_ms.iter().filter(|(ms, _)| *ms > 0);
    let curve = later.map(|&(ms, share)| point(ms as f64 / 1e3, 100.0 * share)).collect();
    let axes = (Axis::new("Time since last use (s)", Scale::Log), Axis::new("Hits (%)", Scale::Percent));
    panel("Reuse distance", axes, name, curve)
}
