//! The tables that an experiment ends with.

use trimtab_experiment::capacity::Capacity;
use trimtab_experiment::plan::Plan;
use trimtab_experiment::results::CellResult;
use trimtab_experiment::scenario::Slo;
use trimtab_experiment::stats::{Verdict, compare, t_interval};
use trimtab_experiment::sweep::Outcome;

/// A column of the table: its heading, and what it shows of a cell.
type Column = (&'static str, fn(&CellResult) -> Option<f64>);

const IN_TTFT: Column = ("in TTFT SLO", |r| r.metrics.slo_attainment);
const IN_ALL: Column = ("in all objectives", |r| r.metrics.joint_attainment);
const OTHERS: [Column; 5] = [
    ("TTFT mean, s", |r| r.metrics.ttft_s.mean),
    ("TTFT p90, s", |r| r.metrics.ttft_s.p90),
    ("TPOT mean, s", |r| r.metrics.tpot_s.mean),
    ("hit ratio", |r| r.metrics.hit_ratio.tokens),
    ("load cv", |r| Some(r.metrics.load_cv)),
];

/// Everything there is to show.
pub(crate) fn tables(plan: &Plan, outcome: &Outcome) -> String {
    let swept = matches!(plan.search, trimtab_experiment::spec::Search::Sweep { .. });
    let mut text = if swept { means(plan, outcome) } else { String::new() };
    if !outcome.capacities.is_empty() {
        text += if swept { "\n" } else { "" };
        text += &capacities(plan, &outcome.capacities);
    }
    text
}

/// One line for each scheduler at each point of the grid: means over seeds with half-widths of 95 % intervals.
fn means(plan: &Plan, outcome: &Outcome) -> String {
    let labels: Vec<String> = plan.groups.iter().map(|group| plan.name(group)).collect();
    let width = labels.iter().map(String::len).max().unwrap_or(0);
    let columns = columns(plan);
    let head = columns.iter().fold(" ".repeat(width), |line, (name, _)| format!("{line}{name:>20}"));
    let mut lines = vec![head + "  TTFT mean against the first"];
    let mut seeds: Vec<usize> = Vec::new();
    for (index, label) in labels.iter().enumerate() {
        let cells = by_seed(outcome, index);
        seeds.push(cells.len());
        let line = columns.iter().fold(format!("{label:width$}"), |line, (_, get)| {
            let values: Vec<f64> = cells.iter().filter_map(|(_, cell)| get(cell)).collect();
            let text = t_interval(&values).map_or("-".into(), |interval| {
                let half = interval.half_width().map_or(String::new(), |half| format!(" +-{half:.3}"));
                format!("{:.3}{half}", interval.mean)
            });
            format!("{line}{text:>20}")
        });
        let verdict = verdict(plan, outcome, index).map_or(String::new(), |verdict| format!("  {}", verdict.as_str()));
        lines.push(line + &verdict);
    }
    seeds.sort_unstable();
    let n = match (seeds.first(), seeds.last()) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
        (least, _) => least.map_or(String::new(), usize::to_string),
    };
    lines.push(format!("{n} seeds; +- is half of the 95 % t interval over seeds; verdicts are of paired differences"));
    lines.extend(seeding(plan));
    lines.join("\n") + "\n"
}

/// The share within the objective of first tokens, that within all where there are others, and the rest.
fn columns(plan: &Plan) -> Vec<Column> {
    let slo = |of: fn(&Slo) -> bool| plan.groups.iter().any(|group| of(&group.scenario.slo));
    let others = slo(|slo| slo.tpot_s.or(slo.e2e_s).is_some() || !slo.class.is_empty());
    let first = [(slo(|slo| slo.ttft_s.is_some()) || !others).then_some(IN_TTFT), others.then_some(IN_ALL)];
    first.into_iter().flatten().chain(OTHERS).collect()
}

/// The finished cells of a group, with their seeds.
fn by_seed(outcome: &Outcome, group: usize) -> Vec<(u64, &CellResult)> {
    let rows = outcome.rows.iter().filter(|row| row.group == group);
    rows.filter_map(|row| Some((row.seed, row.result.as_deref()?))).collect()
}

/// How a group's mean time to first token compares with that of the first scheduler at the same point and rate.
fn verdict(plan: &Plan, outcome: &Outcome, group: usize) -> Option<Verdict> {
    let place = |index: usize| (plan.groups[index].point, plan.groups[index].rate_rps.map(f64::to_bits));
    let first = (0..group).find(|&other| place(other) == place(group))?;
    let base = by_seed(outcome, first);
    let ttft = |cell: &CellResult| cell.metrics.ttft_s.mean;
    let pairs = by_seed(outcome, group).into_iter().filter_map(|(seed, cell)| {
        let (_, other) = base.iter().find(|(known, _)| *known == seed)?;
        Some((ttft(cell)?, ttft(other)?))
    });
    let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.unzip();
    compare(&ours, &theirs, false).map(|comparison| comparison.verdict)
}

/// What seeds do to a trace, which is the same for all of them otherwise.
fn seeding(plan: &Plan) -> Option<String> {
    let workload = &plan.groups.iter().find(|group| group.scenario.workload.trace.is_some())?.scenario.workload;
    let jitter = workload.jitter_s.map(|s| format!("moves arrivals by up to {s} s"));
    let keep = workload.keep_sessions.map(|share| format!("keeps {} % of the sessions", share * 100.0));
    let ticks = workload.jitter_ticks.then(|| "spreads arrivals within the ticks of the clock".to_owned());
    let drawn = workload.arrivals.as_ref().map(|_| "draws the arrivals".to_owned());
    let what: Vec<String> = drawn.into_iter().chain(ticks).chain(jitter).chain(keep).collect();
    Some(match what.len() {
        0 => "the trace is replayed as it is: seeds change the random numbers of schedulers alone".to_owned(),
        _ => format!("of the trace, each seed {}", what.join(" and ")),
    })
}

/// The capacity of each scheduler: from the highest rate up to which all passed to the lowest that failed.
fn capacities(plan: &Plan, all: &[Capacity]) -> String {
    let rows: Vec<[String; 4]> = all.iter().map(|one| capacity(plan, one, all)).collect();
    let head = ["", "capacity, requests/s", "against the first", ""].map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].len()).max().unwrap_or(0);
    let line = |row: &[String; 4]| {
        let [name, range, ratio, verdict] = row;
        let line = format!("{name:0$}  {range:>1$}  {ratio:>2$}  {verdict}", width(0), width(1), width(2));
        line.trim_end().to_owned() + "\n"
    };
    let target = plan.attain * 100.0;
    let lines: String = [&head].into_iter().chain(&rows).map(line).collect();
    format!("{lines}capacity: {target} % of the requests meet all objectives; ends of the interval were tried\n")
}

fn capacity(plan: &Plan, one: &Capacity, all: &[Capacity]) -> [String; 4] {
    let group = &plan.groups[one.group];
    let name: Vec<String> = plan.point_name(group).chain([group.label.clone()]).collect();
    let range = match (one.lo_rps, one.hi_rps) {
        (Some(lo), Some(hi)) => format!("{lo} to {hi}"),
        (Some(lo), None) => format!("at least {lo}"),
        (None, Some(hi)) => format!("at most {hi}"),
        (None, None) => "unknown".to_owned(),
    };
    let first = all.iter().find(|other| plan.groups[other.group].point == group.point).unwrap_or(one);
    if first.group == one.group {
        return [name.join(", "), range, String::new(), String::new()];
    }
    let shown = |end: Option<f64>| end.map_or("?".to_owned(), |end| format!("{end:.2}"));
    let (lo, hi) = one.ratio(first);
    [name.join(", "), range, format!("{} to {}", shown(lo), shown(hi)), one.verdict(first).as_str().to_owned()]
}
