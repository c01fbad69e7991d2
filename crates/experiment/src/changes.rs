//! `changes.csv`: what a change of the cluster did, against the same requests without it.
//!
//! The mix of requests moves hit ratios and latencies more than most changes do. A run of the same seed on a cluster that
//! changes otherwise has the same requests at the same times, so the difference of the two shows the change alone.

use crate::metrics::FleetMetrics;
use crate::plan::{Group, Plan};
use crate::recovery::{LASTING, PAUSE_S, Recovery, Service, first_from};
use crate::scenario::Scenario;
use crate::stats::{Interval, t_interval};
use crate::summary::{Row, by_group, csv, interval_fields, key, key_header, number};

/// Windows of 30 s that begin every 10 s: every third one begins where another ends.
const APART: usize = 3;
/// After this long the service has settled.
const CALM_S: f64 = 60.0;

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

/// One run that changed beside the control.
struct Pair<'a> {
    case: &'a FleetMetrics,
    changed: &'a Recovery,
    control: &'a FleetMetrics,
}

/// How much worse it got and for how long.
#[derive(Debug, PartialEq)]
struct Dip {
    /// In the first minute after the first change.
    first: Option<Interval>,
    worst: f64,
    /// From the first change to the beginning of the worst 30 s.
    worst_at_s: f64,
    /// To the beginning of the first 30 s, the worst or later, from which on a minute of windows may be no worse.
    recovery_s: Option<f64>,
    /// Later than 60 s after the last change of either.
    settled: Option<Interval>,
}

/// One line for each figure of each group that changed and has a control, whose windows were kept because it could change,
/// too. `None` when there is no such line.
pub(crate) fn changes(plan: &Plan, rows: &[Row<'_>]) -> Option<Vec<u8>> {
    let mut header = key_header(plan);
    let columns = "metric n first first_lo first_hi worst worst_at_s recovery_s settled settled_lo settled_hi";
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
            let ends = |interval: Option<Interval>| interval.map_or_else(Default::default, |it| interval_fields(&it));
            line.push(pairs.len().to_string());
            line.extend(ends(dip.first).into_iter().skip(1));
            line.extend([Some(dip.worst), Some(dip.worst_at_s), dip.recovery_s].map(number));
            line.extend(ends(dip.settled).into_iter().skip(1));
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
    let fleet = |row: &Row<'a>| row.result?.metrics.fleet.as_ref();
    let control = controls.iter().find(|control| control.seed == row.seed)?;
    let case = fleet(row)?;
    Some(Pair { case, changed: case.recovery.as_ref()?, control: fleet(control)? })
}

fn dip(pairs: &[Pair<'_>], figure: &Figure) -> Option<Dip> {
    let courses: Vec<Vec<Option<f64>>> = pairs.iter().map(|pair| course(pair, figure)).collect();
    let longest = courses.iter().map(Vec::len).max()?;
    // Means over seeds of what begins equally long after the first change.
    let step = |n: usize| {
        let values: Vec<f64> = courses.iter().filter_map(|course| *course.get(n)?).collect();
        t_interval(&values).filter(|interval| interval.n == courses.len())
    };
    // As far as all seeds have arrivals.
    let steps: Vec<Interval> = (0..longest).map_while(step).collect();
    let means = steps.iter().map(|step| step.mean).enumerate();
    // The first one of several that are worst.
    let (at, worst) = means.reduce(|most, next| if next.1 > most.1 { next } else { most })?;
    // With one seed any difference is taken for one.
    let lost = |step: &Interval| step.ends.map_or(step.mean, |(lo, _)| lo) > 0.0;
    let back = || steps.windows(LASTING).enumerate().skip(at).find(|(_, minute)| !minute.iter().any(lost));
    let changed = pairs.first()?.changed.from_s;
    let seconds = |n: usize| (first_from(changed) + n) as f64 * PAUSE_S - changed;
    let first = |course: &Vec<Option<f64>>| mean(&[*course.first()?, *course.get(APART)?]);
    let first: Vec<f64> = courses.iter().filter_map(first).collect();
    let runs = courses.iter().zip(pairs);
    let settled: Vec<f64> = runs.filter_map(|(course, pair)| mean(settled(course, pair)?)).collect();
    Some(Dip {
        first: t_interval(&first),
        worst,
        worst_at_s: seconds(at),
        recovery_s: if steps.iter().any(lost) { back().map(|(n, _)| seconds(n)) } else { Some(0.0) },
        settled: t_interval(&settled),
    })
}

/// By how much the windows that begin after the first change are worse.
fn course(pair: &Pair<'_>, figure: &Figure) -> Vec<Option<f64>> {
    let both = pair.case.moving.iter().zip(&pair.control.moving).skip(first_from(pair.changed.from_s));
    both.map(|(case, control)| (figure.worse)(case, control)).collect()
}

/// The part of a course that begins 60 s after the last change of either run.
fn settled<'a>(course: &'a [Option<f64>], pair: &Pair<'_>) -> Option<&'a [Option<f64>]> {
    let last = pair.control.recovery.map_or(0.0, |control| control.until_s).max(pair.changed.until_s);
    course.get(first_from(last + CALM_S) - first_from(pair.changed.from_s)..)
}

/// The mean of those that there are.
fn mean(values: &[Option<f64>]) -> Option<f64> {
    let values: Vec<f64> = values.iter().copied().flatten().collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run with a change at 15 s and these hit ratios of 30 s, every 10 s.
    fn run(hit_ratios: &[f64]) -> FleetMetrics {
        let service = |&hit_ratio: &f64| Service { hit_ratio: Some(hit_ratio), ..Service::default() };
        let none = Service::default();
        FleetMetrics {
            instance_hours: 1.0,
            violations: None,
            retries: 0,
            lost: 0,
            hung_up: 0,
            abandoned: 0,
            turned_back: 0,
            joined: 0,
            stopped: 0,
            failed: 0,
            recovery: Some(Recovery {
                from_s: 15.0,
                until_s: 15.0,
                before: none,
                worst: none,
                settled: none,
                hit_ratio_recovery_s: None,
                attainment_recovery_s: None,
            }),
            moving: hit_ratios.iter().map(service).collect(),
            windows: Vec::new(),
        }
    }

    /// Against a control whose hit ratio is 0.6.
    fn dip_of(seeds: &[Vec<f64>]) -> Dip {
        let runs: Vec<_> = seeds.iter().map(|seed| run(seed)).collect();
        let control = run(&vec![0.6; seeds[0].len()]);
        let changed = control.recovery.unwrap();
        let pairs: Vec<_> = runs.iter().map(|case| Pair { case, changed: &changed, control: &control }).collect();
        dip(&pairs, &FIGURES[0]).unwrap()
    }

    fn near(got: f64, wanted: f64) -> bool {
        (got - wanted).abs() < 1e-9
    }

    #[test]
    fn a_dip_by_hand() {
        // What begins before the change, at 15 s, does not count. The next windows begin 5 s after it.
        let mut falls = vec![0.6; 20];
        falls[..7].copy_from_slice(&[0.1, 0.1, 0.5, 0.3, 0.3, 0.4, 0.6]);
        let found = dip_of(&[falls.clone(), falls]);
        assert!(near(found.first.unwrap().mean, 0.15) && near(found.worst, 0.3), "{found:?}");
        assert_eq!((found.worst_at_s, found.recovery_s), (15.0, Some(45.0)));
        assert!(near(found.settled.unwrap().mean, 0.0), "{found:?}");
    }

    #[test]
    fn recovery_lasts_a_minute_and_needs_evidence() {
        let steps = |of: fn(usize) -> f64| (0..20).map(of).collect::<Vec<f64>>();
        // Good for 50 s in between.
        let falls = steps(|n| if n < 4 || n == 9 { 0.3 } else { 0.6 });
        assert_eq!(dip_of(&[falls.clone(), falls]).recovery_s, Some(85.0));
        // It stays below.
        assert_eq!(dip_of(&[vec![0.4; 20], vec![0.41; 20]]).recovery_s, None);
        // It never falls; two seeds are too far apart; one seed that falls.
        assert_eq!(dip_of(&[vec![0.7; 20], vec![0.7; 20]]).recovery_s, Some(0.0));
        assert_eq!(dip_of(&[vec![0.5; 20], vec![0.65; 20]]).recovery_s, Some(0.0));
        assert_eq!(dip_of(&[vec![0.5; 20]]).recovery_s, None);
    }
}
