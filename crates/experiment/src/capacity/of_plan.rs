//! Capacities of the schedulers of a plan: searched, or read off the rates of a sweep.

use rayon::prelude::*;

use super::search::{Rule, ladder};
use super::{Answer, Capacity, Probe, Sample, sample, search};
use crate::plan::Group;
use crate::results::{CellResult, SweepError};
use crate::spec::Search;
use crate::summary::{self, number};
use crate::sweep::{Ended, Outcome, RowResult, Runner};
use crate::warn::remarks;

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
    outcome.rows = found.iter().flat_map(|f| f.rows.iter().map(|(_, row)| row.clone())).collect();
    if runner.shard.is_none() {
        tried(runner, &found)?;
    }
    outcome.capacities = found.into_iter().map(|f| f.capacity).collect();
    if runner.shard.is_none() {
        tables(runner, &outcome.capacities)?;
    }
    Ok(())
}

/// A search and the cells behind it, with their rates, by rate and seed.
struct Found {
    capacity: Capacity,
    rows: Vec<(f64, RowResult)>,
    /// Cells failed or were not run: the search ended before it was done.
    cut: bool,
}

fn search_group(
    runner: &Runner<'_>,
    group: usize,
    ladder: &[f64],
    rule: &Rule,
    start: Option<usize>,
) -> Result<Found, SweepError> {
    let mut rows: Vec<(f64, RowResult)> = Vec::new();
    let mut cut = false;
    let measure = |rate: f64, seeds: &[u64]| -> Result<Vec<Sample>, SweepError> {
        let cells: Vec<_> = seeds.iter().map(|&seed| runner.plan.groups[group].cell_at(rate, seed)).collect();
        let ended = runner.cells(&cells, &vec![true; cells.len()])?;
        rows.retain(|(other, _)| other.total_cmp(&rate).is_ne());
        let mut samples = Vec::new();
        for ((cell, seed), ended) in cells.into_iter().zip(seeds).zip(ended) {
            let Ended::Done(result) = ended else {
                cut = true;
                return Ok(Vec::new());
            };
            samples.extend(sample(&result));
            rows.push((rate, RowResult { group, seed: *seed, id: cell.id, result: Some(result) }));
        }
        Ok(samples)
    };
    let probes = search(ladder, rule, start, measure)?;
    rows.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    Ok(Found { capacity: Capacity::of(group, probes), rows, cut })
}

fn warnings(runner: &Runner<'_>, found: &Found, outcome: &mut Outcome) {
    let group = &runner.plan.groups[found.capacity.group];
    let mut say = |text: String| {
        let text = format!("{}: {text}", runner.plan.name(group));
        runner.progress.warn(&text);
        outcome.warnings.push(text);
    };
    let capacity = &found.capacity;
    if !capacity.monotone {
        say("not monotone: a rate passed above one that failed; see probes.csv".to_owned());
    }
    if found.cut {
        say("the search was cut short: cells failed or were not run".to_owned());
    } else if let Some(text) = advice(capacity) {
        say(format!("the capacity is {text}"));
    }
    let at_lo = found.rows.iter().filter(|(rate, _)| Some(*rate) == capacity.lo_rps);
    let results: Vec<&CellResult> = at_lo.filter_map(|(_, row)| row.result.as_deref()).collect();
    for remark in remarks(&results) {
        say(format!("at {} requests/s: {remark}", capacity.lo_rps.unwrap_or_default()));
    }
}

/// What is known of a capacity that the search did not close in, and what would help.
fn advice(capacity: &Capacity) -> Option<String> {
    // Below the lowest rate that failed: what is decided above that changes nothing.
    let below = |probe: &&Probe| capacity.hi_rps.is_none_or(|hi| probe.rate_rps < hi);
    let undecided = capacity.probes.iter().filter(below).any(|probe| probe.answer == Answer::Undecided);
    let more = "more seeds (`search.max_seeds`) or longer runs would decide";
    Some(match (capacity.lo_rps, capacity.hi_rps) {
        (Some(_), Some(_)) => return None,
        (Some(lo), None) if undecided => {
            format!("at least {lo} requests/s: no rate failed, but not all above were decided; {more}")
        }
        (Some(lo), None) => format!("at least {lo} requests/s: no rate failed; raise search.rate_rps.high"),
        (None, Some(hi)) if undecided => {
            format!("at most {hi} requests/s: no rate passed, but not all below were decided; {more}")
        }
        (None, Some(hi)) => format!("at most {hi} requests/s: no rate passed; lower search.rate_rps.low"),
        (None, None) => format!("unknown: no rate could be decided; {more}"),
    })
}

/// Capacities read off the rates of a sweep: nothing more is run. None unless there are several rates and objectives.
pub(crate) fn swept(runner: &Runner<'_>, rows: &[RowResult]) -> Result<Vec<Capacity>, SweepError> {
    let plan = runner.plan;
    let rule = Rule { target: plan.attain, seeds: plan.seeds.clone(), max_seeds: 0 };
    let mut found: Vec<Capacity> = Vec::new();
    for (first, group) in plan.groups.iter().enumerate() {
        let same = |other: &&(usize, &Group)| other.1.point == group.point && other.1.label == group.label;
        let rates: Vec<(usize, &Group)> = plan.groups.iter().enumerate().collect();
        let mut rates: Vec<&(usize, &Group)> = rates.iter().filter(same).collect();
        if rates.len() < 2 || rates[0].0 != first {
            continue;
        }
        rates.sort_by(|a, b| a.1.rate_rps.unwrap_or(0.0).total_cmp(&b.1.rate_rps.unwrap_or(0.0)));
        let probe = |(rung, (index, group)): (usize, &&(usize, &Group))| {
            let of_rate = rows.iter().filter(|row| row.group == *index);
            let samples: Vec<Sample> = of_rate.filter_map(|row| sample(row.result.as_ref()?)).collect();
            rule.judge((rung, group.rate_rps?), &samples)
        };
        let probes: Vec<Probe> = rates.iter().enumerate().filter_map(probe).collect();
        if probes.len() > 1 {
            found.push(Capacity::of(first, probes));
        }
    }
    if runner.shard.is_none() && !found.is_empty() {
        tables(runner, &found)?;
    }
    Ok(found)
}

/// The group of a search at a rate, or at none.
fn at_rate(group: &Group, rate: Option<f64>) -> Group {
    let mut group = group.clone();
    (group.rate_rps, group.scenario.workload.rate) = (rate, rate);
    group
}

/// `capacity.csv` and `probes.csv`.
fn tables(runner: &Runner<'_>, found: &[Capacity]) -> Result<(), SweepError> {
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
    let capacities = found.iter().map(|capacity| {
        let group = &plan.groups[capacity.group];
        let first = found.iter().find(|other| plan.groups[other.group].point == group.point).expect("at least itself");
        let seeds = capacity.probes.iter().map(|p| p.attainment.n).max().unwrap_or(0);
        let mut line = summary::key(plan, &at_rate(group, None));
        line.extend([number(Some(plan.attain)), number(capacity.lo_rps), number(capacity.hi_rps)]);
        line.extend([capacity.censored().to_owned(), capacity.monotone.to_string()]);
        line.extend([seeds.to_string(), capacity.probes.len().to_string()]);
        if first.group == capacity.group {
            line.extend([const { String::new() }; 4]);
        } else {
            let (lo, hi) = capacity.ratio(first);
            line.push(plan.groups[first.group].label.clone());
            line.extend([number(lo), number(hi), capacity.verdict(first).as_str().to_owned()]);
        }
        line
    });
    runner.store.write("capacity.csv", &summary::csv(header(&columns), capacities))?;
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
    let probes = found.iter().flat_map(|one| one.probes.iter().map(|probe| (one.group, probe)));
    let probes = probes.map(|(group, probe)| {
        let mut line = summary::key(plan, &at_rate(&plan.groups[group], Some(probe.rate_rps)));
        line.extend(summary::interval_fields(&probe.attainment));
        line.extend(summary::interval_fields(&probe.drift_share).into_iter().skip(1));
        line.push(serde_json::to_value(probe.answer).expect("a name").as_str().unwrap_or_default().to_owned());
        line
    });
    runner.store.write("probes.csv", &summary::csv(header(&columns), probes))
}

/// `summary.csv` and the like, of everything that was tried.
fn tried(runner: &Runner<'_>, found: &[Found]) -> Result<(), SweepError> {
    // Rows of one group and rate stand together, and share their group: they differ in the seed alone.
    let tried = || found.iter().flat_map(|one| &one.rows);
    let mut groups: Vec<(usize, f64, Group)> = Vec::new();
    for (rate, row) in tried() {
        if groups.last().is_none_or(|(group, other, _)| *group != row.group || other.total_cmp(rate).is_ne()) {
            groups.push((row.group, *rate, at_rate(&runner.plan.groups[row.group], Some(*rate))));
        }
    }
    let group = |index: usize, rate: f64| {
        let same = |(group, other, _): &&(usize, f64, Group)| *group == index && other.total_cmp(&rate).is_eq();
        &groups.iter().find(same).expect("every row has one").2
    };
    let rows: Vec<summary::Row<'_>> = tried()
        .map(|(rate, row)| summary::Row {
            group: group(row.group, *rate),
            seed: row.seed,
            id: &row.id,
            result: row.result.as_deref(),
        })
        .collect();
    summary::files(runner.plan, &rows).iter().try_for_each(|(name, content)| runner.store.write(name, content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Interval;

    #[test]
    fn what_would_help_depends_on_what_was_undecided() {
        use Answer::{Fail, Pass, Undecided};
        let even = Interval { n: 2, mean: 0.9, ends: None };
        let probe = |(rung, answer)| Probe { rung, rate_rps: rung as f64, attainment: even, drift_share: even, answer };
        let of = |answers: &[Answer]| {
            advice(&Capacity::of(0, (1..).zip(answers.iter().copied()).map(probe).collect())).unwrap_or_default()
        };
        for (answers, said) in [
            (&[Pass, Fail][..], ""),
            (&[Pass, Undecided, Fail], ""),
            (&[Pass, Pass], "raise search.rate_rps.high"),
            (&[Pass, Undecided], "more seeds"),
            (&[Fail, Fail], "lower search.rate_rps.low"),
            (&[Undecided, Fail], "more seeds"),
            (&[Fail, Undecided], "lower search.rate_rps.low"),
            (&[Undecided], "unknown: no rate could be decided; more seeds"),
        ] {
            assert!(
                of(answers).contains(said) && of(answers).is_empty() == said.is_empty(),
                "{answers:?}: {}",
                of(answers)
            );
        }
    }
}
