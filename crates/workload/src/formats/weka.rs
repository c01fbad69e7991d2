//! Sessions of coding agents in Weka's form (one JSON object per session, in a line or in a whole file).
//!
//! Source: callanjfox/kv-cache-tester and the data sets in its format, as AIPerf reads them. Seconds from the start of the
//! session; blocks of `block_size` tokens (64); ids mean the same in all sessions only if `hash_id_scope` is "global". A
//! subagent's requests run beside those of its session, and are a session of their own here.

use super::fields::{TOKENS, absent, block_ids, once, session, time};
use super::{FormatDef, Reader, has_key};
use crate::build::Builder;
use crate::error::{Kind, Parsed};
use crate::json::Cursor;
use crate::row::{Names, Row};
use crate::trace::NoteKind;

pub(crate) static DEF: FormatDef = FormatDef {
    name: "weka",
    summary: "Weka / AgentX sessions of coding agents (one JSON object per session)",
    block_tokens: 64,
    absolute: false,
    joins_lines: true,
    names: Names { time: "t", input: "in", output: "out", ids: "hash_ids" },
    sniff: |line| {
        line == b"{" || line.starts_with(b"{") && (has_key(line, "requests") || has_key(line, "hash_id_scope"))
    },
    open: || Box::new(Weka { row: Row::default(), sessions: 0 }),
};

/// Seconds to picoseconds, as a power of ten.
const S: i32 = 12;
/// Subagents of subagents, at most so deep.
const MAX_DEPTH: u32 = 8;

struct Weka {
    row: Row,
    sessions: u32,
}

/// One request of a session.
struct Entry {
    time: u128,
    input: u64,
    output: u64,
    ids: Vec<u64>,
    model: u16,
    agent: u32,
    at: usize,
}

/// What is known of a session so far.
#[derive(Default)]
struct Session {
    entries: Vec<Entry>,
    agents: u32,
}

impl Reader for Weka {
    fn line(&mut self, line: &[u8], out: &mut Builder<'_>) -> Parsed<()> {
        let mut json = Cursor::new(line, out.options.lenient);
        let (mut id, mut requests, mut block, mut global) = (None, None, None, false);
        let mut found = Session::default();
        let mut start = true;
        while let Some(key) = json.next_key(start)? {
            start = false;
            match key {
                b"id" => once(&mut id, "id", &mut json, |json| session(json, out))?,
                b"block_size" => once(&mut block, "block_size", &mut json, |json| json.uint(TOKENS))?,
                b"hash_id_scope" => global = json.string()? == b"global",
                b"requests" => {
                    once(&mut requests, "requests", &mut json, |json| entries(json, 0, 0, &mut found, out))?;
                }
                b"models" => json.skip()?,
                _ => {
                    out.unknown_key(key);
                    json.skip()?;
                }
            }
        }
        json.finish()?;
        out.count_repaired(&json);
        requests.ok_or_else(|| absent("requests"))?;
        if let Some(size) = block.filter(|&size| size != u64::from(out.block)) {
            let size = u32::try_from(size).ok().filter(|&size| size > 0 && out.len() == 0);
            out.block = size.ok_or_else(|| {
                json.issue(Kind::BadBlocks, format!("the same block size in all sessions, {}", out.block))
                    .field("block_size")
            })?;
        }
        self.sessions += 1;
        out.note(NoteKind::Warning, "session without an absolute start; it starts at 0 unless starts are generated");
        let own = id.unwrap_or_else(|| out.session(format!("unnamed {}", self.sessions).as_bytes()));
        for entry in found.entries {
            let row = &mut self.row;
            row.clear();
            row.scope = if global { 0 } else { self.sessions };
            row.session = Some(match entry.agent {
                0 => own,
                agent => out.session(format!("{} agent {agent}", self.sessions).as_bytes()),
            });
            (row.time, row.input, row.output, row.model) = (Some(entry.time), entry.input, entry.output, entry.model);
            (row.at.input, row.at.ids) = (entry.at, entry.at);
            row.ids = entry.ids;
            out.push(row)?;
        }
        Ok(())
    }
}

/// The elements of a `requests` list.
fn entries(json: &mut Cursor<'_>, agent: u32, depth: u32, found: &mut Session, out: &mut Builder<'_>) -> Parsed<()> {
    if depth > MAX_DEPTH {
        return Err(json.issue(Kind::Syntax, "fewer levels of subagents"));
    }
    let mut first = true;
    while json.next_item(first)? {
        first = false;
        json.peek();
        let at = json.at();
        let (mut t, mut input, mut output, mut ids, mut model, mut nested) = (None, None, None, None, 0, None);
        let mut list = Vec::new();
        let mut start = true;
        while let Some(key) = json.next_key(start)? {
            start = false;
            match key {
                b"t" => once(&mut t, "t", json, |json| time(json, S))?,
                b"in" => once(&mut input, "in", json, |json| json.uint(TOKENS))?,
                b"out" => once(&mut output, "out", json, |json| json.uint(TOKENS))?,
                b"hash_ids" => once(&mut ids, "hash_ids", json, |json| block_ids(json, &mut list, out))?,
                b"model" if !json.eat_null() => model = out.model(json.string()?)?,
                b"requests" => {
                    found.agents += 1;
                    let agent = found.agents;
                    once(&mut nested, "requests", json, |json| entries(json, agent, depth + 1, found, out))?;
                }
                b"model" => {}
                // Descriptions of a request that nothing here depends on.
                _ => json.skip()?,
            }
        }
        if nested.is_some() {
            continue;
        }
        found.entries.push(Entry {
            time: t.ok_or_else(|| absent("t"))?,
            input: input.ok_or_else(|| absent("in"))?,
            output: output.ok_or_else(|| absent("out"))?,
            ids: list,
            model,
            agent,
            at,
        });
    }
    Ok(())
}
