//! The highest rate that meets the objectives, as an interval.
//!
//! Rates come from a ladder with equal ratios between its rungs, the same for all schedulers, so that schedulers meet on
//! equal rates with equal seeds. Each rung that is tried is a set of ordinary cells: a search that is resumed finds them.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::plan::Group;
use crate::results::{CellResult, SweepError};
use crate::spec::Search;
use crate::stats::{Interval, Verdict, t_interval};
use crate::summary::{self, number};
use crate::sweep::{Ended, Outcome, RowResult, Runner, extended};
use crate::warn::{DRIFT, remarks};

/// What one run says about its rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Share of requests within all objectives.
    pub attainment: f64,
    /// Growth of the queue as a share of arrivals.
    pub drift_share: f64,
}

/// What a rate came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The lower bound of its attainment reaches the target, and its queue does not grow.
    Pass,
    /// The upper bound of its attainment is below the target.
    Fail,
    /// Neither, with as many seeds as there may be.
    Undecided,
}

/// One rate that was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Rung of the ladder.
    pub rung: usize,
    /// Its rate.
    pub rate_rps: f64,
    /// Share of requests within all objectives, over seeds.
    pub attainment: Interval,
    /// Growth of the queue as a share of arrivals, over seeds.
    pub drift_share: Interval,
    /// What follows.
    pub answer: Answer,
}

/// The capacity of one scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// Index into [`crate::plan::Plan::groups`].
    pub group: usize,
    /// The highest rate up to which every rate tried has passed; absent when the lowest one did not.
    pub lo_rps: Option<f64>,
    /// The lowest rate that failed; absent when none did.
    pub hi_rps: Option<f64>,
    /// Whether no rate passed above one that failed.
    pub monotone: bool,
    /// Everything that was tried, by rate.
    pub probes: Vec<Probe>,
}

impl Capacity {
    fn of(group: usize, mut probes: Vec<Probe>) -> Self {
        probes.sort_by_key(|p| p.rung);
        let passed = probes.iter().take_while(|p| p.answer == Answer::Pass).count();
        let fail = probes.iter().position(|p| p.answer == Answer::Fail);
        let monotone = fail.is_none_or(|fail| probes[fail..].iter().all(|p| p.answer != Answer::Pass));
        let lo_rps = passed.checked_sub(1).map(|i| probes[i].rate_rps);
        Self { group, lo_rps, hi_rps: fail.map(|i| probes[i].rate_rps), monotone, probes }
    }

    /// `at least`, `at most` or `unknown` when the ladder ends before the capacity does; else empty.
    pub fn censored(&self) -> &'static str {
        match (self.lo_rps, self.hi_rps) {
            (Some(_), Some(_)) => "",
            (Some(_), None) => "at least",
            (None, Some(_)) => "at most",
            (None, None) => "unknown",
        }
    }

    /// Ours over theirs: the smallest and largest ratio that both intervals allow.
    pub fn ratio(&self, other: &Self) -> (Option<f64>, Option<f64>) {
        let over = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
        (over(self.lo_rps, other.hi_rps), over(self.hi_rps, other.lo_rps))
    }

    /// The plain answer to which is higher: intervals that touch do not tell.
    pub fn verdict(&self, other: &Self) -> Verdict {
        match self.ratio(other) {
            (Some(lo), _) if lo >= 1.0 => Verdict::Better,
            (_, Some(hi)) if hi <= 1.0 => Verdict::Worse,
            _ => Verdict::NotDistinguishable,
        }
    }
}

/// The rates that may be tried: equal ratios, four significant digits, from `low` to `high`.
pub fn ladder(low: f64, high: f64, tolerance: f64) -> Vec<f64> {
    let mut rates: Vec<f64> = Vec::new();
    let mut rate = low;
    while rate < high {
        // Printed and read back, so that a rate in a table is the rate that was run.
        let rounded: f64 = format!("{rate:.3e}").parse().expect("a float prints as a number");
        if rates.last().is_none_or(|&last| rounded > last) {
            rates.push(rounded);
        }
        rate *= 1.0 + tolerance;
    }
    if rates.last().is_none_or(|&last| last < high) {
        rates.push(high);
    }
    rates
}

/// Runs a rate with some seeds: one sample per seed, or none to give up.
type Measure<'a, E> = dyn FnMut(f64, &[u64]) -> Result<Vec<Sample>, E> + 'a;

/// What decides a probe.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Share of requests that must be within all objectives.
    pub target: f64,
    /// The first seeds of every probe.
    pub seeds: Vec<u64>,
    /// No more seeds than this.
    pub max_seeds: usize,
}

impl Rule {
    fn answer(&self, attainment: &Interval, drift: &Interval) -> Answer {
        let Some((lo, hi)) = attainment.ends else { return Answer::Undecided };
        let growing = drift.ends.is_some_and(|(lo, _)| lo > DRIFT);
        if hi < self.target {
            Answer::Fail
        } else if lo >= self.target && !growing {
            Answer::Pass
        } else {
            Answer::Undecided
        }
    }

    /// Tries one rate with more and more seeds until it is decided.
    fn probe<E>(&self, (rung, rate_rps): (usize, f64), measure: &mut Measure<'_, E>) -> Result<Option<Probe>, E> {
        let mut n = self.seeds.len().max(2).min(self.max_seeds.max(self.seeds.len()));
        loop {
            let samples = measure(rate_rps, &extended(&self.seeds, n))?;
            let of = |f: fn(&Sample) -> f64| t_interval(&samples.iter().map(f).collect::<Vec<_>>());
            let (Some(attainment), Some(drift_share)) = (of(|s| s.attainment), of(|s| s.drift_share)) else {
                return Ok(None);
            };
            let answer = self.answer(&attainment, &drift_share);
            if answer != Answer::Undecided || n >= self.max_seeds {
                return Ok(Some(Probe { rung, rate_rps, attainment, drift_share, answer }));
            }
            n = (n + n.div_ceil(2)).min(self.max_seeds);
        }
    }
}

/// Finds the rungs between which the capacity lies. `start` is where it probably is. `measure` returns one sample per
/// seed, or none to give up.
pub fn search<E>(
    ladder: &[f64],
    rule: &Rule,
    start: Option<usize>,
    mut measure: impl FnMut(f64, &[u64]) -> Result<Vec<Sample>, E>,
) -> Result<Vec<Probe>, E> {
    let mut probes: Vec<Probe> = Vec::new();
    let mut answer = |rung: usize| -> Result<Option<Answer>, E> {
        if let Some(known) = probes.iter().find(|p| p.rung == rung) {
            return Ok(Some(known.answer));
        }
        let probe = rule.probe((rung, ladder[rung]), &mut measure)?;
        probes.extend(probe);
        Ok(probe.map(|p| p.answer))
    };
    let top = ladder.len() - 1;
    let first = start.unwrap_or(top / 2).min(top);
    let step = if start.is_some() { 2 } else { (top / 16).max(1) };
    // The lower edge: the last rung that passes. Then the upper edge: the first that fails.
    let passes = edge(first, step, top, |rung| Ok(answer(rung)?.map(|a| a == Answer::Pass)))?;
    let above = match passes {
        None => return Ok(probes),
        Some(Edge::BelowAll) => 0,
        Some(Edge::After(rung)) => rung,
    };
    edge(above, step, top, |rung| Ok(answer(rung)?.map(|a| a != Answer::Fail)))?;
    probes.sort_by_key(|p| p.rung);
    Ok(probes)
}

/// Where something stops holding.
#[derive(Clone, Copy)]
enum Edge {
    /// It does not hold on the lowest rung.
    BelowAll,
    /// This is the last rung on which it holds.
    After(usize),
}

/// The last rung that holds, if all rungs below the edge hold and none above: strides of growing length until the edge
/// is between two of them, then halves. `None` when a rung gave no answer.
fn edge<E>(
    first: usize,
    step: usize,
    top: usize,
    mut holds: impl FnMut(usize) -> Result<Option<bool>, E>,
) -> Result<Option<Edge>, E> {
    macro_rules! ask {
        ($rung:expr) => {
            match holds($rung)? {
                Some(answer) => answer,
                None => return Ok(None),
            }
        };
    }
    let (mut below, mut above, mut stride) = (None, None, step);
    let mut rung = first;
    while below.is_none() || above.is_none() {
        if ask!(rung) {
            below = Some(rung);
            if rung == top {
                return Ok(Some(Edge::After(top)));
            }
            rung = (rung + stride).min(top);
        } else {
            above = Some(rung);
            if rung == 0 {
                return Ok(Some(Edge::BelowAll));
            }
            rung = rung.saturating_sub(stride);
        }
        stride *= 2;
    }
    let (mut below, mut above) = (below.expect("found above"), above.expect("found above"));
    while above > below + 1 {
        let middle = usize::midpoint(below, above);
        if ask!(middle) { below = middle } else { above = middle }
    }
    Ok(Some(Edge::After(below)))
}

/// Searches the capacity of every group of a plan: the schedulers of a point one after the other, each starting where the
/// one before ended; points in parallel.
pub(crate) fn search_plan(runner: &Runner<'_>, outcome: &mut Outcome) -> Result<(), SweepError> {
    let Search::Capacity { rate_rps, tolerance, max_seeds } = runner.plan.search else {
        unreachable!("only called for searches")
    };
    let seeds = runner.plan.seeds.clone();
    let max_seeds = max_seeds.unwrap_or(2 * seeds.len());
    let rule = Rule { target: runner.plan.attain, seeds, max_seeds };
    let ladder = ladder(rate_rps.low, rate_rps.high, tolerance);
    let points: Vec<Vec<usize>> = runner.units();
    let mine = |point: usize| runner.shard.is_none_or(|shard| point % shard.count == shard.index - 1);
    let found: Vec<Vec<Found>> = points
        .par_iter()
        .enumerate()
        .filter(|(point, _)| mine(*point))
        .map(|(_, groups)| {
            let mut found: Vec<Found> = Vec::new();
            for &group in groups {
                let known = found.last().and_then(|f| f.capacity.lo_rps.or(f.capacity.hi_rps));
                let start = known.and_then(|rate| ladder.iter().position(|&r| r >= rate));
                found.push(search_group(runner, group, &ladder, &rule, start)?);
            }
            Ok(found)
        })
        .collect::<Result<_, SweepError>>()?;
    let found: Vec<Found> = found.into_iter().flatten().collect();
    for one in &found {
        warnings(runner, one, outcome);
    }
    if runner.shard.is_none() {
        tables(runner, &found)?;
    }
    outcome.rows = found.iter().flat_map(|f| f.rows.iter().map(|(_, row)| row.clone())).collect();
    outcome.capacities = found.into_iter().map(|f| f.capacity).collect();
    Ok(())
}

/// A search and the cells behind it, with their rates, by rate and seed.
struct Found {
    capacity: Capacity,
    rows: Vec<(f64, RowResult)>,
}

fn search_group(
    runner: &Runner<'_>,
    group: usize,
    ladder: &[f64],
    rule: &Rule,
    start: Option<usize>,
) -> Result<Found, SweepError> {
    let mut rows: Vec<(f64, RowResult)> = Vec::new();
    let measure = |rate: f64, seeds: &[u64]| -> Result<Vec<Sample>, SweepError> {
        let cells: Vec<_> = seeds.iter().map(|&seed| runner.plan.groups[group].cell_at(rate, seed)).collect();
        let ended = runner.cells(&cells, &vec![true; cells.len()])?;
        rows.retain(|(other, _)| other.total_cmp(&rate).is_ne());
        let mut samples = Vec::new();
        for ((cell, seed), ended) in cells.into_iter().zip(seeds).zip(ended) {
            let Ended::Done(result) = ended else { return Ok(Vec::new()) };
            samples.extend(sample(&result));
            rows.push((rate, RowResult { group, seed: *seed, id: cell.id, result: Some(result) }));
        }
        Ok(samples)
    };
    let probes = search(ladder, rule, start, measure)?;
    rows.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    Ok(Found { capacity: Capacity::of(group, probes), rows })
}

/// What a run says about its rate.
pub fn sample(result: &CellResult) -> Option<Sample> {
    let attainment = result.metrics.joint_attainment?;
    Some(Sample { attainment, drift_share: result.diagnosis.drift_share().unwrap_or(0.0) })
}

fn warnings(runner: &Runner<'_>, found: &Found, outcome: &mut Outcome) {
    let group = &runner.plan.groups[found.capacity.group];
    let mut say = |text: String| {
        let whose = if group.case.is_empty() { String::new() } else { format!(", {}", group.case) };
        let text = format!("{}{whose}: {text}", group.label);
        runner.progress.warn(&text);
        outcome.warnings.push(text);
    };
    let capacity = &found.capacity;
    if !capacity.monotone {
        say("not monotone: a rate passed above one that failed; see probes.csv".to_owned());
    }
    let censored = match (capacity.lo_rps, capacity.hi_rps) {
        (Some(lo), None) => format!("at least {lo} requests/s: no rate failed; raise search.rate_rps.high"),
        (None, Some(hi)) => format!("at most {hi} requests/s: no rate passed; lower search.rate_rps.low"),
        (None, None) => "unknown: no rate could be decided; give more seeds or longer runs".to_owned(),
        (Some(_), Some(_)) => String::new(),
    };
    if !censored.is_empty() {
        say(format!("the capacity is {censored}"));
    }
    let at_lo = found.rows.iter().filter(|(rate, _)| Some(*rate) == capacity.lo_rps);
    let results: Vec<&CellResult> = at_lo.filter_map(|(_, row)| row.result.as_deref()).collect();
    remarks(&results).into_iter().for_each(say);
}

fn tables(runner: &Runner<'_>, found: &[Found]) -> Result<(), SweepError> {
    let plan = runner.plan;
    let header = |more: &[&str]| -> Vec<String> {
        summary::key_header(plan).into_iter().chain(more.iter().map(|&s| s.to_owned())).collect()
    };
    let columns = [
        "target",
        "capacity_lo_rps",
        "capacity_hi_rps",
        "censored",
        "monotone",
        "seeds",
        "probes",
        "baseline",
        "ratio_lo",
        "ratio_hi",
        "verdict",
    ];
    let capacity = found.iter().map(|one| {
        let capacity = &one.capacity;
        let group = &plan.groups[capacity.group];
        let first = found.iter().find(|f| plan.groups[f.capacity.group].point == group.point).expect("at least itself");
        let seeds = capacity.probes.iter().map(|p| p.attainment.n).max().unwrap_or(0);
        let mut line = summary::key(plan, group);
        line.extend([number(Some(plan.attain)), number(capacity.lo_rps), number(capacity.hi_rps)]);
        line.extend([capacity.censored().to_owned(), capacity.monotone.to_string()]);
        line.extend([seeds.to_string(), capacity.probes.len().to_string()]);
        if first.capacity.group == capacity.group {
            line.extend([const { String::new() }; 4]);
        } else {
            let (lo, hi) = capacity.ratio(&first.capacity);
            line.push(plan.groups[first.capacity.group].label.clone());
            line.extend([number(lo), number(hi), capacity.verdict(&first.capacity).as_str().to_owned()]);
        }
        line
    });
    runner.store.write("capacity.csv", &summary::csv(header(&columns), capacity))?;

    let at_rate = |group: usize, rate: f64| -> Group {
        let mut group = plan.groups[group].clone();
        (group.rate_rps, group.scenario.workload.rate) = (Some(rate), Some(rate));
        group
    };
    let columns = [
        "n",
        "attainment",
        "attainment_lo",
        "attainment_hi",
        "drift_share",
        "drift_share_lo",
        "drift_share_hi",
        "answer",
    ];
    let probes = found.iter().flat_map(|one| one.capacity.probes.iter().map(|p| (one.capacity.group, p)));
    let probes = probes.map(|(group, probe)| {
        let mut line = summary::key(plan, &at_rate(group, probe.rate_rps));
        line.extend(summary::interval_fields(&probe.attainment));
        line.extend(summary::interval_fields(&probe.drift_share).into_iter().skip(1));
        line.push(serde_json::to_value(probe.answer).expect("a name").as_str().unwrap_or_default().to_owned());
        line
    });
    runner.store.write("probes.csv", &summary::csv(header(&columns), probes))?;

    let groups: Vec<Group> =
        found.iter().flat_map(|one| one.rows.iter().map(|(rate, row)| at_rate(row.group, *rate))).collect();
    let rows = found.iter().flat_map(|one| &one.rows).zip(&groups);
    let rows: Vec<summary::Row<'_>> = rows
        .map(|((_, row), group)| summary::Row { group, seed: row.seed, id: &row.id, result: row.result.as_deref() })
        .collect();
    runner.store.write("summary.csv", &summary::summary(plan, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system whose attainment falls from 1 to 0 around `edge`, the same for every seed but for a spread.
    fn measure(edge: f64, spread: f64) -> impl FnMut(f64, &[u64]) -> Result<Vec<Sample>, ()> {
        move |rate, seeds| {
            let value = |&seed: &u64| {
                let noise = if seed % 2 == 0 { spread } else { -spread };
                Sample { attainment: (1.4 - 0.5 * rate / edge + noise).clamp(0.0, 1.0), drift_share: 0.0 }
            };
            Ok(seeds.iter().map(value).collect())
        }
    }

    fn rule(n: u64, max_seeds: usize) -> Rule {
        Rule { target: 0.9, seeds: (1..=n).collect(), max_seeds }
    }

    #[test]
    fn the_edge_is_found_wherever_the_search_starts() {
        let ladder = ladder(1.0, 64.0, 0.02);
        assert!(ladder.len() > 200 && ladder.len() < 215 && ladder[0] <= 1.0 && *ladder.last().unwrap() >= 64.0);
        for edge in [1.05, 1.3, 7.3, 20.0, 63.0] {
            for start in [None, Some(0), Some(100), Some(10_000)] {
                let probes = search(&ladder, &rule(4, 4), start, measure(edge, 0.0)).unwrap();
                let found = Capacity::of(0, probes);
                let (lo, hi) = (found.lo_rps.unwrap(), found.hi_rps.unwrap());
                assert!(lo <= edge && edge <= hi && hi / lo < 1.03, "{edge} {start:?}: {lo} {hi}");
                assert!(found.monotone && found.censored().is_empty() && found.probes.len() < 25, "{edge} {start:?}");
            }
        }
    }

    #[test]
    fn ends_of_the_ladder_are_told_as_such() {
        let ladder = ladder(1.0, 10.0, 0.05);
        for (edge, lo, hi, censored) in [(100.0, Some(10.0), None, "at least"), (0.5, None, Some(1.0), "at most")] {
            let found = Capacity::of(0, search(&ladder, &rule(4, 4), None, measure(edge, 0.0)).unwrap());
            assert_eq!((found.lo_rps, found.hi_rps, found.censored()), (lo, hi, censored), "{edge}");
        }
    }

    #[test]
    fn undecided_rates_get_more_seeds_up_to_the_cap() {
        let ladder = ladder(1.0, 10.0, 0.02);
        let width = |max| {
            let probes = search(&ladder, &rule(4, max), None, measure(5.0, 0.02)).unwrap();
            let found = Capacity::of(0, probes);
            let (lo, hi) = (found.lo_rps.unwrap(), found.hi_rps.unwrap());
            assert!(lo <= 5.0 && 5.0 <= hi, "{lo} {hi}");
            let most = found.probes.iter().map(|p| p.attainment.n).max().unwrap();
            (hi / lo, most)
        };
        let ((wide, few), (narrow, many)) = (width(4), width(40));
        assert!(narrow < wide, "{narrow} {wide}");
        assert_eq!((few, many), (4, 40));
    }

    #[test]
    fn growing_queues_do_not_pass() {
        let rule = rule(4, 4);
        let steady = Interval { n: 4, mean: 0.95, ends: Some((0.94, 0.96)) };
        let drift = |mean: f64| Interval { n: 4, mean, ends: Some((mean - 0.001, mean + 0.001)) };
        assert_eq!(rule.answer(&steady, &drift(0.0)), Answer::Pass);
        assert_eq!(rule.answer(&steady, &drift(0.05)), Answer::Undecided);
        let below = Interval { n: 4, mean: 0.8, ends: Some((0.7, 0.89)) };
        assert_eq!(rule.answer(&below, &drift(0.0)), Answer::Fail);
    }

    #[test]
    fn rates_that_pass_above_a_failure_are_reported() {
        let ladder = ladder(1.0, 10.0, 0.02);
        // Passes at 3 and below, fails from 3 to 6, passes again to 8.
        let odd = |rate: f64, seeds: &[u64]| {
            let attainment = if rate < 3.0 || (6.0..8.0).contains(&rate) { 1.0 } else { 0.0 };
            Ok::<_, ()>(vec![Sample { attainment, drift_share: 0.0 }; seeds.len()])
        };
        let mut probes = search(&ladder, &rule(2, 2), Some(0), odd).unwrap();
        let at = ladder.iter().position(|&r| r > 7.0).unwrap();
        probes.push(Probe { rung: at, answer: Answer::Pass, rate_rps: ladder[at], ..probes[0] });
        let found = Capacity::of(0, probes);
        assert!(!found.monotone);
        assert!(found.lo_rps.unwrap() < 3.0 && found.hi_rps.unwrap() < 3.2);
    }

    #[test]
    fn capacities_are_compared_by_their_intervals() {
        let of = |lo, hi| Capacity { group: 0, lo_rps: lo, hi_rps: hi, monotone: true, probes: Vec::new() };
        let base = of(Some(4.0), Some(5.0));
        for (ours, expected) in [
            (of(Some(9.0), Some(10.0)), Verdict::Better),
            (of(Some(1.0), Some(2.0)), Verdict::Worse),
            (of(Some(4.5), Some(6.0)), Verdict::NotDistinguishable),
            (of(Some(5.0), None), Verdict::Better),
            (of(None, Some(4.5)), Verdict::NotDistinguishable),
            (base.clone(), Verdict::NotDistinguishable),
        ] {
            assert_eq!(ours.verdict(&base), expected, "{ours:?}");
        }
        assert_eq!(of(Some(9.0), Some(10.0)).ratio(&base), (Some(1.8), Some(2.5)));
    }
}
