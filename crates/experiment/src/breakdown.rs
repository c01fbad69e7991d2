//! `breakdown.csv`: every cell by tenant and by priority class, and intervals of the same over seeds.

use std::collections::BTreeMap;

use crate::fairness::PartMetrics;
use crate::plan::Plan;
use crate::results::CellResult;
use crate::stats::t_interval;
use crate::summary::{Row, by_group, csv, interval_fields, key, key_header, number};

/// A number of a part.
type PartMetric = (&'static str, fn(&PartMetrics) -> Option<f64>);

/// All numbers of a part, in the order of their columns.
const PART_METRICS: &[PartMetric] = &[
    ("requests", |p| Some(p.requests as f64)),
    ("ttft_mean_s", |p| p.ttft_s.mean),
    ("ttft_p50_s", |p| p.ttft_s.p50),
    ("ttft_p90_s", |p| p.ttft_s.p90),
    ("ttft_p99_s", |p| p.ttft_s.p99),
    ("tpot_mean_s", |p| p.tpot_s.mean),
    ("tpot_p99_s", |p| p.tpot_s.p99),
    ("e2e_mean_s", |p| p.e2e_s.mean),
    ("e2e_p99_s", |p| p.e2e_s.p99),
    ("slo_attainment", |p| p.slo_attainment),
    ("joint_attainment", |p| p.joint_attainment),
    ("hit_ratio_tokens", |p| p.hit_ratio),
    ("output_tokens", |p| Some(p.output_tokens as f64)),
    ("slowdown_mean", |p| p.slowdown.mean),
    ("slowdown_max", |p| p.slowdown.max),
];

/// The parts of a cell, with what they are parts by.
fn parts(result: &CellResult) -> impl Iterator<Item = (&'static str, &PartMetrics)> {
    let tenants = result.metrics.per_tenant.iter().map(|part| ("tenant", part));
    tenants.chain(result.metrics.per_class.iter().map(|part| ("class", part)))
}

/// One row for each part of each cell; `None` when no cell has parts.
pub(crate) fn breakdown(plan: &Plan, rows: &[Row<'_>]) -> Option<Vec<u8>> {
    let header = ["cell", "seed"].into_iter().map(str::to_owned).chain(key_header(plan));
    let header = header.chain(["by", "of"].map(str::to_owned));
    let header: Vec<String> = header.chain(PART_METRICS.iter().map(|(name, _)| (*name).to_owned())).collect();
    let mut lines = Vec::new();
    for row in rows {
        for (by, part) in row.result.into_iter().flat_map(parts) {
            let mut line = vec![row.id.to_owned(), row.seed.to_string()];
            line.extend(key(plan, row.group));
            line.extend([by.to_owned(), part.of.to_string()]);
            line.extend(PART_METRICS.iter().map(|(_, get)| number(get(part))));
            lines.push(line);
        }
    }
    (!lines.is_empty()).then(|| csv(header, lines.into_iter()))
}

/// Lines of `intervals.csv` on parts: the metric is named `ttft_mean_s{tenant=3}`.
pub(crate) fn intervals(plan: &Plan, rows: &[Row<'_>]) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    for (group, members) in by_group(rows) {
        let mut values: BTreeMap<(&str, i64, usize), Vec<f64>> = BTreeMap::new();
        for (by, part) in members.iter().filter_map(|row| row.result).flat_map(parts) {
            for (index, (_, get)) in PART_METRICS.iter().enumerate() {
                values.entry((by, part.of, index)).or_default().extend(get(part));
            }
        }
        for ((by, of, index), values) in values {
            let Some(interval) = t_interval(&values) else { continue };
            let mut line = key(plan, group);
            line.push(format!("{}{{{by}={of}}}", PART_METRICS[index].0));
            line.extend(interval_fields(&interval));
            line.push("t over seeds".to_owned());
            lines.push(line);
        }
    }
    lines
}
