//! Mooncake traces (JSON lines), with the additions of AIPerf.
//!
//! Source: kvcache-ai/Mooncake, `FAST25-release/traces` (Apache-2.0); additions: ai-dynamo/aiperf, `mooncake_trace`. One
//! object per line: `timestamp` in ms, `input_length`, `output_length`, `hash_ids`, one id for each 512 tokens, which
//! names the block and everything before it; the last, partial block has an id of its own. AIPerf adds `session_id`,
//! `delay` (ms after the previous turn ended) and leaves out what it does not know.

use super::fields::{TOKENS, absent, block_ids, once, session, span, time};
use super::{FormatDef, Reader, has_key};
use crate::build::Builder;
use crate::error::{Kind, Parsed};
use crate::json::Cursor;
use crate::row::{Names, Row};

pub(crate) static DEF: FormatDef = FormatDef {
    name: "mooncake",
    summary: "Mooncake JSON lines (FAST'25 and arXiv), and AIPerf's variant with sessions and delays",
    block_tokens: 512,
    absolute: false,
    joins_lines: false,
    names: Names { time: "timestamp", input: "input_length", output: "output_length", ids: "hash_ids" },
    sniff: |line| line.starts_with(b"{") && (has_key(line, "input_length") || has_key(line, "text_input")),
    open: || Box::new(Mooncake { row: Row::default(), first: true }),
};

/// Milliseconds to picoseconds, as a power of ten.
const MS: i32 = 9;

struct Mooncake {
    row: Row,
    first: bool,
}

impl Reader for Mooncake {
    fn line(&mut self, line: &[u8], out: &mut Builder<'_>) -> Parsed<()> {
        let first = std::mem::take(&mut self.first);
        let row = &mut self.row;
        row.clear();
        let mut json = Cursor::new(line, out.options.lenient);
        let (mut input, mut output, mut ids) = (None, None, None);
        let mut start = true;
        while let Some(key) = json.next_key(start)? {
            start = false;
            json.peek();
            let at = json.at();
            match key {
                b"timestamp" => once(&mut row.time, "timestamp", &mut json, |json| time(json, MS))?,
                b"input_length" => once(&mut input, "input_length", &mut json, |json| json.uint(TOKENS))?,
                b"output_length" => once(&mut output, "output_length", &mut json, |json| json.uint(TOKENS))?,
                b"hash_ids" => {
                    let list = &mut row.ids;
                    once(&mut ids, "hash_ids", &mut json, |json| block_ids(json, list, out))?;
                }
                b"delay" if !json.eat_null() => {
                    once(&mut row.delay, "delay", &mut json, |json| span(json, MS))?;
                }
                b"session_id" if !json.eat_null() => {
                    once(&mut row.session, "session_id", &mut json, |json| session(json, out))?;
                }
                b"delay" | b"session_id" => {}
                b"schema" if first => {
                    json.skip()?;
                    return header(json, out);
                }
                b"text_input" | b"messages" => {
                    return Err(json
                        .issue(Kind::WrongType, "`input_length`, since text cannot be counted in tokens here")
                        .field(String::from_utf8_lossy(key).into_owned()));
                }
                _ => {
                    out.unknown_key(key);
                    json.skip()?;
                }
            }
            match key {
                b"timestamp" => row.at.time = at,
                b"input_length" => row.at.input = at,
                b"output_length" => row.at.output = at,
                b"hash_ids" => row.at.ids = at,
                _ => {}
            }
        }
        json.finish()?;
        out.count_repaired(&json);
        row.input = input.ok_or_else(|| absent("input_length"))?;
        row.output = output.ok_or_else(|| absent("output_length"))?;
        out.push(row)
    }
}

/// The rest of the header object that Dynamo's agentic variant puts first.
fn header(mut json: Cursor<'_>, out: &mut Builder<'_>) -> Parsed<()> {
    while let Some(key) = json.next_key(false)? {
        if key == b"block_size" {
            let at = json.at();
            let size = json.uint(TOKENS)?;
            out.block = u32::try_from(size).ok().filter(|&s| s > 0).ok_or_else(|| {
                json.seek(at);
                json.issue(Kind::OutOfRange, "a block size").field("block_size")
            })?;
        } else {
            json.skip()?;
        }
    }
    json.finish()
}
