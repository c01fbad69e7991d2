//! From rows to a trace: the policies that are the same for every format.

use rustc_hash::{FxHashMap, FxHashSet};
use trimtab_core::{PrefixId, Prompt, Request, SessionId, SimTime, TenantId};

use crate::error::{Fault, Issue, Kind, Parsed};
use crate::intern::{Interner, compress};
use crate::read::{ReadOptions, ZeroOutput};
use crate::row::{Names, Row};
use crate::trace::{Note, NoteKind, Trace};

/// A clock may go back this far behind its first row: what the range of [`SimTime`] leaves beyond the latest arrival.
const HEADROOM_PS: u64 = u64::MAX - SimTime::LATEST_ARRIVAL.0;
/// At most this many different unknown keys are listed.
const MAX_KEYS: usize = 20;
/// Longer prompts and outputs are errors: a slip of units, or one row that takes gigabytes.
const MAX_TOKENS: u32 = 1 << 27;
/// Block sizes that a wrong one is compared with.
const USUAL_BLOCKS: [u64; 7] = [16, 32, 64, 128, 256, 512, 1024];
/// Rates and spans that are probably a wrong unit.
const SUSPICIOUS_RPS: f64 = 1000.0;
const SUSPICIOUS_SPAN: SimTime = SimTime(10 * trimtab_core::PS_PER_S);

/// Collects rows into a trace.
pub(crate) struct Builder<'o> {
    pub(crate) options: &'o ReadOptions,
    pub(crate) interner: Interner,
    /// Tokens of one block of the file.
    pub(crate) block: u32,
    /// Whether the file says itself that it has no times.
    pub(crate) untimed: bool,
    /// Whether the forest is kept node by node.
    exact: bool,
    pub(crate) rows: u64,
    pub(crate) dropped: u64,
    names: Names,
    clock: Clock,
    requests: Vec<Request>,
    delays: Vec<Option<SimTime>>,
    sessions: Vec<SessionState>,
    session_count: u32,
    session_names: FxHashMap<Box<[u8]>, SessionId>,
    scopes: FxHashMap<Box<[u8]>, u32>,
    tenants: Numbering,
    models: Numbering,
    notes: Vec<Note>,
    keys: Vec<UnknownKey>,
    line: u64,
    disordered: u64,
    first_disorder: u64,
}

/// How the file's clock maps to ours.
struct Clock {
    /// Whether the first row is time 0 wherever it lies.
    absolute: bool,
    /// The time of the file that is 0.
    origin: Option<u128>,
    /// Added to all arrivals until the end, so that rows before the first stay positive.
    bias: u64,
    /// Whether rows have times; fixed by the first row.
    timed: Option<bool>,
    last: u64,
}

#[derive(Clone, Copy)]
struct SessionState {
    turns: u32,
    last_arrival: u64,
}

struct UnknownKey {
    key: Box<[u8]>,
    count: u64,
    first_line: u64,
}

/// Names numbered in order of appearance.
#[derive(Debug, Default)]
struct Numbering {
    names: Vec<String>,
    numbers: FxHashMap<Box<[u8]>, u16>,
}

impl Numbering {
    fn number(&mut self, name: &[u8], what: &'static str) -> Parsed<u16> {
        if let Some(&number) = self.numbers.get(name) {
            return Ok(number);
        }
        let number = u16::try_from(self.names.len())
            .map_err(|_| Fault::new(0, Kind::OutOfRange, name, "at most 65 536 different names").field(what))?;
        self.numbers.insert(name.into(), number);
        self.names.push(String::from_utf8_lossy(name).into_owned());
        Ok(number)
    }
}

impl<'o> Builder<'o> {
    pub(crate) fn new(options: &'o ReadOptions, names: Names, block: u32, absolute: bool) -> Self {
        Self {
            options,
            interner: Interner::default(),
            block: options.block_tokens.unwrap_or(block),
            untimed: false,
            exact: false,
            rows: 0,
            dropped: 0,
            names,
            clock: Clock { absolute, origin: None, bias: 0, timed: None, last: 0 },
            requests: Vec::new(),
            delays: Vec::new(),
            sessions: Vec::new(),
            session_count: 0,
            session_names: FxHashMap::default(),
            scopes: FxHashMap::default(),
            tenants: Numbering::default(),
            models: Numbering::default(),
            notes: Vec::new(),
            keys: Vec::new(),
            line: 0,
            disordered: 0,
            first_disorder: 0,
        }
    }

    pub(crate) fn start_line(&mut self, line: u64) {
        self.line = line;
    }

    /// Whether the limit on requests is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.options.limit.is_some_and(|limit| self.requests.len() as u64 >= limit)
    }

    /// Adds one request.
    pub(crate) fn push(&mut self, row: &Row) -> Parsed<()> {
        self.rows += 1;
        if self.is_full() {
            return Ok(());
        }
        let names = self.names;
        if row.input == 0 {
            return Err(Fault::new(row.at.input, Kind::ZeroInput, b"0", "at least one token").field(names.input));
        }
        let input = u32::try_from(row.input).map_err(|_| too_large(row.at.input, row.input, names.input))?;
        let mut output = u32::try_from(row.output).map_err(|_| too_large(row.at.output, row.output, names.output))?;
        if output == 0 {
            match self.options.zero_output {
                ZeroOutput::Drop => {
                    self.note(NoteKind::Filtered, "request without output (`--zero-output one` keeps its prefill)");
                    return Ok(());
                }
                ZeroOutput::One => output = 1,
            }
        }
        let Some(arrival) = self.arrival(row)? else { return Ok(()) };
        let tokens = input.min(self.options.max_input_tokens.unwrap_or(u32::MAX));
        for (at, count, name) in [(row.at.input, tokens, names.input), (row.at.output, output, names.output)] {
            if count > MAX_TOKENS {
                return Err(too_large(at, count.into(), name));
            }
        }
        if tokens < input {
            self.note(NoteKind::Filtered, "end of a prompt, by `--max-input-tokens`");
        }
        let (leaf, output_leaf) = if let Some(exact) = row.exact {
            self.exact = true;
            let prompt = Prompt { leaf: exact.leaf, tokens: input };
            let whole = tokens == input;
            (self.interner.forest.node_at(prompt, tokens), exact.output_leaf.filter(|_| whole))
        } else if row.output_known && tokens == input {
            let whole = input.checked_add(output).ok_or_else(|| too_large(row.at.output, row.output, names.output))?;
            let end = self.path(row, whole, whole)?;
            // The prompt ends inside the path that its output continues.
            (self.interner.forest.node_at(Prompt { leaf: Some(end), tokens: whole }, tokens), Some(end))
        } else {
            (Some(self.path(row, input, tokens)?), None)
        };
        let id = u32::try_from(self.requests.len()).map_err(|_| {
            Fault::new(0, Kind::OutOfRange, b"", "at most 2^32 requests").hint("read less with `--limit`")
        })?;
        let mut request = Request::new(id, SimTime(arrival), Prompt { leaf, tokens }, output);
        request.output_leaf = output_leaf;
        (request.tenant, request.model, request.priority) =
            (row.tenant.unwrap_or(TenantId(0)), row.model, row.priority);
        if let Some(session) = row.session {
            // A file that numbers its sessions itself also says the turn.
            let turns = self.sessions.get(session.index()).map_or(0, |state| state.turns);
            (request.session, request.turn) = (Some(session), row.turn.unwrap_or(turns));
            if let Some(state) = self.sessions.get_mut(session.index()) {
                *state = SessionState { turns: turns + 1, last_arrival: arrival };
            }
            self.session_count = self.session_count.max(session.0.saturating_add(1));
        }
        if row.delay.is_some() || !self.delays.is_empty() {
            self.delays.resize(self.requests.len(), None);
            self.delays.push(row.delay);
        }
        if arrival < self.clock.last {
            self.disordered += 1;
            if self.first_disorder == 0 {
                self.first_disorder = self.line;
            }
            if self.options.strict_order {
                return Err(Fault::new(row.at.time, Kind::OutOfOrder, b"an earlier time", "times that never decrease")
                    .field(names.time)
                    .hint("without `--strict-order` the rows are sorted"));
            }
        }
        self.clock.last = arrival;
        self.requests.push(request);
        Ok(())
    }

    /// The biased arrival, or `None` outside the window.
    fn arrival(&mut self, row: &Row) -> Parsed<Option<u64>> {
        let names = self.names;
        let clock = &mut self.clock;
        let Some(time) = row.time else {
            if let Some(session) = row.session {
                let state = self.sessions.get(session.index()).copied();
                if let Some(state) = state.filter(|state| state.turns > 0) {
                    let pause = row.delay.unwrap_or_default();
                    return Ok(Some(state.last_arrival.saturating_add(pause.0)));
                }
            }
            if *clock.timed.get_or_insert(false) {
                return Err(Fault::new(row.at.time, Kind::Missing, b"", "a time, as in other rows").field(names.time));
            }
            return Ok(Some(0));
        };
        if !*clock.timed.get_or_insert(true) {
            return Err(
                Fault::new(row.at.time, Kind::BadSession, b"a time", "no time, as in the first row").field(names.time)
            );
        }
        let latest = u128::from(SimTime::LATEST_ARRIVAL.0);
        let bias = &mut clock.bias;
        let origin = *clock.origin.get_or_insert_with(|| {
            let rebase = clock.absolute || time > latest;
            *bias = if rebase { HEADROOM_PS } else { 0 };
            if rebase { time } else { 0 }
        });
        let (from, length) = self.options.window;
        let from = u128::from(from.0);
        let bias = u128::from(clock.bias);
        // The position in the window, plus the bias.
        let Some(position) = (time + bias).checked_sub(origin) else {
            return Err(Fault::new(
                row.at.time,
                Kind::OutOfRange,
                b"a time 13 days before the first row",
                "a later time",
            )
            .field(names.time));
        };
        if from > 0 && position < bias + from || length.is_some_and(|l| position >= bias + from + u128::from(l.0)) {
            self.note(NoteKind::Filtered, "request outside the window");
            return Ok(None);
        }
        let position = position - from;
        let scaled = match self.options.speedup {
            Some(speedup) if position >= bias => speedup.divide(position - bias).map(|t| t + bias),
            Some(speedup) => speedup.divide(bias - position).map(|t| bias.saturating_sub(t)),
            None => Some(position),
        };
        match scaled {
            Some(t) if t - bias.min(t) <= latest => Ok(Some(u64::try_from(t).expect("200 days and the bias fit"))),
            _ => Err(Fault::new(row.at.time, Kind::OutOfRange, b"more than 200 days", "an arrival within 200 days")
                .field(names.time)
                .hint("choose a window with `--start` and `--duration`, or compress time with `--speedup`")),
        }
    }

    /// The leaf of the path of the first `tokens` tokens, of `input` that the ids describe.
    fn path(&mut self, row: &Row, input: u32, tokens: u32) -> Parsed<PrefixId> {
        let block = self.block;
        let (count, needed) = (row.ids.len() as u64, u64::from(input.div_ceil(block)));
        if count > needed {
            let fitting = USUAL_BLOCKS.iter().find(|&&b| u64::from(input).div_ceil(b) == count);
            let issue = Fault::new(row.at.ids, Kind::BadBlocks, format!("{count} ids").as_bytes(), {
                format!("{needed} ids for {input} tokens in blocks of {block}")
            })
            .field(self.names.ids);
            return Err(match fitting {
                Some(b) => issue.hint(format!("`--trace-block {b}` would fit")),
                None => issue,
            });
        }
        if count == 0 {
            self.note(NoteKind::Warning, "no block ids, so prefix caching finds nothing in this request");
        } else if count == u64::from(input / block) && count < needed {
            self.note(NoteKind::Info, "no id for the last partial block, which is then never shared");
        } else if count < needed {
            self.note(NoteKind::Warning, "fewer block ids than blocks; the rest of the prompt is never shared");
        }
        let mut node = None;
        let mut end = 0;
        // Ids before the one looked at, once one of them has a second parent.
        let mut before_it = FxHashSet::default();
        let mut counted = 0;
        for (index, &id) in row.ids.iter().enumerate() {
            if end >= tokens {
                break;
            }
            end = end.saturating_add(block);
            let before = self.interner.rechained;
            node = Some(self.interner.child(node, row.scope, id, end).map_err(|_| too_many_nodes())?);
            if self.interner.rechained != before {
                before_it.extend(row.ids[counted..index].iter().copied());
                counted = index;
            }
            if self.interner.rechained != before && before_it.contains(&id) {
                return Err(Fault::new(row.at.ids, Kind::BadBlocks, id.to_string().as_bytes(), {
                    "ids that do not repeat within a prompt, since each names all blocks before it too"
                })
                .field(self.names.ids));
            }
        }
        match node {
            Some(node) if end >= tokens => Ok(node),
            _ => self.interner.forest.add(node, tokens).map_err(|_| too_many_nodes()),
        }
    }

    /// The session of this name.
    pub(crate) fn session(&mut self, name: &[u8]) -> SessionId {
        if let Some(&id) = self.session_names.get(name) {
            return id;
        }
        let id = SessionId(u32::try_from(self.sessions.len()).expect("fewer sessions than rows"));
        self.sessions.push(SessionState { turns: 0, last_arrival: 0 });
        self.session_names.insert(name.into(), id);
        id
    }

    /// The tenant of this name.
    pub(crate) fn tenant(&mut self, name: &[u8]) -> Parsed<TenantId> {
        self.tenants.number(name, "tenant").map(TenantId)
    }

    /// The number of a model.
    pub(crate) fn model(&mut self, name: &[u8]) -> Parsed<u16> {
        self.models.number(name, "model")
    }

    /// A number for this name, apart from those of sessions: for ids of local scope.
    pub(crate) fn scope(&mut self, name: &[u8]) -> u32 {
        let next = u32::try_from(self.scopes.len()).expect("fewer scopes than rows") + 1;
        *self.scopes.entry(name.into()).or_insert(next)
    }

    /// Counts numbers that were written in quotes.
    pub(crate) fn count_repaired(&mut self, json: &crate::json::Cursor<'_>) {
        for _ in 0..json.repaired {
            self.note(NoteKind::Repaired, "number written in quotes");
        }
    }

    /// Counts a key that the format does not know.
    pub(crate) fn unknown_key(&mut self, key: &[u8]) {
        if let Some(known) = self.keys.iter_mut().find(|k| *k.key == *key) {
            known.count += 1;
        } else if self.keys.len() < MAX_KEYS {
            self.keys.push(UnknownKey { key: key.into(), count: 1, first_line: self.line });
        }
    }

    /// Counts a remark.
    pub(crate) fn note(&mut self, kind: NoteKind, text: &'static str) {
        self.note_at(kind, self.line, text);
    }

    /// Counts a dropped row.
    pub(crate) fn drop_row(&mut self, issue: &Issue) {
        self.dropped += 1;
        let kind = NoteKind::Dropped(issue.kind);
        match self.notes.iter_mut().find(|note| note.kind == kind) {
            Some(note) => note.count += 1,
            None => self.notes.push(Note {
                kind,
                count: 1,
                first_line: self.line,
                text: format!("row with {}: {issue}", issue.kind.name()),
            }),
        }
    }

    fn note_at(&mut self, kind: NoteKind, line: u64, text: &str) {
        match self.notes.iter_mut().find(|note| note.kind == kind && note.text == text) {
            Some(note) => note.count += 1,
            None => self.notes.push(Note { kind, count: 1, first_line: line, text: text.to_owned() }),
        }
    }

    fn note_file(&mut self, kind: NoteKind, text: String) {
        self.notes.push(Note { kind, count: 1, first_line: 0, text });
    }

    /// The notes so far, when there is no trace.
    pub(crate) fn into_notes(self) -> Vec<Note> {
        self.notes
    }

    /// How many requests there are.
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// All rows are in.
    pub(crate) fn finish(mut self, format: &'static str) -> Trace {
        let timed = self.clock.timed.unwrap_or(false);
        self.sort();
        let shift = match (self.clock.bias, self.requests.first()) {
            // Time 0 is the earliest row, or the start of the window.
            (1.., Some(first)) if self.options.window.0 == SimTime::ZERO => first.arrival.0,
            (bias, _) => bias,
        };
        for (index, request) in self.requests.iter_mut().enumerate() {
            request.id.0 = u32::try_from(index).expect("checked when it was added");
            request.arrival.0 = request.arrival.0.saturating_sub(shift);
        }
        let forest = if self.exact {
            std::mem::take(&mut self.interner.forest)
        } else {
            compress(&self.interner.forest, &mut self.requests)
        };
        self.closing_notes(timed);
        for key in std::mem::take(&mut self.keys) {
            let text = format!("key `{}` is not used", String::from_utf8_lossy(&key.key));
            self.notes.push(Note { kind: NoteKind::Info, count: key.count, first_line: key.first_line, text });
        }
        Trace {
            format,
            forest,
            requests: self.requests,
            block_tokens: self.block,
            timed,
            delays: self.delays,
            tenants: self.tenants.names,
            models: self.models.names,
            sessions: self.session_count,
            rows: self.rows,
            notes: self.notes,
        }
    }

    /// By arrival; equal times keep the order of the file.
    fn sort(&mut self) {
        if !self.delays.is_empty() {
            self.delays.resize(self.requests.len(), None);
        }
        if self.requests.is_sorted_by_key(|r| r.arrival) {
            return;
        }
        self.requests.sort_by_key(|r| r.arrival);
        if !self.delays.is_empty() {
            self.delays = self.requests.iter().map(|r| self.delays[r.id.index()]).collect();
        }
        let (count, line) = (self.disordered, self.first_disorder);
        self.notes.push(Note {
            kind: NoteKind::Warning,
            count,
            first_line: line,
            text: "time earlier than that of the row before; rows were sorted".to_owned(),
        });
    }

    fn closing_notes(&mut self, timed: bool) {
        if self.interner.rechained > 0 {
            let text = format!(
                "{} block ids follow different blocks in different prompts; each was taken together with what precedes it",
                self.interner.rechained
            );
            self.note_file(NoteKind::Warning, text);
        }
        if !timed {
            let text = "the file has no arrival times; choose an arrival process".to_owned();
            self.note_file(NoteKind::Warning, text);
            return;
        }
        let count = self.requests.len();
        let distinct = 1 + self.requests.windows(2).filter(|w| w[0].arrival != w[1].arrival).count();
        if distinct * 2 < count {
            let text = format!(
                "{distinct} distinct times for {count} requests: gaps between arrivals are those of a coarse clock \
                 (`--jitter-ticks` spreads them)"
            );
            self.note_file(NoteKind::Warning, text);
        }
        let span = match (self.requests.first(), self.requests.last()) {
            (Some(first), Some(last)) => last.arrival - first.arrival,
            _ => return,
        };
        let rate = count as f64 / span.as_secs_f64();
        if count > 100 && (span < SUSPICIOUS_SPAN || rate > SUSPICIOUS_RPS) {
            let text = format!("{count} requests in {span}, {rate:.0} per second: is the unit of time right?");
            self.note_file(NoteKind::Warning, text);
        }
    }
}

fn too_large(at: usize, value: u64, field: &'static str) -> Fault {
    Fault::new(at, Kind::OutOfRange, value.to_string().as_bytes(), format!("at most {MAX_TOKENS} tokens"))
        .field(field)
        .hint("no model has such a context; `--max-input-tokens` cuts prompts")
}

fn too_many_nodes() -> Fault {
    Fault::new(0, Kind::OutOfRange, b"", "at most 2^32 different blocks").hint("read less with `--limit`")
}
