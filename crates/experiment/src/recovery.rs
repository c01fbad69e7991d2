//! What the changes of a cluster did to the service of those who arrived, and how long that lasted.
//!
//! Requests are looked at by arrival, in windows of 30 s that begin every 10 s from the first arrival on.

use serde::{Deserialize, Serialize};
use trimtab_core::{PS_PER_S, SimTime, Summary};
use trimtab_engine::{FleetRecord, Row};

use crate::objectives::Objectives;

const WIDTH: SimTime = SimTime(30 * PS_PER_S);
const PAUSE: SimTime = SimTime(10 * PS_PER_S);
/// Seconds from the beginning of a window to that of the next.
pub(crate) const PAUSE_S: f64 = 10.0;
/// So many windows in a row must be good: those that begin within a minute.
pub(crate) const LASTING: usize = 6;
/// How long before the first change service is taken as usual, and how long after the last one as usual again.
const CALM: SimTime = SimTime(60 * PS_PER_S);
/// A hit ratio has recovered at this share of what it was.
const NEAR: f64 = 0.95;
/// Attainment has recovered at this share of requests.
const TARGET: f64 = 0.9;

/// Service before, during and after the changes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// The first change, since the first arrival.
    pub from_s: f64,
    /// The last change up to the last arrival.
    pub until_s: f64,
    /// Arrivals of the 60 s before the first change.
    pub before: Service,
    /// The worst window that begins after the first change, of each figure by itself.
    pub worst: Service,
    /// Arrivals later than 60 s after the last change.
    pub settled: Service,
    /// From the first change to the beginning of the first window, the worst one or later, from which on a minute of
    /// windows have a hit ratio of at least 95 % of that before; 0 when none is below; absent when there is no such minute.
    pub hit_ratio_recovery_s: Option<f64>,
    /// The same for an attainment of at least 90 %.
    pub attainment_recovery_s: Option<f64>,
}

/// How the requests of some span were served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Hit tokens over prompt tokens.
    pub hit_ratio: Option<f64>,
    /// Share that met the TTFT objective.
    pub attainment: Option<f64>,
    /// 90 % of the times to first token, of those that had one.
    pub ttft_p90_s: Option<f64>,
}

impl Service {
    pub(crate) fn of(rows: &[Row], objectives: &Objectives) -> Self {
        let sum = |of: fn(&Row) -> u32| rows.iter().map(|row| u64::from(of(row))).sum::<u64>();
        let (hit, all) = (sum(|row| row.hit_tokens), sum(|row| row.prompt_tokens));
        let mut ttft: Vec<u64> = rows.iter().filter_map(Row::ttft).map(|time| time.0).collect();
        let p90 = (!ttft.is_empty()).then(|| Summary::of(&mut ttft).p90);
        Self {
            hit_ratio: (all > 0).then(|| hit as f64 / all as f64),
            attainment: objectives.ttft_attainment(rows.iter()),
            ttft_p90_s: p90.map(|ps| SimTime(ps).as_secs_f64()),
        }
    }
}

/// The service of 30 s of arrivals, beginning every 10 s from the first arrival on, as far as arrivals go.
pub(crate) fn moving(rows: &[Row], objectives: &Objectives) -> Vec<Service> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Vec::new() };
    let starts = (0..).map(|n| first.arrival + SimTime(n * PAUSE.0)).take_while(|&at| at + WIDTH <= last.arrival);
    starts.map(|at| Service::of(between(rows, at, at + WIDTH), objectives)).collect()
}

fn between(rows: &[Row], from: SimTime, to: SimTime) -> &[Row] {
    let before = |time: SimTime| rows.partition_point(|row| row.arrival < time);
    &rows[before(from)..before(to)]
}

/// The first of the moving windows that begins at a time, in seconds since the first arrival, or later.
pub(crate) fn first_from(seconds: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a run has fewer windows than 2^32")]
    let window = libm::ceil(seconds / PAUSE_S) as usize;
    window
}

/// What the changes did, from the service of [`moving`] windows; `None` when there was none while requests arrived.
pub(crate) fn recovery(
    rows: &[Row],
    record: &FleetRecord,
    objectives: &Objectives,
    moving: &[Service],
) -> Option<Recovery> {
    let (start, end) = (rows.first()?.arrival, rows.last()?.arrival);
    let mut changes = record.events.iter().map(|event| event.at).filter(|&at| at <= end);
    let from = changes.next()?;
    let until = changes.next_back().unwrap_or(from);
    let of = |from, to| Service::of(between(rows, from, to), objectives);
    let before = of(SimTime(from.0.saturating_sub(CALM.0)), from);
    let from_s = from.saturating_since(start).as_secs_f64();
    let course = |get: fn(&Service) -> Option<f64>| -> Vec<(f64, f64)> {
        let windows = moving.iter().enumerate().skip(first_from(from_s));
        windows.filter_map(|(n, service)| Some((n as f64 * PAUSE_S - from_s, get(service)?))).collect()
    };
    let (hits, attained) = (course(|service| service.hit_ratio), course(|service| service.attainment));
    let slowest = course(|service| service.ttft_p90_s).into_iter().map(|(_, seconds)| seconds).max_by(f64::total_cmp);
    let worst = |course: &[(f64, f64)]| lowest(course).map(|at| course[at].1);
    Some(Recovery {
        from_s,
        until_s: until.saturating_since(start).as_secs_f64(),
        before,
        worst: Service { hit_ratio: worst(&hits), attainment: worst(&attained), ttft_p90_s: slowest },
        settled: of(until + CALM, SimTime::MAX),
        hit_ratio_recovery_s: before.hit_ratio.and_then(|usual| back(&hits, NEAR * usual)),
        attainment_recovery_s: back(&attained, TARGET),
    })
}

/// When a course is at `enough` again for a minute.
fn back(course: &[(f64, f64)], enough: f64) -> Option<f64> {
    let worst = lowest(course)?;
    if course[worst].1 >= enough {
        return Some(0.0);
    }
    let good = |minute: &&[(f64, f64)]| minute.iter().all(|(_, value)| *value >= enough);
    course.windows(LASTING).skip(worst).find(good).map(|minute| minute[0].0)
}

/// Where a course is lowest, the first time.
fn lowest(course: &[(f64, f64)]) -> Option<usize> {
    (0..course.len()).min_by(|&a, &b| course[a].1.total_cmp(&course[b].1))
}

#[cfg(test)]
mod tests {
    use trimtab_core::{InstanceId, TenantId};
    use trimtab_engine::{FleetEvent, Happened, Outcome};

    use super::*;
    use crate::scenario::Slo;

    fn at(seconds: u64) -> SimTime {
        SimTime(seconds * PS_PER_S)
    }

    /// One request a second with prompts of 100 tokens. `of` says how many are hits and after how many seconds the first
    /// token comes.
    fn rows(seconds: u64, of: impl Fn(u64) -> (u32, u64)) -> Vec<Row> {
        let row = |second| {
            let (hit_tokens, ttft) = of(second);
            Row {
                arrival: at(second),
                routed: at(second),
                admitted: at(second),
                first_token: at(second + ttft),
                finish: at(second + ttft),
                instance: InstanceId(0),
                prompt_tokens: 100,
                hit_tokens,
                hit_blocks: 0,
                believed_tokens: 0,
                cached_tokens: 0,
                loaded_tokens: 0,
                recomputed_tokens: 0,
                output_tokens: 1,
                preemptions: 0,
                migrations: 0,
                tenant: TenantId(0),
                priority: 0,
                retries: 0,
                lost: 0,
                hung_up: 0,
                outcome: Outcome::Completed,
            }
        };
        (0..seconds).map(row).collect()
    }

    fn changes(seconds: &[u64]) -> FleetRecord {
        let event =
            |&second| FleetEvent { at: at(second), instance: InstanceId(0), what: Happened::Joined, members: 1 };
        FleetRecord { events: seconds.iter().map(event).collect(), ..FleetRecord::default() }
    }

    fn objectives() -> Objectives {
        Objectives::of(&Slo { ttft_s: Some(5.0), ..Slo::default() })
    }

    fn recovery_of(rows: &[Row], record: &FleetRecord) -> Option<Recovery> {
        recovery(rows, record, &objectives(), &moving(rows, &objectives()))
    }

    #[test]
    fn a_dip_and_its_end_by_hand() {
        // Changes at 100 s and 120 s. Hits halve for 60 s; first tokens are late from 110 s to 145 s.
        let of = |second| {
            let hit = if (100..160).contains(&second) { 30 } else { 60 };
            (hit, if (110..145).contains(&second) { 8 } else { 1 })
        };
        let found = recovery_of(&rows(300, of), &changes(&[100, 120, 299, 400])).unwrap();
        assert_eq!((found.from_s, found.until_s), (100.0, 299.0));
        let service = |hit_ratio, attainment, ttft_p90_s| Service {
            hit_ratio: Some(hit_ratio),
            attainment: Some(attainment),
            ttft_p90_s: Some(ttft_p90_s),
        };
        assert_eq!(found.before, service(0.6, 1.0, 1.0));
        assert_eq!(found.worst, service(0.3, 0.0, 8.0));
        assert_eq!(found.settled, Service::default());
        // The window from 150 s on has 10 of 30 requests with few hits, that from 160 s none; 57 % are enough. That from
        // 140 s has 5 late ones of 30, that from 150 s none.
        assert_eq!((found.hit_ratio_recovery_s, found.attainment_recovery_s), (Some(60.0), Some(50.0)));
        let settled = recovery_of(&rows(300, of), &changes(&[100, 120])).unwrap().settled;
        assert_eq!(settled, service(0.6, 1.0, 1.0));
    }

    #[test]
    fn what_never_falls_needs_no_time_and_what_never_rises_has_none() {
        let falls = |hit, ttft| move |second| if second < 100 { (60, 1) } else { (hit, ttft) };
        for (hit, ttft, hits_back, attained_back) in
            [(60, 1, Some(0.0), Some(0.0)), (58, 1, Some(0.0), Some(0.0)), (50, 9, None, None)]
        {
            let found = recovery_of(&rows(200, falls(hit, ttft)), &changes(&[100])).unwrap();
            assert_eq!((found.hit_ratio_recovery_s, found.attainment_recovery_s), (hits_back, attained_back), "{hit}");
        }
        // Attainment that was bad before comes back, too: a cluster that grows.
        let grows = |second| (0, if second < 130 { 9 } else { 1 });
        let found = recovery_of(&rows(260, grows), &changes(&[100])).unwrap();
        assert_eq!((found.before.attainment, found.attainment_recovery_s), (Some(0.0), Some(30.0)));
    }

    #[test]
    fn a_moment_of_good_service_is_no_recovery() {
        // In time from 130 s to 170 s, and late again until 200 s. The change is at 95 s, the next window at 100 s.
        let of = |second| (0, if (100..130).contains(&second) || (170..200).contains(&second) { 9 } else { 1 });
        let found = recovery_of(&rows(400, of), &changes(&[95])).unwrap();
        assert_eq!((found.from_s, found.attainment_recovery_s), (95.0, Some(105.0)));
    }

    #[test]
    fn without_a_change_while_requests_arrive_there_is_nothing() {
        let steady = rows(50, |_| (0, 1));
        for seconds in [&[][..], &[60]] {
            assert_eq!(recovery_of(&steady, &changes(seconds)), None);
        }
        assert_eq!(recovery_of(&[], &changes(&[1])), None);
        // Too late for a window of its own.
        let found = recovery_of(&steady, &changes(&[45])).unwrap();
        assert_eq!((found.worst, found.hit_ratio_recovery_s), (Service::default(), None));
    }
}
