//! Our own form: JSON lines that hold a workload exactly, prefix forest included.
//!
//! The first line is a header, each further line a request. A line lists the forest nodes that no line before it has
//! needed, as pairs (number of the parent plus one or 0, end in tokens) in the order of their numbers; so the forest is
//! rebuilt with the same numbers, and a replay gives the same bytes as the original.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use trimtab_core::{PrefixForest, PrefixId, Prompt, Request, SessionId, SimTime, TenantId};

use super::fields::{TOKENS, absent, once, span, time};
use super::{FormatDef, Reader, has_key};
use crate::build::Builder;
use crate::error::{Fault, Kind, Parsed};
use crate::json::{Cursor, Token};
use crate::output::TraceFile;
use crate::row::{Exact, Names, Row};
use crate::trace::Trace;

pub(crate) static DEF: FormatDef = FormatDef {
    name: "trimtab",
    summary: "trimtab's own form (JSON lines), exact to the node",
    block_tokens: 1,
    absolute: false,
    joins_lines: false,
    names: Names { time: "t", input: "in", output: "out", ids: "leaf" },
    sniff: |line| line.starts_with(b"{") && has_key(line, "trimtab_trace"),
    open: || Box::new(Canonical { row: Row::default(), header: false }),
};

/// The only version so far.
const VERSION: u64 = 1;

/// Writes requests in the canonical form as they come.
pub struct CanonicalWriter<W: Write> {
    out: W,
    nodes: usize,
    line: String,
}

impl<W: Write> CanonicalWriter<W> {
    /// Writes the header. `block_tokens` is 1 for workloads that are exact to the token.
    pub fn new(mut out: W, block_tokens: u32, timed: bool, tenants: &[String], models: &[String]) -> io::Result<Self> {
        let names = |names: &[String]| serde_json::to_string(names).map_err(io::Error::other);
        writeln!(
            out,
            "{{\"trimtab_trace\":{VERSION},\"block_tokens\":{block_tokens},\"timed\":{timed},\"tenants\":{},\"models\":{}}}",
            names(tenants)?,
            names(models)?
        )?;
        Ok(Self { out, nodes: 0, line: String::new() })
    }

    /// Writes one request, whose prompt lives in `forest`.
    pub fn push(&mut self, forest: &PrefixForest, request: &Request, delay: Option<SimTime>) -> io::Result<()> {
        let line = &mut self.line;
        line.clear();
        let mut field = |text: std::fmt::Arguments<'_>| line.write_fmt(text).expect("memory");
        let prompt = request.prompt;
        field(format_args!("{{\"t\":{},\"in\":{},\"out\":{}", request.arrival.0, prompt.tokens, request.output_tokens));
        if let Some(leaf) = prompt.leaf {
            let needed = leaf.max(request.output_leaf.unwrap_or(leaf)).index() + 1;
            if needed > self.nodes {
                let mut lead = ",\"nodes\":[";
                for index in self.nodes..needed {
                    let id = PrefixId(u32::try_from(index).expect("nodes are numbered with 32 bits"));
                    let parent = forest.parent(id).map_or(0, |p| u64::from(p.0) + 1);
                    field(format_args!("{lead}{parent},{}", forest.end(id)));
                    lead = ",";
                }
                field(format_args!("]"));
                self.nodes = needed;
            }
            field(format_args!(",\"leaf\":{}", leaf.0));
        }
        if let Some(leaf) = request.output_leaf {
            field(format_args!(",\"out_leaf\":{}", leaf.0));
        }
        if let Some(session) = request.session {
            field(format_args!(",\"session\":{},\"turn\":{}", session.0, request.turn));
        }
        for (name, value) in [
            ("tenant", i32::from(request.tenant.0)),
            ("model", i32::from(request.model)),
            ("priority", i32::from(request.priority)),
        ] {
            if value != 0 {
                field(format_args!(",\"{name}\":{value}"));
            }
        }
        if let Some(delay) = delay {
            field(format_args!(",\"delay\":{}", delay.0));
        }
        field(format_args!("}}\n"));
        self.out.write_all(line.as_bytes())
    }

    /// Flushes and returns what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes a trace in the canonical form.
pub fn write_canonical<W: Write>(trace: &Trace, out: W) -> io::Result<W> {
    let mut writer = CanonicalWriter::new(out, trace.block_tokens, trace.timed, &trace.tenants, &trace.models)?;
    for (index, request) in trace.requests.iter().enumerate() {
        writer.push(&trace.forest, request, trace.delays.get(index).copied().flatten())?;
    }
    writer.finish()
}

/// Writes a trace in the canonical form to a file, compressed if its name ends in `.zst` or `.gz`.
pub fn write_file(trace: &Trace, path: impl AsRef<Path>) -> io::Result<()> {
    write_canonical(trace, TraceFile::create(path.as_ref())?)?.finish()
}

struct Canonical {
    row: Row,
    header: bool,
}

impl Reader for Canonical {
    fn line(&mut self, line: &[u8], out: &mut Builder<'_>) -> Parsed<()> {
        let mut json = Cursor::new(line, out.options.lenient);
        if !std::mem::replace(&mut self.header, true) {
            return header(json, out);
        }
        let row = &mut self.row;
        row.clear();
        let (mut input, mut output, mut leaf, mut out_leaf) = (None, None, None, None);
        let (mut session, mut turn, mut tenant, mut model, mut priority) = (None, None, None, None, None);
        let mut start = true;
        while let Some(key) = json.next_key(start)? {
            start = false;
            let json = &mut json;
            match key {
                b"t" => once(&mut row.time, "t", json, |json| time(json, 0))?,
                b"in" => once(&mut input, "in", json, |json| json.uint(TOKENS))?,
                b"out" => once(&mut output, "out", json, |json| json.uint(TOKENS))?,
                b"nodes" => nodes(json, out).map_err(|fault| fault.field("nodes"))?,
                b"leaf" => once(&mut leaf, "leaf", json, |json| node(json, out))?,
                b"out_leaf" => once(&mut out_leaf, "out_leaf", json, |json| node(json, out))?,
                b"session" => once(&mut session, "session", json, |json| small::<u32>(json, "a session number"))?,
                b"turn" => once(&mut turn, "turn", json, |json| small::<u32>(json, "a turn"))?,
                b"tenant" => once(&mut tenant, "tenant", json, |json| small::<u16>(json, "a tenant number"))?,
                b"model" => once(&mut model, "model", json, |json| small::<u16>(json, "a model number"))?,
                b"priority" => once(&mut priority, "priority", json, signed)?,
                b"delay" => once(&mut row.delay, "delay", json, |json| span(json, 0))?,
                _ => {
                    out.unknown_key(key);
                    json.skip()?;
                }
            }
        }
        json.finish()?;
        row.time = if out.untimed { None } else { Some(row.time.ok_or_else(|| absent("t"))?) };
        row.input = input.ok_or_else(|| absent("in"))?;
        row.output = output.ok_or_else(|| absent("out"))?;
        row.exact = Some(Exact { leaf, output_leaf: out_leaf });
        check_path(leaf, row.input, out)?;
        if let Some(whole) = out_leaf {
            check_output(leaf, whole, row.input, out)?;
        }
        (row.session, row.turn, row.tenant) = (session.map(SessionId), turn, tenant.map(TenantId));
        (row.model, row.priority) = (model.unwrap_or(0), priority.unwrap_or(0));
        out.push(row)
    }
}

fn header(mut json: Cursor<'_>, out: &mut Builder<'_>) -> Parsed<()> {
    let mut start = true;
    while let Some(key) = json.next_key(start)? {
        start = false;
        match key {
            b"trimtab_trace" => {
                let at = json.at();
                if json.uint("a version")? != VERSION {
                    json.seek(at);
                    return Err(json.issue(Kind::NotATrace, format!("version {VERSION}")).field("trimtab_trace"));
                }
            }
            b"block_tokens" => {
                let size = small::<u32>(&mut json, "a block size")?;
                out.block = if size > 0 { size } else { return Err(absent("block_tokens")) };
            }
            b"timed" => {
                out.untimed = json.peek() == b'f';
                json.skip()?;
            }
            b"tenants" => json.list("a list of names", |name, _| out.tenant(&text(name)).map(drop))?,
            b"models" => json.list("a list of names", |name, _| out.model(&text(name)).map(drop))?,
            _ => {
                out.unknown_key(key);
                json.skip()?;
            }
        }
    }
    json.finish()
}

/// The text of a name as JSON escapes it, decoded.
fn text(token: Token<'_>) -> Vec<u8> {
    match token {
        Token::Int(n) => n.to_string().into_bytes(),
        Token::Text(raw) => {
            let quoted = [b"\"", raw, b"\""].concat();
            serde_json::from_slice::<String>(&quoted).map_or_else(|_| raw.to_vec(), String::into_bytes)
        }
    }
}

/// Adds the nodes of a line.
fn nodes(json: &mut Cursor<'_>, out: &mut Builder<'_>) -> Parsed<()> {
    let mut parent = None;
    json.list("pairs of a parent and an end", |token, at| {
        let Token::Int(value) = token else {
            return Err(Fault::new(at, Kind::WrongType, b"", "whole numbers"));
        };
        let Some(before) = parent.take() else {
            parent = Some(value);
            return Ok(());
        };
        let fault = |what: &'static str| Fault::new(at, Kind::BadBlocks, format!("{before}, {value}").as_bytes(), what);
        let known = out.interner.forest.len() as u64;
        let before = match before {
            0 => None,
            n if n <= known => Some(PrefixId(u32::try_from(n - 1).expect("at most the number of nodes"))),
            _ => return Err(fault("a parent that came before")),
        };
        let end = u32::try_from(value).map_err(|_| fault("an end below 2^32"))?;
        out.interner.forest.add(before, end).map(drop).map_err(|_| fault("an end after that of the parent"))
    })?;
    match parent {
        None => Ok(()),
        Some(_) => Err(json.issue(Kind::BadBlocks, "an even number of values")),
    }
}

fn node(json: &mut Cursor<'_>, out: &Builder<'_>) -> Parsed<PrefixId> {
    json.peek();
    let at = json.at();
    let id = small::<u32>(json, "the number of a node")?;
    if (id as usize) < out.interner.forest.len() {
        return Ok(PrefixId(id));
    }
    json.seek(at);
    Err(json.issue(Kind::BadBlocks, "a node that was listed"))
}

fn check_path(leaf: Option<PrefixId>, input: u64, out: &Builder<'_>) -> Parsed<()> {
    let forest = &out.interner.forest;
    let fits =
        leaf.is_none_or(|leaf| u64::from(forest.start(leaf)) < input.max(1) && input <= u64::from(forest.end(leaf)));
    if fits { Ok(()) } else { Err(misplaced("leaf", "a node in which the prompt ends")) }
}

fn check_output(leaf: Option<PrefixId>, whole: PrefixId, input: u64, out: &Builder<'_>) -> Parsed<()> {
    let forest = &out.interner.forest;
    let tokens = u32::try_from(input).unwrap_or(u32::MAX);
    let found = forest.node_at(Prompt { leaf: Some(whole), tokens: forest.end(whole) }, tokens);
    let fits = found == leaf && tokens <= forest.end(whole);
    if fits { Ok(()) } else { Err(misplaced("out_leaf", "a node that continues the prompt")) }
}

fn misplaced(field: &'static str, expected: &'static str) -> Fault {
    Fault::new(0, Kind::BadBlocks, b"another node", expected).field(field)
}

fn small<T: TryFrom<u64>>(json: &mut Cursor<'_>, what: &'static str) -> Parsed<T> {
    json.peek();
    let at = json.at();
    let value = json.uint(what)?;
    T::try_from(value).map_err(|_| {
        json.seek(at);
        json.issue(Kind::OutOfRange, what)
    })
}

fn signed(json: &mut Cursor<'_>) -> Parsed<i16> {
    json.peek();
    let at = json.at();
    let number = json.decimal("a priority")?;
    let magnitude = number.integer().and_then(|n| i32::try_from(n).ok());
    let value = magnitude.map(|m| if number.negative { -m } else { m }).and_then(|v| i16::try_from(v).ok());
    value.ok_or_else(|| {
        json.seek(at);
        json.issue(Kind::OutOfRange, "a priority of 16 bits")
    })
}
