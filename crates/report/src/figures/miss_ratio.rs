//! Miss ratio curves: what caches of each size miss, by eviction policy.

use crate::axis::{Axis, Scale};
use crate::estimate::Estimate;
use crate::figure::{Figure, Marks, Panel, Point, Series};

/// A curve for each policy: capacities in blocks with the share of prompt tokens that missed. Policies with one curve
/// share it, since the last drawn would hide the others.
pub fn figure(curves: &[(String, Vec<(u64, f64)>)]) -> Figure {
    let point =
        |&(capacity, miss): &(u64, f64)| Point::new(Estimate::exact(capacity as f64), Estimate::exact(miss * 100.0));
    let mut series: Vec<Series> = Vec::new();
    for (label, points) in curves {
        let points: Vec<Point> = points.iter().map(point).collect();
        match series.iter_mut().find(|other| other.points == points) {
            Some(same) => same.label = format!("{}, {label}", same.label),
            None => series.push(Series { label: label.clone(), marks: Marks::Line, points }),
        }
    }
    let panel = Panel {
        heading: None,
        x: Axis::new("Cache (blocks)", Scale::Log),
        y: Axis::new("Prompt tokens missed (%)", Scale::Linear),
        series,
        references: Vec::new(),
    };
    Figure { name: "miss-ratio".into(), title: "Miss ratio".into(), panels: vec![panel], ..Figure::default() }
}
