//! Reading a trace: sniff the format, feed it lines, report what is wrong.

use std::io::Read;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trimtab_core::SimTime;

use crate::build::Builder;
use crate::error::{BadInput, Fault, Kind, ReadError};
use crate::formats::{self, FormatDef};
use crate::input::{self, LineError, Lines, MAX_LINE};
use crate::rescale::Ratio;
use crate::trace::Trace;

/// How to read a trace.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The format, by name; sniffed from the content when absent.
    pub format: Option<String>,
    /// Keep the first this many requests of the file.
    pub limit: Option<u64>,
    /// Truncate prompts to this many tokens, keeping the head.
    pub max_input_tokens: Option<u32>,
    /// Tokens per block id, where the file does not follow its format's usual size.
    pub block_tokens: Option<u32>,
    /// Skip and count faulty rows, instead of stopping at the first.
    pub lenient: bool,
    /// The share of rows that lenient reading may drop.
    pub max_dropped: f64,
    /// What to do with requests without output.
    pub zero_output: ZeroOutput,
    /// Refuse times that decrease, instead of sorting.
    pub strict_order: bool,
    /// Keep arrivals from this time on, for so long; the start becomes time 0.
    pub window: (SimTime, Option<SimTime>),
    /// Divide arrival times by this.
    pub speedup: Option<Ratio>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: None,
            limit: None,
            max_input_tokens: None,
            block_tokens: None,
            lenient: false,
            max_dropped: 0.01,
            zero_output: ZeroOutput::Drop,
            strict_order: false,
            window: (SimTime::ZERO, None),
            speedup: None,
        }
    }
}

/// What becomes of a request without output: in BurstGPT, one that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ZeroOutput {
    /// It is left out, and counted.
    #[default]
    Drop,
    /// It generates one token, which is what its prefill alone yields.
    One,
}

/// Reads a trace from a file, which may be compressed.
pub fn read_file(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Trace, ReadError> {
    let path = path.as_ref();
    let source = input::open(path).map_err(|source| ReadError::Io { path: path.into(), source })?;
    read_lines(Lines::new(source), path, options)
}

/// Reads a trace from anything, which may be compressed. `name` stands for the path in messages.
pub fn read(source: impl Read + 'static, name: &str, options: &ReadOptions) -> Result<Trace, ReadError> {
    let path = Path::new(name);
    let source = input::decompressed(source).map_err(|source| ReadError::Io { path: path.into(), source })?;
    read_lines(Lines::new(source), path, options)
}

fn read_lines(mut lines: Lines, path: &Path, options: &ReadOptions) -> Result<Trace, ReadError> {
    let io = |source| ReadError::Io { path: path.into(), source };
    let bad = |line, offset: u64, fault: Fault| {
        let issue = fault.into_issue();
        let byte = offset + issue.at as u64;
        ReadError::Bad(Box::new(BadInput { path: path.into(), line, byte, issue }))
    };
    let head = lines.head().map_err(io)?;
    if let Some(issue) = input::reject_foreign(head) {
        return Err(bad(1, 0, issue));
    }
    if head.trim_ascii().is_empty() {
        return Err(ReadError::Empty { path: path.into(), rows: 0, notes: Vec::new() });
    }
    let def = match &options.format {
        Some(name) => formats::format_by_name(name)
            .ok_or_else(|| ReadError::UnknownFormat { name: name.clone(), hint: formats::hint_for(name) })?,
        None => formats::sniff(head).map_err(|issue| bad(1, 0, issue))?,
    };
    let mut builder = Builder::new(options, def.names, def.block_tokens, def.absolute);
    let mut reader = (def.open)();
    if def.joins_lines {
        lines.join_objects();
    }
    loop {
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(LineError::Io(source)) => return Err(io(source)),
            Err(LineError::TooLong { number, offset }) => {
                let expected = format!("a line of at most {} MiB", MAX_LINE >> 20);
                return Err(bad(number, offset, Fault::new(0, Kind::TooLong, b"a longer line", expected)));
            }
        };
        if line.bytes.trim_ascii().is_empty() {
            continue;
        }
        builder.start_line(line.number);
        let rows = builder.rows;
        if let Err(fault) = reader.line(line.bytes, &mut builder) {
            if !options.lenient || fault.issue().kind.is_fatal() {
                return Err(bad(line.number, line.offset, fault));
            }
            // A row that failed before it was complete counts too.
            builder.rows = builder.rows.max(rows + 1);
            builder.drop_row(fault.issue());
        }
        if builder.is_full() {
            break;
        }
    }
    finish(builder, def, path, options)
}

fn finish(builder: Builder<'_>, def: &FormatDef, path: &Path, options: &ReadOptions) -> Result<Trace, ReadError> {
    let (rows, dropped) = (builder.rows, builder.dropped);
    if dropped as f64 > options.max_dropped * rows as f64 {
        let notes = builder.into_notes();
        let limit_percent = 100.0 * options.max_dropped;
        return Err(ReadError::Dropped { path: path.into(), dropped, rows, limit_percent, notes });
    }
    if builder.len() == 0 {
        return Err(ReadError::Empty { path: path.into(), rows, notes: builder.into_notes() });
    }
    Ok(builder.finish(def.name))
}
