//! BurstGPT (CSV with 6 or 8 columns).
//!
//! Source: HPMLL/BurstGPT (CC-BY-4.0). Seconds from midnight of the first day. Rows without response tokens are requests
//! that failed. Rows of the API log have no session.

use super::FormatDef;
use super::table::{Columns, Table, Unit};
use crate::row::Names;

pub(crate) static DEF: FormatDef = FormatDef {
    name: "burstgpt",
    summary: "BurstGPT, with or without session columns (CSV)",
    block_tokens: 1,
    absolute: false,
    joins_lines: false,
    names: Names { time: "timestamp", input: "request tokens", output: "response tokens", ids: "no column" },
    sniff: |line| COLUMNS.match_header(line),
    open: || Table::open(&COLUMNS),
};

static COLUMNS: Columns = Columns {
    time: Some(("timestamp", Unit::Number(12))),
    session: Some("session id"),
    model: Some("model"),
    ..Columns::lengths("request tokens", "response tokens")
};
