//! The tables that an experiment ends with.

use trimtab_experiment::capacity::Capacity;
use trimtab_experiment::plan::{Group, Plan};
use trimtab_experiment::results::CellResult;
use trimtab_experiment::stats::t_interval;
use trimtab_experiment::sweep::Outcome;

/// A column of the table: its heading, and what it shows of a cell.
type Column = (&'static str, fn(&CellResult) -> Option<f64>);

const COLUMNS: [Column; 6] = [
    ("in TTFT SLO", |r| r.metrics.slo_attainment),
    ("TTFT mean, s", |r| r.metrics.ttft_s.mean),
    ("TTFT p90, s", |r| r.metrics.ttft_s.p90),
    ("TPOT mean, s", |r| r.metrics.tpot_s.mean),
    ("hit ratio", |r| r.metrics.hit_ratio.tokens),
    ("load cv", |r| Some(r.metrics.load_cv)),
];

/// What tells a group from the others of its plan, its scheduler last.
pub(crate) fn group_name(plan: &Plan, group: &Group) -> String {
    let rate = group.rate_rps.map(|rate| format!("{rate} rps"));
    rate.into_iter().chain(point_name(plan, group)).chain([group.label.clone()]).collect::<Vec<_>>().join(", ")
}

/// Case and settings of a group.
fn point_name<'a>(plan: &'a Plan, group: &'a Group) -> impl Iterator<Item = String> + 'a {
    let case = (!group.case.is_empty()).then(|| group.case.clone());
    case.into_iter().chain(plan.paths.iter().map(|path| format!("{path}={}", group.setting(path))))
}

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
    let labels: Vec<String> = plan.groups.iter().map(|group| group_name(plan, group)).collect();
    let width = labels.iter().map(String::len).max().unwrap_or(0);
    let mut lines = vec![COLUMNS.iter().fold(" ".repeat(width), |line, (name, _)| format!("{line}{name:>20}"))];
    for (index, label) in labels.iter().enumerate() {
        let cells = outcome.rows.iter().filter(|row| row.group == index).filter_map(|row| row.result.as_deref());
        let cells: Vec<&CellResult> = cells.collect();
        let line = COLUMNS.iter().fold(format!("{label:width$}"), |line, (_, get)| {
            let values: Vec<f64> = cells.iter().filter_map(|cell| get(cell)).collect();
            let text = t_interval(&values).map_or("-".into(), |interval| {
                let half = interval.half_width().map_or(String::new(), |half| format!(" +-{half:.3}"));
                format!("{:.3}{half}", interval.mean)
            });
            format!("{line}{text:>20}")
        });
        lines.push(line);
    }
    lines.push(format!("{} seeds; +- is half of the 95 % t interval over seeds", plan.seeds.len()));
    lines.join("\n") + "\n"
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
    let name: Vec<String> = point_name(plan, group).chain([group.label.clone()]).collect();
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
