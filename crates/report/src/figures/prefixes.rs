//! The prefixes of a trace: what a cache of any size finds, how unequal prefixes are, how soon they return.

use crate::axis::{Axis, Scale};
use crate::estimate::Estimate;
use crate::figure::{At, Figure, Marks, Panel, Point, Reference, Series};

/// What is known of the prefixes of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prefixes {
    /// What the trace is called.
    pub name: String,
    /// Capacities of an LRU cache in tokens, with the share of tokens hit.
    pub lru: Vec<(f64, f64)>,
    /// The same of an infinite cache.
    pub infinite: f64,
    /// Prefixes by rank, with how many requests have them.
    pub popularity: Vec<(u64, u64)>,
    /// The exponent of a Zipf law fitted to that, and its ends.
    pub zipf: Option<(f64, [(f64, f64); 2])>,
    /// Seconds since the last use, with the share of hits that come by then.
    pub reuse: Vec<(f64, f64)>,
}

/// A panel for each of the three.
pub fn figure(prefixes: &Prefixes) -> Figure {
    Figure {
        name: "trace".to_owned(),
        title: format!("Prefixes of {}", prefixes.name),
        panels: vec![capacities(prefixes), popularity(prefixes), reuse(prefixes)],
        spread: Some("one trace"),
        ..Figure::default()
    }
}

fn panel(prefixes: &Prefixes, heading: &str, x: Axis, y: Axis, points: impl Iterator<Item = (f64, f64)>) -> Panel {
    let points = points.map(point).collect();
    let series = vec![Series { label: prefixes.name.clone(), marks: Marks::Curve, points }];
    Panel { heading: Some(heading.to_owned()), x, y, series, references: Vec::new() }
}

fn point((x, y): (f64, f64)) -> Point {
    Point::new(Estimate::exact(x), Estimate::exact(y))
}

fn capacities(prefixes: &Prefixes) -> Panel {
    let curve = prefixes.lru.iter().map(|&(tokens, share)| (tokens / 1e6, 100.0 * share));
    let (x, y) = (Axis::new("Capacity (million tokens)", Scale::Log), Axis::new("Tokens hit (%)", Scale::FromZero));
    let infinite = 100.0 * prefixes.infinite;
    let references = vec![Reference { at: At::Y(infinite), label: format!("infinite {infinite:.1} %") }];
    Panel { references, ..panel(prefixes, "LRU cache", x, y, curve) }
}

fn popularity(prefixes: &Prefixes) -> Panel {
    let curve = prefixes.popularity.iter().map(|&(rank, uses)| (rank as f64, uses as f64));
    let (x, y) = (Axis::new("Prefix, by popularity", Scale::Log), Axis::new("Requests with it", Scale::Log));
    let Some((exponent, ends)) = prefixes.zipf else { return panel(prefixes, "Popularity", x, y, curve) };
    let mut panel = panel(prefixes, &format!("Popularity, Zipf s = {exponent:.2}"), x, y, curve);
    let points = ends.map(point).to_vec();
    panel.series.push(Series { label: "Zipf fit".to_owned(), marks: Marks::Guide, points });
    panel
}

fn reuse(prefixes: &Prefixes) -> Panel {
    // A logarithmic axis has no place for what returns at once; its share is in the height of the first point.
    let later = prefixes.reuse.iter().copied().filter(|&(seconds, _)| seconds > 0.0);
    let curve = later.map(|(seconds, share)| (seconds, 100.0 * share));
    let (x, y) = (Axis::new("Time since last use (s)", Scale::Log), Axis::new("Hits (%)", Scale::Percent));
    panel(prefixes, "Reuse distance", x, y, curve)
}
