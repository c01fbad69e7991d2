//! Pages whose numbers come from result files: a template says in `{{...}}` which number of which file stands there.
//!
//! | in a template | what it becomes |
//! |---|---|
//! | `{{FILE WHERE... COLUMN:FORMAT}}` | the number of the one row that is meant, with its interval where the file has one |
//! | `{{against ID note="of ours" FILE WHERE... COLUMN "reason"}}` | a table row: a published number, ours, whether they agree; the reason if not |
//! | `{{published ID "reason"}}` | a table row: a published number that nothing here can be compared with |
//! | `{{table FILE WHERE... rows=COLUMN columns=COLUMN COLUMN:FORMAT}}` | a table of numbers |
//!
//! WHERE is `column=value`, `column!=value`, or a choice among the rows that are left: `most:COLUMN`, `least:COLUMN`, one
//! for each value of another column with `least:COLUMN@OTHER`. Behind a COLUMN, `over FILE WHERE... COLUMN` divides by another
//! number. An interval without a mean is written `LO..HI`. A FORMAT is `.2` (decimals), `x2` (times), `%1` (a share in
//! percent) or `+%1` (a ratio as a change in percent).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use trimtab_table::{Column, Table};

/// A placeholder that means nothing, or not one thing.
#[derive(Debug, thiserror::Error)]
#[error("{page}:{line}: `{{{{{placeholder}}}}}`: {message}")]
pub struct RenderError {
    /// The template.
    pub page: String,
    /// Its line, from 1.
    pub line: usize,
    /// What stands between the braces.
    pub placeholder: String,
    /// What is wrong.
    pub message: String,
}

/// Renders the template called `page`: numbers from the files of the folder `results`, published ones from `published`.
pub fn render(page: &str, template: &str, results: &Path, published: &Path) -> Result<String, RenderError> {
    let source = Source { results, published, tables: RefCell::default() };
    let mut out =
        format!("<!-- Written by `trimtab render` from docs/pages/{page}: edit that file, not this one. -->\n\n");
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let line = template[..template.len() - after.len()].matches('\n').count() + 1;
        let (placeholder, behind) = after.split_once("}}").unwrap_or((after, ""));
        let fail = |message| RenderError { page: page.into(), line, placeholder: placeholder.into(), message };
        if !after.contains("}}") {
            return Err(fail("is never closed".to_owned()));
        }
        out.push_str(&source.expand(&words(placeholder)).map_err(fail)?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// Words, kept together by double quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in text.chars() {
        if c == '"' {
            quoted = !quoted;
            word.get_or_insert_default();
        } else if c.is_whitespace() && !quoted {
            words.extend(word.take());
        } else {
            // A quoted text may run over several lines of the template.
            word.get_or_insert_default().push(if c == '\n' { ' ' } else { c });
        }
    }
    words.extend(word);
    words
}

/// How a number is written.
#[derive(Clone, Copy)]
enum Style {
    Plain,
    Times,
    Share,
    Change,
}

#[derive(Clone, Copy)]
struct Format {
    style: Style,
    decimals: usize,
}

impl Format {
    fn parse(text: &str) -> Result<Self, String> {
        let styles = [("+%", Style::Change), ("%", Style::Share), ("x", Style::Times), (".", Style::Plain)];
        let found = styles.into_iter().find_map(|(mark, style)| Some((style, text.strip_prefix(mark)?)));
        found
            .and_then(|(style, decimals)| Some(Self { style, decimals: decimals.parse().ok()? }))
            .ok_or_else(|| format!("`{text}` is no format: `.2`, `x2`, `%1` or `+%1`"))
    }

    fn scaled(self, x: f64) -> f64 {
        match self.style {
            Style::Plain | Style::Times => x,
            Style::Share => 100.0 * x,
            Style::Change => 100.0 * (x - 1.0),
        }
    }

    /// Digits alone: minus zero is zero.
    fn digits(self, x: f64) -> String {
        let decimals = self.decimals;
        let text = match self.style {
            Style::Change => format!("{:+.decimals$}", self.scaled(x)),
            _ => format!("{:.decimals$}", self.scaled(x)),
        };
        let nothing = text.trim_start_matches(['-', '+']).chars().all(|c| matches!(c, '0' | '.'));
        if nothing { text.trim_start_matches(['-', '+']).to_owned() } else { text }
    }

    fn unit(self) -> &'static str {
        match self.style {
            Style::Plain => "",
            Style::Times => "×",
            Style::Share | Style::Change => " %",
        }
    }

    fn one(self, x: f64) -> String {
        format!("{}{}", self.digits(x), self.unit())
    }

    fn range(self, (lo, hi): (f64, f64)) -> String {
        // A t interval may go beyond what a share can be.
        let most = if matches!(self.style, Style::Share) { 1.0 } else { f64::INFINITY };
        let (lo, hi) = (lo.min(most), hi.min(most));
        let (from, to) = (self.one(lo), self.one(hi));
        if from == to { to } else { format!("{} to {to}", self.digits(lo)) }
    }

    /// A distance, in percentage points for what is written in percent.
    fn distance(self, from: f64, to: f64) -> String {
        let decimals = self.decimals;
        let unit = match self.style {
            Style::Plain => "",
            Style::Times => "×",
            Style::Share | Style::Change => " points",
        };
        format!("{:+.decimals$}{unit}", self.scaled(to) - self.scaled(from))
    }
}

/// A number of ours.
#[derive(Clone, Copy)]
struct Found {
    mean: Option<f64>,
    interval: Option<(f64, f64)>,
}

impl Found {
    fn show(self, format: Format) -> String {
        match (self.mean, self.interval) {
            (Some(mean), Some(interval)) => format!("{} ({})", format.one(mean), format.range(interval)),
            (Some(mean), None) => format.one(mean),
            (None, Some(interval)) => format.range(interval),
            (None, None) => "-".to_owned(),
        }
    }

    fn extent(self) -> Option<(f64, f64)> {
        self.interval.or_else(|| self.mean.map(|mean| (mean, mean)))
    }

    /// The quotient; its interval is all that both intervals allow.
    fn over(self, other: Self) -> Self {
        let mean = self.mean.zip(other.mean).map(|(a, b)| a / b);
        let spread = self.interval.is_some() || other.interval.is_some();
        let interval = self.extent().zip(other.extent()).map(|((a, b), (c, d))| (a / d, b / c));
        Self { mean, interval: interval.filter(|_| spread) }
    }
}

/// Something that a paper states.
struct Published {
    claim: String,
    source: String,
    lo: f64,
    hi: f64,
    format: Format,
}

impl Published {
    fn show(&self) -> String {
        match (self.lo.is_finite(), self.hi.is_finite()) {
            (true, true) => self.format.range((self.lo, self.hi)),
            (true, false) => format!("at least {}", self.format.one(self.lo)),
            _ => format!("at most {}", self.format.one(self.hi)),
        }
    }

    /// What a number of ours says about it.
    fn verdict(&self, ours: Found) -> String {
        let Some((lo, hi)) = ours.extent() else { return "no value".to_owned() };
        let effect = matches!(self.format.style, Style::Change | Style::Times);
        if hi < self.lo {
            format!("**differs** ({})", self.format.distance(self.lo, hi))
        } else if lo > self.hi {
            format!("**differs** ({})", self.format.distance(self.hi, lo))
        } else if effect && (lo..=hi).contains(&1.0) && !(self.lo..=self.hi).contains(&1.0) {
            "undecided: no effect is in the interval too".to_owned()
        } else {
            "**agrees**".to_owned()
        }
    }
}

/// Where the numbers are.
struct Source<'a> {
    results: &'a Path,
    published: &'a Path,
    tables: RefCell<BTreeMap<PathBuf, Rc<Table>>>,
}

impl Source<'_> {
    fn expand(&self, words: &[String]) -> Result<String, String> {
        let rest = words.get(1..).unwrap_or_default();
        match words.first().map(String::as_str) {
            None => Err("is empty".to_owned()),
            Some("published") => {
                let [id, reason] = rest else { return Err("needs an id and a reason".to_owned()) };
                let known = self.published(id)?;
                Ok(row(&[&known.claim, &known.source, &known.show(), "", "cannot be compared", reason]))
            }
            Some("against") => self.against(rest),
            Some("table") => self.pivot(rest),
            Some(_) => {
                let (column, format) = format_of(words.last().expect("there is a first"))?;
                let mut query = words[..words.len() - 1].to_vec();
                query.push(column.to_owned());
                Ok(self.number(&query)?.show(format))
            }
        }
    }

    fn against(&self, words: &[String]) -> Result<String, String> {
        let [id, query @ .., reason] = words else { return Err("needs an id, a number and a reason".to_owned()) };
        let mut known = self.published(id)?;
        let (note, query) = match query {
            [note, query @ ..] if note.starts_with("note=") => (note.strip_prefix("note="), query),
            _ => (None, query),
        };
        if let Some(note) = note {
            known.claim = format!("{} ({note})", known.claim);
        }
        let ours = self.number(query)?;
        let verdict = known.verdict(ours);
        let reason = if verdict == "**agrees**" { "" } else { reason };
        Ok(row(&[&known.claim, &known.source, &known.show(), &ours.show(known.format), &verdict, reason]))
    }

    /// A number, perhaps over another one.
    fn number(&self, words: &[String]) -> Result<Found, String> {
        if let Some(over) = words.iter().position(|word| word == "over") {
            return Ok(self.number(&words[..over])?.over(self.number(&words[over + 1..])?));
        }
        let [query @ .., column] = words else { return Err("names no column".to_owned()) };
        let (table, rows) = self.rows(query)?;
        match rows[..] {
            [row] => cell(&table, row, column),
            _ => Err(format!("{} rows are meant, not one: {}", rows.len(), sample(&table, &rows))),
        }
    }

    fn pivot(&self, words: &[String]) -> Result<String, String> {
        let option = |key: &str| words.iter().find_map(|w| w.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned);
        let (Some(down), Some(across)) = (option("rows"), option("columns")) else {
            return Err("a table needs rows=COLUMN and columns=COLUMN".to_owned());
        };
        let [query @ .., last] = words else { return Err("names no column".to_owned()) };
        let (column, format) = format_of(last)?;
        let is_option = |w: &&String| !(w.starts_with("rows=") || w.starts_with("columns="));
        let query: Vec<String> = query.iter().filter(is_option).cloned().collect();
        let (table, rows) = self.rows(&query)?;
        let (down, across) = (named(&table, &down)?, named(&table, &across)?);
        let (names, heads) = (distinct(down, &rows), distinct(across, &rows));
        if names.is_empty() {
            return Err("no rows are meant".to_owned());
        }
        let head = std::iter::once("").chain(heads.iter().map(String::as_str)).collect::<Vec<_>>();
        let mut lines = vec![row(&head), format!("|{}", "---|".repeat(head.len()))];
        for name in &names {
            let mut cells = vec![name.clone()];
            for head in &heads {
                let here: Vec<usize> =
                    rows.iter().copied().filter(|&r| shown(down, r) == *name && shown(across, r) == *head).collect();
                cells.push(match here[..] {
                    [] => "-".to_owned(),
                    [r] => compact(cell(&table, r, column)?, format),
                    _ => return Err(format!("{} rows for {name}, {head}: {}", here.len(), sample(&table, &here))),
                });
            }
            lines.push(row(&cells.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        Ok(lines.join("\n"))
    }

    /// The rows that a query means.
    fn rows(&self, query: &[String]) -> Result<(Rc<Table>, Vec<usize>), String> {
        let [file, conditions @ ..] = query else { return Err("names no file".to_owned()) };
        let table = self.table(&self.results.join(file))?;
        let mut rows: Vec<usize> = (0..table.rows()).collect();
        for condition in conditions {
            if let Some((least, choice)) = [(true, "least:"), (false, "most:")]
                .into_iter()
                .find_map(|(l, p)| Some((l, condition.strip_prefix(p)?)))
            {
                rows = extreme(&table, &rows, least, choice)?;
            } else if let Some((column, value)) = condition.split_once("!=") {
                let column = named(&table, column)?;
                rows.retain(|&row| !equal(column, row, value));
            } else if let Some((column, value)) = condition.split_once('=') {
                let column = named(&table, column)?;
                rows.retain(|&row| equal(column, row, value));
            } else {
                return Err(format!("`{condition}` is no condition"));
            }
        }
        Ok((table, rows))
    }

    fn published(&self, id: &str) -> Result<Published, String> {
        let table = self.table(self.published)?;
        let ids = named(&table, "id")?;
        let mut here = (0..table.rows()).filter(|&row| shown(ids, row) == id);
        let (Some(row), None) = (here.next(), here.next()) else {
            return Err(format!("`{id}` does not stand once in {}", self.published.display()));
        };
        let text = |column| named(&table, column).map(|column| shown(column, row));
        let bound = |column, open| named(&table, column).map(|column| column.number(row).unwrap_or(open));
        Ok(Published {
            claim: text("claim")?,
            source: text("source")?,
            lo: bound("lo", f64::NEG_INFINITY)?,
            hi: bound("hi", f64::INFINITY)?,
            format: Format::parse(&text("format")?)?,
        })
    }

    fn table(&self, path: &Path) -> Result<Rc<Table>, String> {
        if let Some(table) = self.tables.borrow().get(path) {
            return Ok(Rc::clone(table));
        }
        let table = Rc::new(Table::read(path).map_err(|error| format!("{}: {error}", path.display()))?);
        self.tables.borrow_mut().insert(path.to_owned(), Rc::clone(&table));
        Ok(table)
    }
}

/// `COLUMN:FORMAT`.
fn format_of(word: &str) -> Result<(&str, Format), String> {
    let (column, format) = word.rsplit_once(':').ok_or_else(|| format!("`{word}` is not COLUMN:FORMAT"))?;
    Ok((column, Format::parse(format)?))
}

fn row(cells: &[&str]) -> String {
    format!("| {} |", cells.join(" | "))
}

fn named<'a>(table: &'a Table, name: &str) -> Result<&'a Column, String> {
    table.column(name).map_err(|error| error.to_string())
}

/// A cell as text; whole numbers without a point.
fn shown(column: &Column, row: usize) -> String {
    column.number(row).map_or_else(|| column.show(row), |number| number.to_string())
}

fn equal(column: &Column, row: usize, value: &str) -> bool {
    match (column.number(row), value.parse::<f64>()) {
        (Some(number), Ok(wanted)) => number.total_cmp(&wanted).is_eq(),
        _ => column.show(row) == value,
    }
}

/// Values in order of appearance.
fn distinct(column: &Column, rows: &[usize]) -> Vec<String> {
    let mut values = Vec::new();
    for &row in rows {
        let value = shown(column, row);
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

/// The row with the least or largest number, or one for each value of another column.
fn extreme(table: &Table, rows: &[usize], least: bool, choice: &str) -> Result<Vec<usize>, String> {
    let (by, per) = choice.split_once('@').map_or((choice, None), |(by, per)| (by, Some(per)));
    let by = named(table, by)?;
    let per = per.map(|per| named(table, per)).transpose()?;
    let groups = per.map_or_else(|| vec![String::new()], |per| distinct(per, rows));
    let best = |group: &String| {
        let mut best: Option<(f64, usize)> = None;
        for &row in rows.iter().filter(|&&row| per.is_none_or(|per| shown(per, row) == *group)) {
            let Some(number) = by.number(row) else { continue };
            if best.is_none_or(|(known, _)| if least { number < known } else { number > known }) {
                best = Some((number, row));
            }
        }
        best.map(|(_, row)| row)
    };
    Ok(groups.iter().filter_map(best).collect())
}

/// The number in a cell, with its interval where the table has columns for it.
fn cell(table: &Table, row: usize, column: &str) -> Result<Found, String> {
    let number = |name: &str| table.get(name).and_then(|column| column.number(row));
    if let Some((lo, hi)) = column.split_once("..") {
        let (lo, hi) = (named(table, lo)?.number(row), named(table, hi)?.number(row));
        return match lo.zip(hi) {
            Some(interval) => Ok(Found { mean: None, interval: Some(interval) }),
            None => Err("an end of the interval is missing".to_owned()),
        };
    }
    let mean = named(table, column)?.number(row).ok_or_else(|| format!("no number in `{column}`"))?;
    let (lo, hi) =
        if column == "mean" { ("lo".into(), "hi".into()) } else { (format!("{column}_lo"), format!("{column}_hi")) };
    Ok(Found { mean: Some(mean), interval: number(&lo).zip(number(&hi)) })
}

/// As it stands in a table: half of the interval is enough where it is symmetric.
fn compact(found: Found, format: Format) -> String {
    match (found.mean, found.interval) {
        (Some(mean), Some((lo, hi))) if ((hi - mean) - (mean - lo)).abs() <= 1e-9 * (hi - lo) => {
            let half = match format.style {
                Style::Change => Format { style: Style::Share, ..format },
                _ => format,
            };
            format!("{} ± {}", format.digits(mean), half.one((hi - lo) / 2.0))
        }
        _ => found.show(format),
    }
}

/// Some rows, to see what a query meant.
fn sample(table: &Table, rows: &[usize]) -> String {
    let line = |&row: &usize| table.columns().map(|(_, column)| column.show(row)).collect::<Vec<_>>().join(",");
    rows.iter().take(3).map(line).collect::<Vec<_>>().join("; ")
}
