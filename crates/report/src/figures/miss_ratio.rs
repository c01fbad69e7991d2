//! Miss ratio curves: what caches of each size miss, by eviction policy.

use crate::axis::{Axis, Scale};
use crate::estimate::Estimate;
use crate::figure::{Figure, Marks, Panel, Point, Series};

/// A curve for each policy: capacities in blocks with the share of prompt tokens that missed.
pub fn figure(curves: &[(String, Vec<(u64, f64)>)]) -> Figure {
    let point =
        |&(capacity, miss): &(u64, f64)| Point::new(Estimate::exact(capacity as f64), Estimate::exact(miss * 100.0));
    let series = curves.iter().map(|(label, points)| Series {
        label: label.clone(),
        marks: Marks::Line,
        points: points.iter().map(point).collect(),
    });
    let panel = Panel {
        heading: None,
        x: Axis::new("Cache (blocks)", Scale::Log),
        y: Axis::new("Prompt tokens missed (%)", Scale::Linear),
        series: series.collect(),
        references: Vec::new(),
    };
    Figure { name: "miss-ratio".into(), title: "Miss ratio".into(), panels: vec![panel], ..Figure::default() }
}
