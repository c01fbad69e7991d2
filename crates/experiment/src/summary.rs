//! The tables that an experiment leaves behind: one row per cell and seed, intervals over seeds, paired comparisons.
//!
//! Columns are documented in docs/experiments.md. A missing value is an empty field; floats are printed so that they
//! read back as the same number.

use serde_json::Value;
use trimtab_table::{Column, Format, Table};

use crate::plan::{Group, Plan};
use crate::recovery::Recovery;
use crate::results::CellResult;
use crate::stats::{Interval, compare, t_interval};

/// A number of a cell.
pub struct Metric {
    /// Its column.
    pub name: &'static str,
    /// Whether more of it is better; absent where neither is.
    pub higher_is_better: Option<bool>,
    /// How to get it.
    pub get: fn(&CellResult) -> Option<f64>,
}

macro_rules! metrics {
    ($($name:literal $better:tt $get:expr;)*) => {
        &[$(Metric { name: $name, higher_is_better: metrics!(@ $better), get: $get }),*]
    };
    (@ higher) => { Some(true) };
    (@ lower) => { Some(false) };
    (@ none) => { None };
}

/// All numbers of a cell, in the order of their columns.
pub const METRICS: &[Metric] = metrics! {
    "requests" none |r| Some(r.metrics.requests as f64);
    "measured" none |r| Some(r.metrics.measured as f64);
    "completed" none |r| Some(r.metrics.completed as f64);
    "rejected" lower |r| Some(r.metrics.rejected as f64);
    "abandoned" lower |r| r.metrics.fleet.as_ref().map(|fleet| fleet.abandoned as f64);
    "failed" lower |r| Some(r.metrics.failed as f64);
    "makespan_s" none |r| Some(r.metrics.makespan_s);
    "arrival_rps" none |r| r.diagnosis.arrival_rps;
    "ttft_mean_s" lower |r| r.metrics.ttft_s.mean;
    "ttft_p50_s" lower |r| r.metrics.ttft_s.p50;
    "ttft_p90_s" lower |r| r.metrics.ttft_s.p90;
    "ttft_p95_s" lower |r| r.metrics.ttft_s.p95;
    "ttft_p99_s" lower |r| r.metrics.ttft_s.p99;
    "ttft_max_s" lower |r| r.metrics.ttft_s.max;
    "tpot_mean_s" lower |r| r.metrics.tpot_s.mean;
    "tpot_p50_s" lower |r| r.metrics.tpot_s.p50;
    "tpot_p90_s" lower |r| r.metrics.tpot_s.p90;
    "tpot_p95_s" lower |r| r.metrics.tpot_s.p95;
    "tpot_p99_s" lower |r| r.metrics.tpot_s.p99;
    "tpot_max_s" lower |r| r.metrics.tpot_s.max;
    "e2e_mean_s" lower |r| r.metrics.e2e_s.mean;
    "e2e_p50_s" lower |r| r.metrics.e2e_s.p50;
    "e2e_p90_s" lower |r| r.metrics.e2e_s.p90;
    "e2e_p95_s" lower |r| r.metrics.e2e_s.p95;
    "e2e_p99_s" lower |r| r.metrics.e2e_s.p99;
    "e2e_max_s" lower |r| r.metrics.e2e_s.max;
    "queue_mean_s" lower |r| r.metrics.queue_s.mean;
    "queue_p50_s" lower |r| r.metrics.queue_s.p50;
    "queue_p90_s" lower |r| r.metrics.queue_s.p90;
    "queue_p95_s" lower |r| r.metrics.queue_s.p95;
    "queue_p99_s" lower |r| r.metrics.queue_s.p99;
    "queue_max_s" lower |r| r.metrics.queue_s.max;
    "itl_mean_s" lower |r| r.metrics.itl_s.mean;
    "itl_p50_s" lower |r| r.metrics.itl_s.p50;
    "itl_p90_s" lower |r| r.metrics.itl_s.p90;
    "itl_p95_s" lower |r| r.metrics.itl_s.p95;
    "itl_p99_s" lower |r| r.metrics.itl_s.p99;
    "itl_max_s" lower |r| r.metrics.itl_s.max;
    "slo_attainment" higher |r| r.metrics.slo_attainment;
    "joint_attainment" higher |r| r.metrics.joint_attainment;
    "throughput_rps" higher |r| Some(r.metrics.throughput_rps);
    "goodput_rps" higher |r| r.metrics.goodput_rps;
    "output_tokens_per_s" higher |r| Some(r.metrics.output_tokens_per_s);
    "hit_ratio_tokens" higher |r| r.metrics.hit_ratio.tokens;
    "hit_ratio_blocks" higher |r| r.metrics.hit_ratio.blocks;
    "hit_ratio_full_blocks" higher |r| r.metrics.hit_ratio.full_blocks;
    "hit_ratio_per_request" higher |r| r.metrics.hit_ratio.per_request;
    "hit_ratio_device_tokens" higher |r| r.metrics.hit_ratio.device_tokens.or(r.metrics.hit_ratio.tokens);
    "hit_ratio_loaded_tokens" none |r| r.metrics.hit_ratio.loaded_tokens;
    "belief_too_high" lower |r| r.metrics.belief.too_high;
    "belief_too_low" lower |r| r.metrics.belief.too_low;
    "belief_missed" lower |r| r.metrics.belief.missed;
    "belief_surprises" lower |r| r.metrics.belief.surprises;
    "belief_absent_anywhere" lower |r| r.metrics.belief.absent_anywhere;
    "belief_unknown_anywhere" lower |r| r.metrics.belief.unknown_anywhere;
    "load_cv" lower |r| Some(r.metrics.load_cv);
    "hotspot_share" lower |r| Some(r.metrics.hotspot_share);
    "preemptions" lower |r| Some(r.metrics.preemptions as f64);
    "recomputed_tokens" lower |r| Some(r.metrics.recomputed_tokens as f64);
    "migrations" none |r| Some(r.metrics.migrations as f64);
    "evicted_blocks" none |r| Some(r.metrics.evicted_blocks as f64);
    "iterations" none |r| Some(r.metrics.iterations as f64);
    "instance_hours" lower |r| Some(instance_hours(r));
    "instance_hours_per_million_tokens" lower hours_per_million;
    "violations" lower |r| Some(libm::round((1.0 - r.metrics.joint_attainment?) * r.metrics.measured as f64));
    "retries" none |r| Some(r.metrics.fleet.as_ref()?.retries as f64);
    "lost" none |r| Some(r.metrics.fleet.as_ref()?.lost as f64);
    "hung_up" lower |r| Some(r.metrics.fleet.as_ref()?.hung_up as f64);
    "joined" none |r| Some(r.metrics.fleet.as_ref()?.joined as f64);
    "stopped" none |r| Some(r.metrics.fleet.as_ref()?.stopped as f64);
    "instances_failed" none |r| Some(r.metrics.fleet.as_ref()?.failed as f64);
    "hit_ratio_before" none |r| change(r)?.before.hit_ratio;
    "hit_ratio_worst" none |r| change(r)?.worst.hit_ratio;
    "hit_ratio_settled" higher |r| change(r)?.settled.hit_ratio;
    "hit_ratio_dip" none |r| Some(change(r)?.before.hit_ratio? - change(r)?.worst.hit_ratio?);
    "hit_ratio_recovery_s" none |r| change(r)?.hit_ratio_recovery_s;
    "ttft_p90_before_s" none |r| change(r)?.before.ttft_p90_s;
    "ttft_p90_worst_s" none |r| change(r)?.worst.ttft_p90_s;
    "ttft_p90_settled_s" lower |r| change(r)?.settled.ttft_p90_s;
    "attainment_before" none |r| change(r)?.before.attainment;
    "attainment_worst" none |r| change(r)?.worst.attainment;
    "attainment_settled" higher |r| change(r)?.settled.attainment;
    "attainment_recovery_s" none |r| change(r)?.attainment_recovery_s;
    "slowdown_mean" lower |r| r.metrics.slowdown.mean;
    "slowdown_p99" lower |r| r.metrics.slowdown.p99;
    "slowdown_max" lower |r| r.metrics.slowdown.max;
    "tenant_slowdown_max" lower |r| r.metrics.tenant_slowdown_max;
    "jain_tenants" higher |r| r.metrics.jain_tenants;
    "waiting" lower |r| r.diagnosis.waiting;
    "drift_share" none |r| r.diagnosis.drift_share();
    "steady_after" none |r| r.diagnosis.steady_after.map(|n| n as f64);
};

/// What the changes of the cluster did.
fn change(result: &CellResult) -> Option<&Recovery> {
    result.metrics.fleet.as_ref()?.recovery.as_ref()
}

fn instance_hours(result: &CellResult) -> f64 {
    if let Some(fleet) = &result.metrics.fleet {
        return fleet.instance_hours;
    }
    result.metrics.per_instance.len() as f64 * result.metrics.makespan_s / 3600.0
}

fn hours_per_million(result: &CellResult) -> Option<f64> {
    let tokens = result.metrics.output_tokens_per_s * result.metrics.makespan_s;
    (tokens > 0.0).then(|| instance_hours(result) / (tokens / 1e6))
}

/// One row of `summary.csv`: a group, a seed, and what came out, if anything did.
pub struct Row<'a> {
    /// The group of the plan.
    pub group: &'a Group,
    /// The seed.
    pub seed: u64,
    /// Id of the cell.
    pub id: &'a str,
    /// Absent for cells that failed.
    pub result: Option<&'a CellResult>,
}

pub(crate) fn key_header(plan: &Plan) -> Vec<String> {
    let fixed = ["point", "case", "label", "scheduler", "rate_rps"];
    fixed.into_iter().map(str::to_owned).chain(plan.paths.iter().cloned()).collect()
}

pub(crate) fn key(plan: &Plan, group: &Group) -> Vec<String> {
    let fixed = [
        group.point.to_string(),
        group.case.clone(),
        group.label.clone(),
        group.scenario.scheduler.kind.clone(),
        number(group.scenario.workload.rate),
    ];
    let settings = plan.paths.iter().map(|path| match group.setting(path) {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    });
    fixed.into_iter().chain(settings).collect()
}

/// Shortest form that reads back as the same number; empty when missing.
pub(crate) fn number(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map_or(String::new(), |v| v.to_string())
}

pub(crate) fn csv(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in std::iter::once(header).chain(rows) {
        writer.write_record(record).expect("memory takes every record, and all have the same length");
    }
    writer.into_inner().expect("memory has nothing to flush")
}

/// `summary.csv`.
pub fn summary(plan: &Plan, rows: &[Row<'_>]) -> Vec<u8> {
    let header = ["cell", "seed", "status"].into_iter().map(str::to_owned).chain(key_header(plan));
    let header = header.chain(METRICS.iter().map(|m| m.name.to_owned())).collect();
    let line = |row: &Row<'_>| {
        let status = if row.result.is_some() { "ok" } else { "failed" };
        let lead = [row.id.to_owned(), row.seed.to_string(), status.to_owned()];
        let values = METRICS.iter().map(|m| number(row.result.and_then(m.get)));
        lead.into_iter().chain(key(plan, row.group)).chain(values).collect()
    };
    csv(header, rows.iter().map(line))
}

/// All tables of some rows, by file name: those in CSV again in Parquet, for whoever reads many.
pub(crate) fn files(plan: &Plan, rows: &[Row<'_>]) -> Vec<(String, Vec<u8>)> {
    let tables = [
        ("summary", Some(summary(plan, rows))),
        ("intervals", Some(intervals(plan, rows))),
        ("comparisons", Some(comparisons(plan, rows))),
        ("breakdown", crate::breakdown::breakdown(plan, rows)),
        ("changes", crate::changes::changes(plan, rows)),
    ];
    let tables = tables.into_iter().filter_map(|(name, csv)| Some((name, csv?)));
    tables
        .flat_map(|(name, csv)| {
            let parquet = parquet(&csv);
            [(format!("{name}.csv"), csv), (format!("{name}.parquet"), parquet)]
        })
        .collect()
}

/// The same table in Parquet. A metric is a real number even where all its values are whole.
fn parquet(csv: &[u8]) -> Vec<u8> {
    let decoded = Table::decode(csv, Format::Csv).expect("it was just written");
    let mut table = Table::new();
    for (name, column) in decoded.columns() {
        let real = METRICS.iter().any(|metric| metric.name == name) || REAL.contains(&name);
        let column = match column {
            Column::Count(cells) if real => Column::Real(cells.iter().map(|n| n.map(|n| n as f64)).collect()),
            // All missing: the type cannot be seen.
            Column::Text(cells) if real => Column::Real(vec![None; cells.len()]),
            other => other.clone(),
        };
        table.push(name, column).expect("as it was read");
    }
    table.encode(Format::Parquet).expect("memory takes every table")
}

/// Columns of real numbers besides the metrics.
const REAL: [&str; 19] = [
    "rate_rps",
    "mean",
    "lo",
    "hi",
    "difference",
    "difference_lo",
    "difference_hi",
    "ratio",
    "ratio_lo",
    "ratio_hi",
    "worst",
    "first",
    "first_lo",
    "first_hi",
    "worst_at_s",
    "recovery_s",
    "settled",
    "settled_lo",
    "settled_hi",
];

/// Values of one metric by seed, for the rows that have it.
fn values(rows: &[&Row<'_>], metric: &Metric) -> Vec<(u64, f64)> {
    rows.iter().filter_map(|row| Some((row.seed, (metric.get)(row.result?)?))).collect()
}

/// Rows that differ in nothing but their seed, in the order of the plan.
pub(crate) fn by_group<'a, 'b>(rows: &'b [Row<'a>]) -> Vec<(&'a Group, Vec<&'b Row<'a>>)> {
    let mut groups: Vec<(&Group, Vec<&Row<'_>>)> = Vec::new();
    for row in rows {
        match groups.last_mut() {
            Some((group, members)) if std::ptr::eq(*group, row.group) => members.push(row),
            _ => groups.push((row.group, vec![row])),
        }
    }
    groups
}

/// `intervals.csv`: mean and 95 % t interval over seeds, of every metric.
pub fn intervals(plan: &Plan, rows: &[Row<'_>]) -> Vec<u8> {
    let mut header = key_header(plan);
    header.extend(["metric", "n", "mean", "lo", "hi", "method"].map(str::to_owned));
    let mut lines = Vec::new();
    for (group, members) in by_group(rows) {
        let key = key(plan, group);
        for metric in METRICS {
            let values: Vec<f64> = values(&members, metric).into_iter().map(|(_, v)| v).collect();
            let Some(interval) = t_interval(&values) else { continue };
            let mut line = key.clone();
            line.push(metric.name.to_owned());
            line.extend(interval_fields(&interval));
            line.push("t over seeds".to_owned());
            lines.push(line);
        }
    }
    lines.extend(crate::breakdown::intervals(plan, rows));
    csv(header, lines.into_iter())
}

pub(crate) fn interval_fields(interval: &Interval) -> [String; 4] {
    let (lo, hi) = interval.ends.unzip();
    [interval.n.to_string(), number(Some(interval.mean)), number(lo), number(hi)]
}

/// `comparisons.csv`: every scheduler against every one listed before it, paired by seed, at each point and rate.
pub fn comparisons(plan: &Plan, rows: &[Row<'_>]) -> Vec<u8> {
    let mut header = key_header(plan);
    header.extend(
        ["baseline", "metric", "n", "difference", "difference_lo", "difference_hi", "ratio", "ratio_lo", "ratio_hi"]
            .map(str::to_owned),
    );
    header.push("verdict".to_owned());
    let groups = by_group(rows);
    let mut lines = Vec::new();
    for (index, (group, ours)) in groups.iter().enumerate() {
        let key = key(plan, group);
        let same = |other: &Group| other.point == group.point && number(other.rate_rps) == number(group.rate_rps);
        for (base, theirs) in groups[..index].iter().filter(|(other, _)| same(other)) {
            for metric in METRICS {
                let Some(higher) = metric.higher_is_better else { continue };
                let (ours, theirs) = paired(&values(ours, metric), &values(theirs, metric));
                let Some(found) = compare(&ours, &theirs, higher) else { continue };
                let mut line = key.clone();
                line.extend([base.label.clone(), metric.name.to_owned()]);
                line.extend(interval_fields(&found.difference));
                let ratio = found.ratio.map_or_else(Default::default, |r| interval_fields(&r));
                line.extend(ratio.into_iter().skip(1));
                line.push(found.verdict.as_str().to_owned());
                lines.push(line);
            }
        }
    }
    csv(header, lines.into_iter())
}

/// The values of the seeds that both have.
fn paired(ours: &[(u64, f64)], theirs: &[(u64, f64)]) -> (Vec<f64>, Vec<f64>) {
    ours.iter().filter_map(|(seed, a)| theirs.iter().find(|(other, _)| other == seed).map(|(_, b)| (*a, *b))).unzip()
}
