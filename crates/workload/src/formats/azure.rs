//! Azure LLM inference traces of 2023, 2024 and 2025 (CSV).
//!
//! Source: Azure/AzurePublicDataset (CC-BY). Dates with seven digits of a second, CRLF, no newline at the end; no prefix
//! identity. The multimodal trace of 2025 has a further column, which is not used.

use super::FormatDef;
use super::table::{Columns, Table, Unit};
use crate::row::Names;

pub(crate) static DEF: FormatDef = FormatDef {
    name: "azure",
    summary: "Azure LLM inference traces of 2023, 2024 and 2025 (CSV)",
    block_tokens: 1,
    absolute: true,
    joins_lines: false,
    names: Names { time: "timestamp", input: "contexttokens", output: "generatedtokens", ids: "no column" },
    sniff: |line| COLUMNS.match_header(line),
    open: || Table::open(&COLUMNS),
};

static COLUMNS: Columns =
    Columns { time: Some(("timestamp", Unit::Date)), ..Columns::lengths("contexttokens", "generatedtokens") };
