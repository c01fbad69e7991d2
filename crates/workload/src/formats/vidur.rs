//! Traces as Vidur stores them (CSV).
//!
//! Source: microsoft/vidur (MIT). Some of its files have no arrival times at all.

use super::FormatDef;
use super::table::{Columns, Table, Unit};
use crate::row::Names;

pub(crate) static DEF: FormatDef = FormatDef {
    name: "vidur",
    summary: "Vidur's processed traces (CSV)",
    block_tokens: 1,
    absolute: false,
    joins_lines: false,
    names: Names { time: "arrived_at", input: "num_prefill_tokens", output: "num_decode_tokens", ids: "no column" },
    sniff: |line| COLUMNS.match_header(line),
    open: || Table::open(&COLUMNS),
};

static COLUMNS: Columns = Columns {
    time: Some(("arrived_at", Unit::Number(12))),
    ..Columns::lengths("num_prefill_tokens", "num_decode_tokens")
};
