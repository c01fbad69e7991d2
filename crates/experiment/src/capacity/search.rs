//! Which rates are tried, and what each one came to.

use super::{Answer, Probe, Sample};
use crate::stats::{Interval, t_interval};
use crate::sweep::extended;
use crate::warn::DRIFT;

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

    /// What the runs of one rate come to; `None` without any.
    pub(crate) fn judge(&self, (rung, rate_rps): (usize, f64), samples: &[Sample]) -> Option<Probe> {
        let of = |f: fn(&Sample) -> f64| t_interval(&samples.iter().map(f).collect::<Vec<_>>());
        let (attainment, drift_share) = (of(|s| s.attainment)?, of(|s| s.drift_share)?);
        let answer = self.answer(&attainment, &drift_share);
        Some(Probe { rung, rate_rps, attainment, drift_share, answer })
    }

    /// Tries one rate with more and more seeds until it is decided.
    fn probe<E>(&self, (rung, rate_rps): (usize, f64), measure: &mut Measure<'_, E>) -> Result<Option<Probe>, E> {
        let mut n = self.seeds.len().max(2).min(self.max_seeds.max(self.seeds.len()));
        loop {
            let samples = measure(rate_rps, &extended(&self.seeds, n))?;
            let Some(probe) = self.judge((rung, rate_rps), &samples) else { return Ok(None) };
            if probe.answer != Answer::Undecided || n >= self.max_seeds {
                return Ok(Some(probe));
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

#[cfg(test)]
mod tests {
    use super::super::Capacity;
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
}
