//! Qwen-Bailian traces (JSON lines).
//!
//! Source: alibaba-edu/qwen-bailian-usagetraces-anon, as AIPerf reads it. Times in seconds, blocks of 16 tokens. A session
//! is the tree of chats under a root; a parent outside the window makes its child a root.

use rustc_hash::FxHashMap;
use trimtab_core::SessionId;

use super::fields::{TOKENS, absent, block_ids, once, time};
use super::{FormatDef, Reader, has_key};
use crate::build::Builder;
use crate::error::{Kind, Parsed};
use crate::json::{Cursor, Token};
use crate::row::{Names, Row};
use crate::trace::NoteKind;

pub(crate) static DEF: FormatDef = FormatDef {
    name: "bailian",
    summary: "Qwen-Bailian usage traces (JSON lines, 16-token blocks)",
    block_tokens: 16,
    absolute: false,
    joins_lines: false,
    names: Names { time: "timestamp", input: "input_length", output: "output_length", ids: "hash_ids" },
    sniff: |line| line.starts_with(b"{") && has_key(line, "chat_id") && has_key(line, "input_length"),
    open: || Box::new(Bailian { row: Row::default(), chats: FxHashMap::default() }),
};

/// Seconds to picoseconds, as a power of ten.
const S: i32 = 12;

struct Bailian {
    row: Row,
    chats: FxHashMap<u64, SessionId>,
}

impl Reader for Bailian {
    fn line(&mut self, line: &[u8], out: &mut Builder<'_>) -> Parsed<()> {
        let row = &mut self.row;
        row.clear();
        let mut json = Cursor::new(line, out.options.lenient);
        let (mut input, mut output, mut ids) = (None, None, None);
        let (mut chat, mut parent, mut turn, mut chat_at) = (None, None, None, 0);
        let mut start = true;
        while let Some(key) = json.next_key(start)? {
            start = false;
            json.peek();
            let at = json.at();
            match key {
                b"timestamp" => {
                    row.at.time = at;
                    once(&mut row.time, "timestamp", &mut json, |json| time(json, S))?;
                }
                b"input_length" => {
                    row.at.input = at;
                    once(&mut input, "input_length", &mut json, |json| json.uint(TOKENS))?;
                }
                b"output_length" => {
                    row.at.output = at;
                    once(&mut output, "output_length", &mut json, |json| json.uint(TOKENS))?;
                }
                b"hash_ids" => {
                    row.at.ids = at;
                    let list = &mut row.ids;
                    once(&mut ids, "hash_ids", &mut json, |json| block_ids(json, list, out))?;
                }
                b"chat_id" => {
                    chat_at = at;
                    once(&mut chat, "chat_id", &mut json, |json| json.uint("a chat number"))?;
                }
                b"parent_chat_id" => once(&mut parent, "parent_chat_id", &mut json, parent_of)?,
                b"turn" => once(&mut turn, "turn", &mut json, |json| json.uint("a turn, counted from 1"))?,
                b"type" => json.skip()?,
                _ => {
                    out.unknown_key(key);
                    json.skip()?;
                }
            }
        }
        json.finish()?;
        out.count_repaired(&json);
        row.input = input.ok_or_else(|| absent("input_length"))?;
        row.output = output.ok_or_else(|| absent("output_length"))?;
        row.time.ok_or_else(|| absent("timestamp"))?;
        let chat = chat.ok_or_else(|| absent("chat_id"))?;
        row.turn = turn.map(|t| u32::try_from(t.saturating_sub(1)).unwrap_or(u32::MAX));
        json.seek(chat_at);
        if parent.flatten() == Some(chat) {
            return Err(json.issue(Kind::BadSession, "a chat that is not its own parent").field("chat_id"));
        }
        let session = match parent.flatten().map(|parent| self.chats.get(&parent)) {
            Some(Some(&session)) => session,
            orphan => {
                if orphan.is_some() {
                    out.note(NoteKind::Info, "parent chat not in the file before its child, which starts a session");
                }
                out.session(chat.to_string().as_bytes())
            }
        };
        if self.chats.insert(chat, session).is_some() {
            return Err(json.issue(Kind::BadSession, "each chat once").field("chat_id"));
        }
        row.session = Some(session);
        out.push(row)
    }
}

/// The parent chat; -1 is none.
fn parent_of(json: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    json.peek();
    let at = json.at();
    match json.token("a chat number or -1")? {
        Token::Int(n) => Ok(Some(n)),
        Token::Text(b"-1") => Ok(None),
        Token::Text(_) => {
            json.seek(at);
            Err(json.issue(Kind::OutOfRange, "a chat number or -1"))
        }
    }
}
