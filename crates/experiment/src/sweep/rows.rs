//! Cells of a plan without a search, more of them where an interval is too wide, and the tables of what came out.

use std::collections::BTreeMap;

use super::{Ended, Outcome, RowResult, Runner, extended};
use crate::plan::Cell;
use crate::results::{CellResult, SweepError};
use crate::stats::t_interval;
use crate::summary::{self, METRICS};
use crate::warn;

impl Runner<'_> {
    /// Cells of a plan without a search, replicated as asked.
    pub(super) fn rows(&self, outcome: &mut Outcome) -> Result<(), SweepError> {
        let units = self.units();
        let mut seeds: Vec<Vec<u64>> = vec![self.plan.seeds.clone(); units.len()];
        let mut found: Vec<Vec<RowResult>> = Vec::new();
        let mut open: Vec<usize> = (0..units.len()).collect();
        found.resize(units.len(), Vec::new());
        while !open.is_empty() && !self.progress.interrupted() {
            let wanted: Vec<(usize, usize, u64)> = open
                .iter()
                .flat_map(|&u| {
                    units[u].iter().flat_map({
                        let seeds = &seeds;
                        move |&g| seeds[u].iter().map(move |&seed| (u, g, seed))
                    })
                })
                .collect();
            let cells: Vec<Cell> = wanted.iter().map(|&(_, g, seed)| self.plan.groups[g].cell(seed)).collect();
            let mine: Vec<bool> = wanted.iter().enumerate().map(|(i, &(u, ..))| self.is_mine(i, u)).collect();
            let ended = self.cells(&cells, &mine)?;
            for &u in &open {
                found[u].clear();
            }
            for (((u, group, seed), cell), ended) in wanted.into_iter().zip(cells).zip(ended) {
                let result = match ended {
                    Ended::Done(result) => Some(result),
                    Ended::Failed => None,
                    Ended::Skipped => continue,
                };
                found[u].push(RowResult { group, seed, id: cell.id, result });
            }
            open.retain(|&u| {
                let more = self.seeds_wanted(&found[u], seeds[u].len());
                let grown = extended(&self.plan.seeds, more);
                let grows = grown.len() > seeds[u].len();
                seeds[u] = grown;
                grows
            });
        }
        outcome.rows = found.into_iter().flatten().collect();
        self.warnings(outcome);
        outcome.capacities = crate::capacity::swept(self, &outcome.rows)?;
        if self.shard.is_none() {
            self.tables(&outcome.rows)?;
        }
        Ok(())
    }

    /// Groups that are compared: those of one point and rate. They get the same seeds.
    pub(crate) fn units(&self) -> Vec<Vec<usize>> {
        let mut units: Vec<Vec<usize>> = Vec::new();
        for (index, group) in self.plan.groups.iter().enumerate() {
            let same = |unit: &Vec<usize>| {
                let first = &self.plan.groups[unit[0]];
                first.point == group.point && summary::number(first.rate_rps) == summary::number(group.rate_rps)
            };
            match units.last_mut().filter(|unit| same(unit)) {
                Some(unit) => unit.push(index),
                None => units.push(vec![index]),
            }
        }
        units
    }

    /// Shards split by cell, or by unit when the seeds of a unit depend on its results.
    fn is_mine(&self, cell: usize, unit: usize) -> bool {
        let index = if self.plan.replicate.is_some() { unit } else { cell };
        self.shard.is_none_or(|shard| index % shard.count == shard.index - 1)
    }

    /// How many seeds the unit needs, as far as its results tell.
    fn seeds_wanted(&self, rows: &[RowResult], have: usize) -> usize {
        let Some(replicate) = &self.plan.replicate else { return have };
        let metric = METRICS.iter().find(|m| m.name == replicate.metric).expect("the plan checked the name");
        let mut by_group: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for row in rows {
            let values = by_group.entry(row.group).or_default();
            values.extend(row.result.as_ref().and_then(|r| (metric.get)(r)));
        }
        let wanted = by_group.values().filter_map(|values| {
            let interval = t_interval(values)?;
            let Some(half) = interval.half_width() else { return Some(2) };
            let share = half / interval.mean.abs();
            // Intervals shrink with the root of n; no more than twice as many at once, since the spread is an estimate.
            let times = (share / replicate.half_width) * (share / replicate.half_width);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 2 times n")]
            (times > 1.0).then(|| libm::ceil(times.min(2.0) * values.len() as f64) as usize)
        });
        wanted.max().unwrap_or(have).clamp(have, replicate.max_seeds)
    }

    fn tables(&self, rows: &[RowResult]) -> Result<(), SweepError> {
        let rows: Vec<summary::Row<'_>> = rows
            .iter()
            .map(|row| summary::Row {
                group: &self.plan.groups[row.group],
                seed: row.seed,
                id: &row.id,
                result: row.result.as_deref(),
            })
            .collect();
        // Rows of one group stand together: by group, then seed.
        summary::files(self.plan, &rows).iter().try_for_each(|(name, content)| self.store.write(name, content))
    }

    /// Remarks on results that may mislead, one line for each group.
    fn warnings(&self, outcome: &mut Outcome) {
        let (mut said, mut run) = (Vec::new(), 0);
        for (index, group) in self.plan.groups.iter().enumerate() {
            let rows = outcome.rows.iter().filter(|row| row.group == index);
            let results: Vec<&CellResult> = rows.filter_map(|row| row.result.as_deref()).collect();
            run += usize::from(!results.is_empty());
            said.extend(warn::remarks(&results).into_iter().map(|remark| (self.plan.name(group), remark)));
        }
        outcome.warnings.extend(said.iter().map(|(whose, remark)| format!("{whose}: {remark}")));
        for text in warn::lines(&said, run) {
            self.progress.warn(&text);
        }
    }
}
