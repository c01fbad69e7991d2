//! Share of prompt tokens found cached, by eviction policy.

use super::{Axis, Figure, FigureDef, Marks, Panel, Point, Results, Scale, Slice, Unavailable, drawn, lacks, series};
use crate::estimate::Estimate;

pub(super) const DEF: FigureDef = FigureDef {
    name: "hit-ratio-by-eviction",
    summary: "prefix cache hit ratio (tokens) by eviction policy, a panel for each workload or other setting; intervals from three seeds on",
    needs: "at least two values of `cluster.eviction`",
    build,
};

const EVICTION: &str = "cluster.eviction";

/// The slices that differ in their eviction policy alone, and what they have that others don't.
type Group<'a> = (String, Vec<(String, Slice<'a>)>);

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    if results.variety(EVICTION) < 2 {
        return Err(lacks(&DEF));
    }
    let mut groups: Vec<Group<'_>> = Vec::new();
    for slice in results.slices(&[]) {
        let of = |wanted: bool| slice.settings().filter(move |&(name, _)| (name == EVICTION) == wanted);
        let policy = of(true).map(|(_, value)| value.to_owned()).collect();
        let case = of(false).find(|&(name, _)| name == "case").map(|(_, value)| value.to_owned());
        let others = || of(false).map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ");
        let heading = case.unwrap_or_else(others);
        match groups.iter_mut().find(|(other, _)| *other == heading) {
            Some((_, slices)) => slices.push((policy, slice)),
            None => groups.push((heading, vec![(policy, slice)])),
        }
    }
    let panels = groups.iter().map(panel).collect();
    let title = "Hit ratio by eviction policy".to_owned();
    drawn(vec![Figure { name: DEF.name.to_owned(), title, panels, ..Figure::default() }], &DEF)
}

/// How much of a row its schedulers take.
const SPREAD: f64 = 0.6;

/// The 95 % interval of two seeds is nine of their standard deviations wide to each side: beside a dozen others it shows
/// nothing, and hides them.
fn shown(hits: Estimate) -> Estimate {
    if hits.n > 2 { hits } else { hits.bare() }
}

/// The first policy stands on top. Schedulers of a row stand one above the other, for their intervals would hide each
/// other.
fn panel((heading, slices): &Group<'_>) -> Panel {
    let places = || slices.iter().rev().enumerate();
    let labels = slices.first().map(|(_, slice)| slice.labels()).unwrap_or_default();
    let points = |label: &str| {
        let number = labels.iter().position(|other| other == label).unwrap_or(0) as f64;
        let above = SPREAD * (0.5 - (number + 0.5) / labels.len() as f64);
        let at = |(place, (_, slice)): (usize, &(String, Slice<'_>))| {
            let hits = slice.estimate(label, "hit_ratio_tokens")?.map(|share| share * 100.0).within(0.0, 100.0);
            Some(Point::new(shown(hits), Estimate::exact(place as f64 + above)))
        };
        places().filter_map(at).collect()
    };
    Panel {
        heading: (!heading.is_empty()).then(|| heading.clone()),
        x: Axis::new("Prompt tokens hit (%)", Scale::Linear),
        y: Axis::new("", Scale::Names(places().map(|(_, (policy, _))| policy.clone()).collect())),
        series: slices.first().map(|(_, slice)| series(slice, Marks::Dots, points)).unwrap_or_default(),
        references: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seeds_have_no_interval() {
        for (n, wide) in [(1, false), (2, false), (3, true)] {
            let hits = Estimate { n, interval: Some((1.0, 9.0)), ..Estimate::exact(5.0) };
            assert_eq!(shown(hits).interval.is_some(), wide, "{n}");
            assert_eq!((shown(hits).mean, shown(hits).n), (5.0, n));
        }
    }
}
