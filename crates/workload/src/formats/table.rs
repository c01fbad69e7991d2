//! What the CSV formats have in common: columns found by name, one place where a row becomes a request.

use super::Reader;
use crate::build::Builder;
use crate::error::{Fault, Kind, Parsed};
use crate::number::Decimal;
use crate::row::Row;
use crate::trace::NoteKind;

/// Where a CSV format keeps what a request needs. Names are compared without case and surrounding spaces.
pub(super) struct Columns {
    pub(super) time: Option<(&'static str, Unit)>,
    pub(super) input: &'static str,
    pub(super) output: &'static str,
    pub(super) session: Option<&'static str>,
    pub(super) tenant: Option<&'static str>,
    pub(super) model: Option<&'static str>,
    pub(super) priority: Option<&'static str>,
    /// Name of a shared prefix, and its length in tokens.
    pub(super) prefix: Option<(&'static str, &'static str)>,
}

/// How a time is written.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    /// A number; the power of ten that makes picoseconds of it.
    Number(i32),
    /// A date and time of day.
    Date,
}

impl Columns {
    /// No more than the lengths.
    pub(super) const fn lengths(input: &'static str, output: &'static str) -> Self {
        Self { time: None, input, output, session: None, tenant: None, model: None, priority: None, prefix: None }
    }

    /// Whether a line is the header of this format.
    pub(super) fn match_header(&self, line: &[u8]) -> bool {
        let names = header_names(line);
        let has = |name: &str| names.iter().any(|n| n == name);
        has(self.input) && has(self.output)
    }
}

/// A reader of the rows under a header.
pub(super) struct Table {
    columns: &'static Columns,
    header: Option<Header>,
    cells: Vec<Cell>,
    row: Row,
}

struct Header {
    line: Vec<u8>,
    separator: u8,
    width: usize,
    time: Option<(usize, Unit)>,
    input: usize,
    output: usize,
    session: Option<usize>,
    tenant: Option<usize>,
    model: Option<usize>,
    priority: Option<usize>,
    prefix: Option<(usize, usize)>,
}

/// Byte range of a cell's text in the line.
type Cell = (usize, usize);

impl Table {
    pub(super) fn open(columns: &'static Columns) -> Box<dyn Reader> {
        Box::new(Self { columns, header: None, cells: Vec::new(), row: Row::default() })
    }

    fn read_header(&self, line: &[u8]) -> Parsed<Header> {
        let names = header_names(line);
        let columns = self.columns;
        let find = |name: &'static str| names.iter().position(|n| n == name);
        let need = |name: &'static str| {
            find(name).ok_or_else(|| {
                Fault::new(0, Kind::Missing, line, format!("a header with the column `{name}`"))
                    .hint("the first line must name the columns")
            })
        };
        Ok(Header {
            separator: separator(line),
            width: names.len(),
            time: columns.time.and_then(|(name, unit)| Some((find(name)?, unit))),
            input: need(columns.input)?,
            output: need(columns.output)?,
            session: columns.session.and_then(find),
            tenant: columns.tenant.and_then(find),
            model: columns.model.and_then(find),
            priority: columns.priority.and_then(find),
            prefix: columns.prefix.and_then(|(group, length)| find(group).zip(find(length))),
            line: line.to_vec(),
        })
    }
}

impl Reader for Table {
    fn line(&mut self, line: &[u8], out: &mut Builder<'_>) -> Parsed<()> {
        let Some(header) = &self.header else {
            self.header = Some(self.read_header(line)?);
            return Ok(());
        };
        if line == header.line {
            out.note(NoteKind::Warning, "the header again, as in files that were joined");
            return Ok(());
        }
        split(line, header.separator, &mut self.cells)?;
        if self.cells.len() != header.width {
            let found = format!("{} columns", self.cells.len());
            return Err(Fault::new(0, Kind::Syntax, found.as_bytes(), format!("{} columns", header.width)));
        }
        let text = |column: usize| text_of(line, self.cells[column]);
        let row = &mut self.row;
        row.clear();
        row.at.input = self.cells[header.input].0;
        row.at.output = self.cells[header.output].0;
        row.input = tokens(line, self.cells[header.input], self.columns.input, out)?;
        row.output = tokens(line, self.cells[header.output], self.columns.output, out)?;
        if let (Some((column, unit)), Some((name, _))) = (header.time, self.columns.time) {
            row.at.time = self.cells[column].0;
            row.time = Some(time(line, self.cells[column], unit).map_err(|fault| fault.field(name))?);
        }
        let named = |column: Option<usize>| column.map(text).filter(|name| !name.is_empty());
        row.session = named(header.session).map(|name| out.session(name));
        row.tenant = named(header.tenant).map(|name| out.tenant(name)).transpose()?;
        row.model = named(header.model).map_or(Ok(0), |name| out.model(name))?;
        if let Some(column) = header.priority {
            let number = Decimal::parse(text(column)).and_then(Decimal::integer).and_then(|n| i16::try_from(n).ok());
            row.priority = number.unwrap_or(0);
        }
        if let Some((group, length)) = header.prefix {
            let shared =
                if text(group).is_empty() { 0 } else { tokens(line, self.cells[length], "prefix_length", out)? };
            if shared > 0 {
                row.scope = out.scope(text(group));
                row.ids.extend(0..shared.min(row.input) / u64::from(out.block));
            }
        }
        out.push(row)
    }
}

fn separator(line: &[u8]) -> u8 {
    if line.contains(&b';') && !line.contains(&b',') { b';' } else { b',' }
}

/// The column names of a header line, in lower case.
fn header_names(line: &[u8]) -> Vec<String> {
    let mut cells = Vec::new();
    if split(line, separator(line), &mut cells).is_err() {
        return Vec::new();
    }
    cells.iter().map(|&cell| String::from_utf8_lossy(text_of(line, cell)).to_ascii_lowercase()).collect()
}

fn text_of(line: &[u8], (from, to): Cell) -> &[u8] {
    line[from..to].trim_ascii()
}

/// The cells of a line, quotes removed (a doubled quote inside stays doubled: no column that is read has one).
fn split(line: &[u8], separator: u8, cells: &mut Vec<Cell>) -> Parsed<()> {
    cells.clear();
    if let Some(at) = line.iter().position(|b| matches!(b, 0 | b'\r')) {
        return Err(match line[at] {
            0 => Fault::new(at, Kind::Encoding, &line[at..], "text without NUL bytes"),
            _ => Fault::new(at, Kind::Syntax, &line[at..], "one row per line")
                .hint("a lone carriage return ends no line; convert the line ends to LF"),
        });
    }
    if let Err(error) = std::str::from_utf8(line) {
        let at = error.valid_up_to();
        return Err(Fault::new(at, Kind::Encoding, &line[at..], "UTF-8 text"));
    }
    let mut at = 0;
    loop {
        let start = at + line[at..].iter().take_while(|&&b| b == b' ').count();
        if line.get(start) == Some(&b'"') {
            let mut end = start + 1;
            loop {
                match (line.get(end), line.get(end + 1)) {
                    (Some(b'"'), Some(b'"')) => end += 2,
                    (Some(b'"'), _) => break,
                    (Some(_), _) => end += 1,
                    (None, _) => {
                        return Err(Fault::new(start, Kind::Syntax, &line[start..], "a closing `\"` in the same line"));
                    }
                }
            }
            cells.push((start + 1, end));
            at = end + 1;
            at += line[at..].iter().take_while(|&&b| b == b' ').count();
            if line.get(at).is_some_and(|&b| b != separator) {
                return Err(Fault::new(at, Kind::Syntax, &line[at..], "a separator after the closing quote"));
            }
        } else {
            let len = line[at..].iter().position(|&b| b == separator).unwrap_or(line.len() - at);
            cells.push((at, at + len));
            at += len;
        }
        if at >= line.len() {
            return Ok(());
        }
        at += 1;
    }
}

fn tokens(line: &[u8], cell: Cell, name: &'static str, out: &mut Builder<'_>) -> Parsed<u64> {
    let mut text = text_of(line, cell);
    let unquoted: Vec<u8>;
    let fault = |kind, text: &[u8]| Fault::new(cell.0, kind, text, "a whole number of tokens").field(name);
    if text.is_empty() {
        return Err(fault(Kind::Missing, text));
    }
    if out.options.lenient && text.contains(&b',') {
        unquoted = text.iter().copied().filter(|&b| b != b',').collect();
        out.note(NoteKind::Repaired, "number with thousands separators");
        text = &unquoted;
    }
    let number = Decimal::parse(text).ok_or_else(|| fault(Kind::WrongType, text))?;
    if number.negative && number.mantissa != 0 {
        return Err(fault(Kind::OutOfRange, text));
    }
    match number.integer().map(u64::try_from) {
        Some(Ok(value)) => Ok(value),
        None if number.exponent < 0 => Err(fault(Kind::WrongType, text)),
        Some(Err(_)) | None => Err(fault(Kind::OutOfRange, text)),
    }
}

fn time(line: &[u8], cell: Cell, unit: Unit) -> Parsed<u128> {
    let text = text_of(line, cell);
    let fault = |kind, expected: &'static str| Fault::new(cell.0, kind, text, expected);
    if text.is_empty() {
        return Err(fault(Kind::Missing, "a time"));
    }
    match unit {
        Unit::Date => date(text).ok_or_else(|| fault(Kind::WrongType, "a date such as `2023-11-16 18:15:46.6805900`")),
        Unit::Number(power) => {
            let number = Decimal::parse(text).ok_or_else(|| fault(Kind::WrongType, "a number"))?;
            if number.negative && number.mantissa != 0 {
                return Err(fault(Kind::OutOfRange, "a time that is not negative"));
            }
            let ps = number.scaled(power).filter(|&ps| ps < u128::MAX / 2);
            ps.ok_or_else(|| fault(Kind::OutOfRange, "a time that fits a clock"))
        }
    }
}

/// Picoseconds since the year 0 of a date without zone, or with `Z` or an offset; any number of digits of a second.
fn date(text: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(text).ok()?;
    let (day, clock) = text.split_once([' ', 'T'])?;
    let mut parts = day.splitn(3, '-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (clock, offset_min) = if let Some(clock) = clock.strip_suffix('Z') {
        (clock, 0)
    } else if let Some(at) = clock.find(['+', '-']) {
        let (hours, minutes) = clock[at + 1..].split_once(':').unwrap_or((&clock[at + 1..], "0"));
        let minutes = i64::from(hours.parse::<u16>().ok()?) * 60 + i64::from(minutes.parse::<u16>().ok()?);
        (&clock[..at], if clock.as_bytes()[at] == b'-' { -minutes } else { minutes })
    } else {
        (clock, 0)
    };
    let mut parts = clock.splitn(3, ':');
    let (hour, minute) = (parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?);
    let second = Decimal::parse(parts.next()?.as_bytes()).filter(|s| !s.negative)?.scaled(12)?;
    // A leap second is allowed to be one.
    if hour > 23 || minute > 59 || second >= 61 * 10u128.pow(12) || offset_min.abs() > 24 * 60 {
        return None;
    }
    let minutes = i64::from(days(year, month, day)) * 1440 + i64::from(hour * 60 + minute) - offset_min;
    Some(u128::try_from(minutes).ok()? * 60 * 10u128.pow(12) + second)
}

/// Days since 1 March of year 0 in the Gregorian calendar.
fn days(year: u32, month: u32, day: u32) -> u32 {
    // Years start in March here, so that the leap day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let second = |text: &str| date(text.as_bytes()).map(|ps| ps / 10u128.pow(12));
        let base = second("2023-11-16 00:00:00").expect("a date");
        for (text, expected) in [
            ("2023-11-16 18:15:46.6805900", Some(65_746)),
            ("2023-11-17T00:00:00Z", Some(86_400)),
            ("2023-11-17 00:00:00+02:00", Some(79_200)),
            ("2023-11-15 23:00:00-01:00", Some(0)),
            ("2024-03-01 00:00:00", Some(106 * 86_400)),
            ("2024-13-01 00:00:00", None),
            ("2024-01-01", None),
            ("2024-01-01 25:00:00", None),
            ("nan", None),
            ("2024-01-01 00:00:00+999999999999999999", None),
            ("2024-01-01 00:00:00+99:00", None),
        ] {
            assert_eq!(second(text).map(|s| s - base), expected, "{text}");
        }
        let tick = date(b"2023-11-16 18:17:03.9799600").zip(date(b"2023-11-16 18:17:03")).map(|(a, b)| a - b);
        assert_eq!(tick, Some(979_960_000_000));
    }

    #[test]
    fn cells() {
        let cells = |line: &str| {
            let mut cells = Vec::new();
            split(line.as_bytes(), b',', &mut cells).map(|()| {
                cells.iter().map(|&c| String::from_utf8_lossy(text_of(line.as_bytes(), c)).into_owned()).collect()
            })
        };
        for (line, expected) in [
            ("a, b ,c", vec!["a", "b", "c"]),
            ("\"a,b\",c", vec!["a,b", "c"]),
            ("a,,", vec!["a", "", ""]),
            ("\"x\"\"y\" ,z", vec!["x\"\"y", "z"]),
        ] {
            let found: Vec<String> = cells(line).expect(line);
            assert_eq!(found, expected, "{line}");
        }
        for line in ["\"open", "\"a\"b,c", "a\0", "a\rb"] {
            assert!(cells(line).is_err(), "{line:?}");
        }
    }
}
