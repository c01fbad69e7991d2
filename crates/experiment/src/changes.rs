//! `changes.csv`: what a change of the cluster did, against the same requests without it.
//!
//! The mix of requests moves hit ratios and latencies more than most changes do. A run of the same seed on a cluster that
//! changes otherwise has the same requests at the same times, so the difference of the two shows the change alone.

use crate::metrics::FleetMetrics;
use crate::plan::{Group, Plan};
use crate::recovery::{Recovery, Service};
use crate::scenario::Scenario;
use crate::stats::{Interval, t_interval};
use crate::summary::{Row, by_group, csv, interval_fields, key, key_header, number};

/// Differences are means of so many 10 s windows.
const SMOOTHED: usize = 3;

/// What of a service is compared, and how much worse it is than another.
struct Figure {
    name: &'static str,
    worse: fn(&Service, &Service) -> Option<f64>,
}

const FIGURES: [Figure; 3] = [
    Figure { name: "hit_ratio", worse: |case, control| Some(control.hit_ratio? - case.hit_ratio?) },
    Figure { name: "attainment", worse: |case, control| Some(control.attainment? - case.attainment?) },
    Figure { name: "ttft_p90_s", worse: |case, control| Some(case.ttft_p90_s? - control.ttft_p90_s?) },
];

/// One run after its first change beside the control.
struct Pair<'a> {
    case: (&'a FleetMetrics, &'a Recovery),
    control: (&'a FleetMetrics, &'a Recovery),
}

/// How much worse it got and for how long.
#[derive(Debug, PartialEq)]
struct Dip {
    worst: Interval,
    /// From the first change to the beginning of the worst 30 s.
    worst_at_s: f64,
    /// To the beginning of the first 30 s, the worst or later, whose difference may be none.
    recovery_s: Option<f64>,
    /// Later than 60 s after the last change.
    settled: Option<Interval>,
}

/// One line for each figure of each group that changed and has a control, which also changed, if only in nothing that
/// matters. `None` when there is no such line.
pub(crate) fn changes(plan: &Plan, rows: &[Row<'_>]) -> Option<Vec<u8>> {
    let mut header = key_header(plan);
    let columns = "metric n worst worst_lo worst_hi worst_at_s recovery_s settled settled_lo settled_hi";
    header.extend(columns.split(' ').map(str::to_owned));
    let groups = by_group(rows);
    let mut lines = Vec::new();
    for (group, members) in &groups {
        let control = groups.iter().find(|(other, _)| is_control(other, group));
        let Some((_, controls)) = control.filter(|(control, _)| control.point != group.point) else { continue };
        let pairs: Vec<Pair<'_>> = members.iter().filter_map(|row| pair(row, controls)).collect();
        for figure in &FIGURES {
            let Some(dip) = dip(&pairs, figure) else { continue };
            let mut line = key(plan, group);
            line.push(figure.name.to_owned());
            line.extend(interval_fields(&dip.worst));
            line.extend([number(Some(dip.worst_at_s)), number(dip.recovery_s)]);
            let settled = dip.settled.map_or_else(Default::default, |settled| interval_fields(&settled));
            line.extend(settled.into_iter().skip(1));
            lines.push(line);
        }
    }
    (!lines.is_empty()).then(|| csv(header, lines.into_iter()))
}

/// Whether a group differs from another in nothing but how many instances there are and what happens to them. The first
/// such group of a plan is the control of the others.
fn is_control(control: &Group, of: &Group) -> bool {
    let mut same = of.scenario.clone();
    let Scenario { event, dynamics, autoscaler, .. } = control.scenario.clone();
    (same.event, same.dynamics, same.autoscaler, same.seed) = (event, dynamics, autoscaler, control.scenario.seed);
    same.cluster.instances = control.scenario.cluster.instances;
    control.label == of.label && same == control.scenario
}

fn pair<'a>(row: &Row<'a>, controls: &[&Row<'a>]) -> Option<Pair<'a>> {
    let changed = |row: &Row<'a>| {
        let fleet = row.result?.metrics.fleet.as_ref()?;
        Some((fleet, fleet.recovery.as_ref()?))
    };
    let control = controls.iter().find(|control| control.seed == row.seed)?;
    Some(Pair { case: changed(row)?, control: changed(control)? })
}

fn dip(pairs: &[Pair<'_>], figure: &Figure) -> Option<Dip> {
    let courses: Vec<Vec<Option<f64>>> = pairs.iter().map(|pair| course(pair, figure)).collect();
    let longest = courses.iter().map(Vec::len).max()?;
    // Means over seeds of what begins equally long after the first change.
    let step = |n: usize| {
        let values: Vec<f64> = courses.iter().filter_map(|course| *course.get(n)?).collect();
        t_interval(&values).filter(|interval| interval.n == courses.len())
    };
    let steps: Vec<Option<Interval>> = (0..longest).map(step).collect();
    let means = steps.iter().enumerate().filter_map(|(n, step)| Some((n, step.as_ref()?.mean)));
    // The first one of several that are worst.
    let (at, _) = means.reduce(|most, next| if next.1 > most.1 { next } else { most })?;
    let seconds = |n: usize| n as f64 * 10.0;
    let none = |step: &Interval| step.ends.is_none_or(|(lo, _)| lo <= 0.0);
    let back = (at..longest).find(|&n| steps[n].as_ref().is_some_and(none));
    let settled = |pair: &Pair<'_>| (figure.worse)(&pair.case.1.settled, &pair.control.1.settled);
    let settled: Vec<f64> = pairs.iter().filter_map(settled).collect();
    Some(Dip {
        worst: steps[at]?,
        worst_at_s: seconds(at),
        // What never got worse needs no time.
        recovery_s: back.map(|n| if n == at { 0.0 } else { seconds(n) }),
        settled: t_interval(&settled),
    })
}

/// By how much the 30 s that begin with the first change, and each later multiple of 10 s, are worse.
fn course(pair: &Pair<'_>, figure: &Figure) -> Vec<Option<f64>> {
    let ((case, recovery), (control, _)) = (pair.case, pair.control);
    let single: Vec<Option<f64>> = case
        .windows
        .iter()
        .filter(|window| window.from_s + 10.0 > recovery.from_s)
        .map(|window| {
            let same = control.windows.iter().find(|other| (other.from_s - window.from_s).abs() < 1.0)?;
            (figure.worse)(&window.service, &same.service)
        })
        .collect();
    let mean = |part: &[Option<f64>]| Some(part.iter().copied().sum::<Option<f64>>()? / SMOOTHED as f64);
    single.windows(SMOOTHED).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::FleetWindow;

    /// A run with a change at 20 s and these hit ratios by 10 s.
    fn run(hit_ratios: &[f64]) -> (FleetMetrics, Recovery) {
        let service = |hit_ratio| Service { hit_ratio: Some(hit_ratio), ..Service::default() };
        let window = |(n, &hit): (usize, &f64)| FleetWindow {
            from_s: n as f64 * 10.0,
            members: 1,
            requests: 1,
            service: service(hit),
        };
        let recovery = Recovery {
            from_s: 20.0,
            until_s: 20.0,
            before: Service::default(),
            worst: Service::default(),
            settled: service(hit_ratios[hit_ratios.len() - 1]),
            hit_ratio_recovery_s: None,
            attainment_recovery_s: None,
        };
        let fleet = FleetMetrics {
            instance_hours: 1.0,
            violations: None,
            retries: 0,
            lost: 0,
            hung_up: 0,
            joined: 0,
            stopped: 0,
            failed: 0,
            recovery: Some(recovery),
            windows: hit_ratios.iter().enumerate().map(window).collect(),
        };
        (fleet, recovery)
    }

    /// Against a control whose hit ratio is 0.6.
    fn dip_of(seeds: &[[f64; 9]]) -> Dip {
        let control = run(&[0.6; 9]);
        let runs: Vec<_> = seeds.iter().map(|seed| run(seed)).collect();
        let pairs: Vec<_> = runs
            .iter()
            .map(|(fleet, recovery)| Pair { case: (fleet, recovery), control: (&control.0, &control.1) })
            .collect();
        dip(&pairs, &FIGURES[0]).unwrap()
    }

    #[test]
    fn a_dip_is_the_worst_mean_and_ends_where_no_difference_is_seen() {
        let near = |got: f64, wanted: f64| (got - wanted).abs() < 1e-9;
        // What comes before the change does not count. The 30 s from 30 s on are worst: 0.3 below.
        let falls = [0.1, 0.1, 0.6, 0.3, 0.3, 0.3, 0.6, 0.6, 0.6];
        let found = dip_of(&[falls, falls]);
        assert!(near(found.worst.mean, 0.3), "{found:?}");
        assert_eq!((found.worst.n, found.worst_at_s, found.recovery_s), (2, 10.0, Some(40.0)));
        assert!(near(found.settled.unwrap().mean, 0.0));
        // It stays below.
        let found = dip_of(&[[0.4; 9], [0.3; 9]]);
        assert!(near(found.worst.mean, 0.25) && near(found.settled.unwrap().mean, 0.25), "{found:?}");
        assert_eq!(found.recovery_s, Some(0.0), "two seeds so far apart show nothing");
        assert_eq!(dip_of(&[[0.4; 9], [0.4; 9]]).recovery_s, None);
        // It never falls.
        let found = dip_of(&[[0.7; 9], [0.7; 9]]);
        assert!(near(found.worst.mean, -0.1) && found.recovery_s == Some(0.0), "{found:?}");
    }
}
