//! What the JSON formats have in common.

use trimtab_core::{SessionId, SimTime};

use crate::build::Builder;
use crate::error::{Fault, Kind, Parsed};
use crate::json::{Cursor, Token};

/// What a length must be.
pub(super) const TOKENS: &str = "a whole number of tokens";

/// Reads a value that a row has at most once.
pub(super) fn once<'a, T>(
    slot: &mut Option<T>,
    name: &'static str,
    json: &mut Cursor<'a>,
    read: impl FnOnce(&mut Cursor<'a>) -> Parsed<T>,
) -> Parsed<()> {
    if slot.is_some() {
        return Err(json.issue(Kind::Syntax, "each key once").field(name));
    }
    *slot = Some(read(json).map_err(|issue| issue.field(name))?);
    Ok(())
}

/// A required key that is not there.
pub(super) fn absent(name: &'static str) -> Fault {
    Fault::new(0, Kind::Missing, b"", "a value in every row").field(name)
}

/// A time that is not negative, in picoseconds; `unit` is the power of ten that makes picoseconds of it.
pub(super) fn time(json: &mut Cursor<'_>, unit: i32) -> Parsed<u128> {
    json.peek();
    let at = json.at();
    let number = json.decimal("a time that is not negative")?;
    let fault = |json: &mut Cursor<'_>, expected: &'static str| {
        json.seek(at);
        Err(json.issue(Kind::OutOfRange, expected))
    };
    if number.negative && number.mantissa != 0 {
        return fault(json, "a time that is not negative");
    }
    // Half the range is enough, and sums of two times then fit.
    match number.scaled(unit).filter(|&ps| ps < u128::MAX / 2) {
        Some(ps) => Ok(ps),
        None => fault(json, "a time that fits a clock"),
    }
}

/// A span of time.
pub(super) fn span(json: &mut Cursor<'_>, unit: i32) -> Parsed<SimTime> {
    json.peek();
    let at = json.at();
    let ps = time(json, unit)?;
    u64::try_from(ps).map(SimTime).map_err(|_| {
        json.seek(at);
        json.issue(Kind::OutOfRange, "a span of less than 200 days")
    })
}

/// A session name, a string or a number.
pub(super) fn session(json: &mut Cursor<'_>, out: &mut Builder<'_>) -> Parsed<SessionId> {
    Ok(match json.token("a session name")? {
        Token::Int(n) => out.session(n.to_string().as_bytes()),
        Token::Text(text) => out.session(text),
    })
}

/// A list of block ids.
pub(super) fn block_ids(json: &mut Cursor<'_>, ids: &mut Vec<u64>, out: &mut Builder<'_>) -> Parsed<()> {
    json.list("a list of block ids", |token, _| {
        ids.push(match token {
            Token::Int(id) => id,
            Token::Text(text) => out.interner.name(text),
        });
        Ok(())
    })
}
