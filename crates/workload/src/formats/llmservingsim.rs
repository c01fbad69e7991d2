//! LLMServingSim workloads (JSON lines): single requests, or sessions of sub-requests, mixed freely.
//!
//! Source: casys-kaist/LLMServingSim. Nanoseconds. Token ids, where present, are cut into blocks of 16 and compared as
//! they are; with `output_tok_ids` the generated blocks have an identity too. The next sub-request of a session comes
//! `tool_duration_ns` after the end of the one before.

use trimtab_core::{PS_PER_US, SimTime};

use super::fields::{TOKENS, absent, once, session, time};
use super::{FormatDef, Reader, has_key};
use crate::build::Builder;
use crate::error::{Fault, Kind, Parsed};
use crate::json::{Cursor, Token};
use crate::row::{Names, Row};

pub(crate) static DEF: FormatDef = FormatDef {
    name: "llmservingsim",
    summary: "LLMServingSim requests and sessions (JSON lines, token ids hashed to 16-token blocks)",
    block_tokens: 16,
    absolute: false,
    joins_lines: false,
    names: Names { time: "arrival_time_ns", input: "input_toks", output: "output_toks", ids: "input_tok_ids" },
    sniff: |line| line.starts_with(b"{") && (has_key(line, "input_toks") || has_key(line, "sub_requests")),
    open: || Box::new(LlmServingSim::default()),
};

/// Nanoseconds to picoseconds, as a power of ten.
const NS: i32 = 3;

#[derive(Default)]
struct LlmServingSim {
    row: Row,
    sessions: u64,
}

/// One request, flat or inside a session.
#[derive(Default)]
struct Item {
    at: usize,
    input: Option<u64>,
    output: Option<u64>,
    input_ids: Option<Vec<u64>>,
    output_ids: Option<Vec<u64>>,
    tool_ns: Option<u128>,
}

impl Reader for LlmServingSim {
    fn line(&mut self, line: &[u8], out: &mut Builder<'_>) -> Parsed<()> {
        let mut json = Cursor::new(line, out.options.lenient);
        let mut item = Item::default();
        let (mut arrival, mut named, mut subs) = (None, None, None);
        let mut start = true;
        while let Some(key) = json.next_key(start)? {
            start = false;
            match key {
                b"arrival_time_ns" => once(&mut arrival, "arrival_time_ns", &mut json, |json| time(json, NS))?,
                b"session_id" => once(&mut named, "session_id", &mut json, |json| session(json, out))?,
                b"sub_requests" => once(&mut subs, "sub_requests", &mut json, |json| sub_requests(json, out))?,
                _ => item.member(key, &mut json, out)?,
            }
        }
        json.finish()?;
        out.count_repaired(&json);
        let arrival = arrival.ok_or_else(|| absent("arrival_time_ns"))?;
        let Some(subs) = subs else { return self.push(&item, Some(arrival), out) };
        if subs.is_empty() {
            return Err(Fault::new(0, Kind::BadSession, b"[]", "at least one request").field("sub_requests"));
        }
        let session = named.unwrap_or_else(|| {
            self.sessions += 1;
            out.session(format!("unnamed {}", self.sessions).as_bytes())
        });
        let mut pause = None;
        for sub in &subs {
            self.row.clear();
            (self.row.session, self.row.delay) = (Some(session), pause);
            self.push(sub, if pause.is_none() { Some(arrival) } else { None }, out)?;
            // A tool that takes longer than the clock's range never returns within the run.
            let ps = sub.tool_ns.map_or(0, |ps| u64::try_from(ps).unwrap_or(u64::MAX));
            pause = Some(SimTime(ps.min(SimTime::LATEST_ARRIVAL.0 - PS_PER_US)));
        }
        Ok(())
    }
}

impl LlmServingSim {
    fn push(&mut self, item: &Item, time: Option<u128>, out: &mut Builder<'_>) -> Parsed<()> {
        let (session, delay) = (self.row.session.take(), self.row.delay.take());
        let row = &mut self.row;
        row.clear();
        (row.session, row.delay, row.time) = (session, delay, time);
        row.input = item.input.ok_or_else(|| absent("input_toks"))?;
        row.output = item.output.ok_or_else(|| absent("output_toks"))?;
        row.at.input = item.at;
        let Some(tokens) = &item.input_ids else { return out.push(row) };
        for (ids, length, name) in
            [(Some(tokens), row.input, "input_tok_ids"), (item.output_ids.as_ref(), row.output, "output_tok_ids")]
        {
            if let Some(ids) = ids.filter(|ids| ids.len() as u64 != length) {
                let found = format!("{} ids", ids.len());
                return Err(Fault::new(item.at, Kind::BadBlocks, found.as_bytes(), format!("{length} ids")).field(name));
            }
        }
        let output = item.output_ids.as_deref().unwrap_or_default();
        row.output_known = item.output_ids.is_some();
        let all: Vec<u8> = tokens.iter().chain(output).flat_map(|t| t.to_le_bytes()).collect();
        // Block contents repeat under different prefixes: compared together with what precedes them.
        row.scope = 1;
        for block in all.chunks_exact(out.block as usize * size_of::<u64>()) {
            row.ids.push(out.interner.name(block));
        }
        out.push(row)
    }
}

impl Item {
    fn member(&mut self, key: &[u8], json: &mut Cursor<'_>, out: &mut Builder<'_>) -> Parsed<()> {
        match key {
            b"input_toks" => {
                json.peek();
                self.at = json.at();
                once(&mut self.input, "input_toks", json, |json| json.uint(TOKENS))
            }
            b"output_toks" => once(&mut self.output, "output_toks", json, |json| json.uint(TOKENS)),
            b"input_tok_ids" => once(&mut self.input_ids, "input_tok_ids", json, token_ids),
            b"output_tok_ids" => once(&mut self.output_ids, "output_tok_ids", json, token_ids),
            b"tool_duration_ns" => once(&mut self.tool_ns, "tool_duration_ns", json, |json| time(json, NS)),
            _ => {
                out.unknown_key(key);
                json.skip()
            }
        }
    }
}

fn sub_requests(json: &mut Cursor<'_>, out: &mut Builder<'_>) -> Parsed<Vec<Item>> {
    let mut items = Vec::new();
    while json.next_item(items.is_empty())? {
        let mut item = Item::default();
        let mut start = true;
        while let Some(key) = json.next_key(start)? {
            start = false;
            item.member(key, json, out)?;
        }
        items.push(item);
    }
    Ok(items)
}

fn token_ids(json: &mut Cursor<'_>) -> Parsed<Vec<u64>> {
    let mut ids = Vec::new();
    json.list("a list of token ids", |token, at| match token {
        Token::Int(id) => {
            ids.push(id);
            Ok(())
        }
        Token::Text(text) => Err(Fault::new(at, Kind::WrongType, text, "a token id")),
    })?;
    Ok(ids)
}
