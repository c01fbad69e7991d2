//! A trace that has been read.

use std::fmt;

use trimtab_core::{FixedWorkload, PrefixForest, Request, SimTime};

use crate::error::Kind;

/// Requests read from a file, in arrival order, with what was noticed on the way.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The format it was read as.
    pub format: &'static str,
    /// All prompts.
    pub forest: PrefixForest,
    /// In arrival order, ids from 0.
    pub requests: Vec<Request>,
    /// Tokens of one block of the file's identities; 1 when prompts have none or are exact to the token.
    pub block_tokens: u32,
    /// Whether the file says when requests arrive. If not, all arrive at 0 and need an arrival process.
    pub timed: bool,
    /// By request: the pause after the previous turn of its session ended, where the file says it. Empty if it never does.
    pub delays: Vec<Option<SimTime>>,
    /// Names of tenants by [`trimtab_core::TenantId`]; empty if there is only one.
    pub tenants: Vec<String>,
    /// Names of models by `Request::model`; empty if there is only one.
    pub models: Vec<String>,
    /// How many sessions.
    pub sessions: u32,
    /// Rows read, the dropped ones included.
    pub rows: u64,
    /// What was assumed, repaired or dropped.
    pub notes: Vec<Note>,
}

/// One remark on a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// How often.
    pub count: u64,
    /// Line of the first occurrence; 0 when it concerns the whole file.
    pub first_line: u64,
    /// In words, without count and line.
    pub text: String,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// A row was dropped because of a fault of this kind.
    Dropped(Kind),
    /// A row was dropped by an option.
    Filtered,
    /// A value was repaired.
    Repaired,
    /// Something may mislead whoever reads the results.
    Warning,
    /// An assumption, for the record.
    Info,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lead = match self.kind {
            NoteKind::Dropped(_) | NoteKind::Filtered => "dropped: ",
            NoteKind::Repaired => "repaired: ",
            NoteKind::Warning => "warning: ",
            NoteKind::Info => "",
        };
        write!(f, "{lead}{}", self.text)?;
        match (self.count, self.first_line) {
            (_, 0) => Ok(()),
            (1, line) => write!(f, " (line {line})"),
            (n, line) => write!(f, " ({n} times, first in line {line})"),
        }
    }
}

impl Trace {
    /// From the first arrival to the last.
    pub fn span(&self) -> SimTime {
        match (self.requests.first(), self.requests.last()) {
            (Some(first), Some(last)) => last.arrival - first.arrival,
            _ => SimTime::ZERO,
        }
    }

    /// What a user must know who replays this trace on engine blocks of another size; `None` when blocks agree or the
    /// conversion is exact.
    pub fn block_note(&self, engine_block: u32) -> Option<String> {
        let trace_block = self.block_tokens;
        if engine_block == 0 || trace_block <= 1 || engine_block.is_multiple_of(trace_block) {
            return None;
        }
        Some(format!(
            "the trace tells prompts apart in blocks of {trace_block} tokens, the engine caches blocks of {engine_block}: \
             sharing that ends inside a trace block is not known, so hits are a lower bound"
        ))
    }

    /// As a workload that arrives as recorded.
    pub fn into_workload(self) -> FixedWorkload {
        FixedWorkload::new(self.forest, self.requests)
    }
}
