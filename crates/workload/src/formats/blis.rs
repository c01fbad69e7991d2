//! BLIS TraceV2: the CSV part of its two files.
//!
//! Source: inference-sim/inference-sim, `sim/workload/tracev2.go`. Microseconds; columns differ between versions and are
//! found by name. A prompt shares its first `prefix_length` tokens with all of its `prefix_group`; blocks of 16 tokens.

use super::FormatDef;
use super::table::{Columns, Table, Unit};
use crate::row::Names;

pub(crate) static DEF: FormatDef = FormatDef {
    name: "blis",
    summary: "BLIS TraceV2, the CSV part",
    block_tokens: 16,
    absolute: false,
    joins_lines: false,
    names: Names { time: "arrival_time_us", input: "input_tokens", output: "output_tokens", ids: "prefix_length" },
    sniff: |line| COLUMNS.match_header(line),
    open: || Table::open(&COLUMNS),
};

static COLUMNS: Columns = Columns {
    time: Some(("arrival_time_us", Unit::Number(6))),
    session: Some("session_id"),
    tenant: Some("tenant_id"),
    model: Some("model"),
    priority: Some("vllm_priority"),
    prefix: Some(("prefix_group", "prefix_length")),
    ..Columns::lengths("input_tokens", "output_tokens")
};
