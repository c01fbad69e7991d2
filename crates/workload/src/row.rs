//! What a format hands over for one request.

use trimtab_core::{PrefixId, SessionId, SimTime, TenantId};

/// One request as a format reads it. Reused from row to row.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// On the file's own clock, in picoseconds.
    pub(crate) time: Option<u128>,
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// Block ids, first block first.
    pub(crate) ids: Vec<u64>,
    /// 0 for ids that mean the same in every session.
    pub(crate) scope: u32,
    pub(crate) session: Option<SessionId>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) model: u16,
    pub(crate) priority: i16,
    /// Position in the session, where the file says it.
    pub(crate) turn: Option<u32>,
    /// Nodes that exist, instead of ids.
    pub(crate) exact: Option<Exact>,
    /// Whether the ids go on over the output.
    pub(crate) output_known: bool,
    /// Pause after the end of the previous turn.
    pub(crate) delay: Option<SimTime>,
    /// Where the fields stand in the line, for messages.
    pub(crate) at: Places,
}

/// Where a prompt, and prompt and output together, end in a forest that was read as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    pub(crate) leaf: Option<PrefixId>,
    pub(crate) output_leaf: Option<PrefixId>,
}

/// Byte offsets within the line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Places {
    pub(crate) time: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) ids: usize,
}

/// What a format calls its fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    pub(crate) time: &'static str,
    pub(crate) input: &'static str,
    pub(crate) output: &'static str,
    pub(crate) ids: &'static str,
}

impl Row {
    pub(crate) fn clear(&mut self) {
        let mut ids = std::mem::take(&mut self.ids);
        ids.clear();
        *self = Self { ids, ..Self::default() };
    }
}
