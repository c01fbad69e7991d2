//! The tables of a page.

use std::fmt::Write as _;

use trimtab_table::{Column, Table};

use super::escaped;
use crate::results::{Attainment, Results};

/// Column of the summary, heading, factor, unit.
type Metric = (&'static str, &'static str, f64, &'static str);

/// What a reader asks first.
const METRICS: [Metric; 10] = [
    ("slo_attainment", "in TTFT SLO", 100.0, "%"),
    ("joint_attainment", "in all objectives", 100.0, "%"),
    ("ttft_mean_s", "TTFT mean", 1.0, "s"),
    ("ttft_p90_s", "TTFT p90", 1.0, "s"),
    ("tpot_mean_s", "TPOT mean", 1e3, "ms"),
    ("e2e_mean_s", "end to end mean", 1.0, "s"),
    ("goodput_rps", "goodput", 1.0, "req/s"),
    ("hit_ratio_tokens", "hit ratio", 100.0, "%"),
    ("load_cv", "load CV", 1.0, ""),
    ("instance_hours_per_million_tokens", "instance-hours per million tokens", 1.0, "h"),
];

/// Those that the results have. All objectives are not shown beside the only one.
fn metrics(results: &Results) -> Vec<&'static Metric> {
    let all = Attainment::All.metric();
    let shown = |metric: &&Metric| metric.0 != all || results.attainment() == Attainment::All;
    METRICS.iter().filter(shown).filter(|metric| results.variety(metric.0) > 0).collect()
}

/// Four digits: more than any interval supports.
fn digits(value: f64) -> String {
    let magnitude = if value == 0.0 { 0.0 } else { libm::floor(libm::log10(value.abs())) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 6")]
    let places = (3.0 - magnitude).clamp(0.0, 6.0) as usize;
    format!("{value:.places$}")
}

fn heading(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name} ({unit})") }
}

/// A table whose columns sort on a click.
struct Sortable {
    html: String,
}

impl Sortable {
    fn new<S: AsRef<str>>(headings: &[S]) -> Self {
        let mut html = "<div class=\"scroll\"><table>\n<thead><tr>".to_owned();
        for heading in headings {
            let _ =
                write!(html, "<th scope=\"col\"><button type=\"button\">{}</button></th>", escaped(heading.as_ref()));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        Self { html }
    }

    /// A row of cells: what is shown, and what it sorts by when that is a number.
    fn row(&mut self, class: &str, cells: &[(String, Option<f64>)]) {
        let _ = write!(self.html, "<tr class=\"{class}\">");
        for (text, number) in cells {
            let _ = match number {
                Some(number) => write!(self.html, "<td data-v=\"{number}\">{}</td>", escaped(text)),
                None => write!(self.html, "<td>{}</td>", escaped(text)),
            };
        }
        self.html.push_str("</tr>\n");
    }

    fn finish(self) -> String {
        self.html + "</tbody></table></div>\n"
    }
}

/// Any table as it is.
pub(super) fn html(table: &Table) -> String {
    let names: Vec<&str> = table.names().collect();
    let used = |name: &&str| table.get(name).is_some_and(|c| (0..c.len()).any(|row| !c.show(row).is_empty()));
    let names: Vec<&str> = names.into_iter().filter(used).collect();
    let mut sortable = Sortable::new(&names);
    for row in 0..table.rows() {
        let cell = |name: &&str| {
            let column = table.get(name).expect("a column of this table");
            let number = column.number(row);
            (number.map_or_else(|| column.show(row), |value| number_text(column, value)), number)
        };
        sortable.row("", &names.iter().map(cell).collect::<Vec<_>>());
    }
    sortable.finish()
}

fn number_text(column: &Column, value: f64) -> String {
    if matches!(column, Column::Count(_)) { value.to_string() } else { digits(value) }
}

/// Mean and interval of the main metrics for every scheduler and setting.
pub(super) fn summary_table(results: &Results) -> String {
    let metrics = metrics(results);
    let slices = results.slices(&[]);
    let settings: Vec<&str> = slices.first().map(|slice| slice.varied().collect()).unwrap_or_default();
    let mut headings: Vec<String> = settings.iter().map(|&name| name.to_owned()).collect();
    headings.push("scheduler".into());
    headings.extend(metrics.iter().map(|metric| heading(metric.1, metric.3)));
    let mut table = Sortable::new(&headings);
    for slice in &slices {
        for label in slice.labels() {
            let mut cells: Vec<_> =
                slice.settings().map(|(_, value)| (value.to_owned(), value.parse::<f64>().ok())).collect();
            cells.push((label.clone(), None));
            cells.extend(metrics.iter().map(|&&(name, _, factor, _)| {
                let Some(estimate) = slice.estimate(&label, name).map(|e| e.map(|x| x * factor)) else {
                    return (String::new(), None);
                };
                let spread = estimate.interval.map(|(lo, hi)| format!(" ±{}", digits((hi - lo) / 2.0)));
                (digits(estimate.mean) + &spread.unwrap_or_default(), Some(estimate.mean))
            }));
            table.row("", &cells);
        }
    }
    let note = "<p>Means over seeds; ± is half of the 95 % t interval. All metrics are in <code>summary.csv</code> and \
                <code>intervals.csv</code>.</p>\n";
    format!("{note}{}", table.finish())
}

/// Paired differences to the first scheduler, with the verdict in words. Empty where nothing was compared.
pub(super) fn verdict_table(results: &Results) -> String {
    let Some(comparisons) = results.comparisons() else { return String::new() };
    let metric = |row: usize| comparisons.get("metric").map(|column| column.show(row)).unwrap_or_default();
    let settings: Vec<&str> = ["case"]
        .into_iter()
        .chain(comparisons.names().skip_while(|name| *name != "rate_rps").take_while(|name| *name != "baseline"))
        .filter(|name| comparisons.get(name).is_some_and(|c| (0..c.len()).any(|row| !c.show(row).is_empty())))
        .collect();
    let mut headings: Vec<String> = settings.iter().map(|&name| name.to_owned()).collect();
    headings.extend(["scheduler", "metric", "difference", "95 % interval", "ratio", "verdict"].map(str::to_owned));
    let mut table = Sortable::new(&headings);
    // All pairs are stored; a page has one opponent for everybody.
    let baseline = results.labels().into_iter().next().unwrap_or_default();
    let metrics = metrics(results);
    let mut compared = false;
    for row in 0..comparisons.rows() {
        let name = metric(row);
        let Some(&&(_, title, factor, unit)) = metrics.iter().find(|metric| metric.0 == name) else { continue };
        let text = |column: &str| comparisons.get(column).map(|c| c.show(row)).unwrap_or_default();
        let number = |column: &str| comparisons.get(column).and_then(|c| c.number(row));
        if text("baseline") != baseline {
            continue;
        }
        compared = true;
        let mut cells: Vec<_> = settings.iter().map(|name| (text(name), number(name))).collect();
        cells.push((text("label"), None));
        cells.push((heading(title, unit), None));
        let scaled = |column: &str| number(column).map(|value| value * factor);
        cells.push((scaled("difference").map(digits).unwrap_or_default(), scaled("difference")));
        let interval = scaled("difference_lo").zip(scaled("difference_hi"));
        cells.push((interval.map(|(lo, hi)| format!("{} to {}", digits(lo), digits(hi))).unwrap_or_default(), None));
        cells.push((number("ratio").map(digits).unwrap_or_default(), number("ratio")));
        let verdict = text("verdict");
        let class = match verdict.as_str() {
            "better" => "better",
            "worse" => "worse",
            _ => "",
        };
        cells.push((verdict, None));
        table.row(class, &cells);
    }
    if !compared {
        return String::new();
    }
    let note = format!(
        "<p>Paired by seed against <b>{}</b>: both meet the same requests, so that only the difference varies. Better or \
         worse is said where the 95 % interval of the difference excludes zero.</p>\n\
         <label>Show rows with <input type=\"search\" class=\"filter\" placeholder=\"scheduler, metric, verdict\"></label>\n",
        escaped(&baseline)
    );
    format!("{note}{}", table.finish())
}
