//! Sessions as a workload: turns in order, open or closed loop, prompts built as they are asked for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;
use trimtab_core::{
    PrefixForest, PrefixId, Prompt, Request, RequestId, RngStreams, SessionId, SimTime, StreamRng, TenantId, Workload,
};

use crate::arrivals::Arrivals;
use crate::law::Ranks;

/// What one session will ask, drawn when it starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// What the first prompt starts with.
    pub(crate) base: Option<PrefixId>,
    pub(crate) turns: Vec<Turn>,
}

/// One request of a session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turn {
    /// From the previous turn's arrival to this one's (open loop).
    pub(crate) gap: SimTime,
    /// From the previous turn's end to this one's arrival, at least (closed loop).
    pub(crate) think: SimTime,
    pub(crate) content: Content,
    pub(crate) output: u32,
}

/// What a prompt consists of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// The first `keep` tokens of the turn before (prompt, then output where that is known), then new ones up to `tokens`.
    Grown { keep: u32, tokens: u32 },
    /// Nodes that exist, with the rest of the request's fields: a recorded request.
    Recorded(Box<Request>),
}

impl Turn {
    /// The first turn of a session, or its only one.
    pub(crate) fn first(tokens: u32, output: u32) -> Self {
        Self { gap: SimTime::ZERO, think: SimTime::ZERO, content: Content::Grown { keep: 0, tokens }, output }
    }

    fn kept(&self) -> u32 {
        match self.content {
            Content::Grown { keep, .. } => keep,
            Content::Recorded(_) => 0,
        }
    }
}

/// Draws sessions one after the other.
pub(crate) trait Source: Send {
    /// Draws the next session into `plan`, whose turns were cleared. `None` when there are no more.
    fn next(&mut self, forest: &mut PrefixForest, plan: &mut Plan) -> Option<()>;

    /// Whether later turns contain the generated tokens of earlier ones.
    fn output_known(&self) -> bool;
}

/// When the sessions of a stream start.
pub(crate) enum Starts {
    Drawn(Box<Arrivals>),
    /// At these times, latest first.
    Listed(Vec<SimTime>),
}

impl Starts {
    fn next(&mut self) -> Option<SimTime> {
        match self {
            Self::Drawn(arrivals) => arrivals.next(),
            Self::Listed(times) => times.pop(),
        }
    }
}

/// A source of sessions with its own arrival process.
pub(crate) struct Stream {
    pub(crate) source: Box<dyn Source>,
    pub(crate) starts: Starts,
}

/// What decides when a request arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loop {
    /// Everything at its own time, whatever becomes of earlier requests.
    #[default]
    Open,
    /// Sessions start at their own time; a later turn waits until the turn before it has ended and its think time has
    /// passed, and never comes before its own time.
    Sessions {
        /// Added where the workload has no think time of its own.
        think: SimTime,
    },
    /// So many users; each runs one session after another, one request at a time, without regard to recorded times.
    Users {
        /// How many.
        count: u32,
        /// Pause after each request, where the workload has none of its own.
        think: SimTime,
    },
}

/// Tenants, drawn for each session.
#[derive(Clone, Debug)]
pub(crate) struct Tenants {
    pub(crate) ranks: Ranks,
    pub(crate) rng: StreamRng,
}

/// A workload made of sessions.
pub(crate) struct SessionWorkload {
    forest: PrefixForest,
    streams: Vec<Stream>,
    /// Next start of each stream.
    next_start: Vec<Option<SimTime>>,
    mode: Loop,
    tick: u64,
    tenants: Option<Tenants>,
    /// Sessions that have another turn, or wait for an end.
    active: Vec<Active>,
    free: Vec<u32>,
    /// Turns whose time is known: time, order of insertion, session.
    due: BinaryHeap<Reverse<(SimTime, u64, u32)>>,
    inserted: u64,
    /// Closed loops: the session of each request under way.
    running: FxHashMap<RequestId, u32>,
    idle_users: u32,
    now: SimTime,
    issued: u32,
    left: u64,
    until: SimTime,
    sessions: u32,
    spare: Plan,
    cuts: Vec<u32>,
}

#[derive(Default)]
struct Active {
    plan: Plan,
    next_turn: usize,
    stream: usize,
    id: u32,
    tenant: u16,
    /// When the last turn arrived, by its own time.
    recorded: SimTime,
    path: Vec<PrefixId>,
}

impl SessionWorkload {
    /// The first `limit` requests of these streams, as far as they arrive before `until`. Times are rounded down to multiples of `tick`, if that is not zero.
    pub(crate) fn new(
        forest: PrefixForest,
        mut streams: Vec<Stream>,
        mode: Loop,
        tick: SimTime,
        limit: Option<u64>,
        until: SimTime,
        tenants: Option<(Ranks, RngStreams)>,
    ) -> Self {
        let next_start = streams.iter_mut().map(|stream| stream.starts.next()).collect();
        let idle_users = if let Loop::Users { count, .. } = mode { count } else { 0 };
        Self {
            forest,
            streams,
            next_start,
            mode,
            tick: tick.0,
            tenants: tenants.map(|(ranks, streams)| Tenants { ranks, rng: streams.stream("tenants") }),
            active: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            inserted: 0,
            running: FxHashMap::default(),
            idle_users,
            now: SimTime::ZERO,
            issued: 0,
            left: limit.unwrap_or(u64::from(u32::MAX)),
            until,
            sessions: 0,
            spare: Plan::default(),
            cuts: Vec::new(),
        }
    }

    /// The stream whose session starts next.
    fn next_stream(&self) -> Option<(SimTime, usize)> {
        let starts = self.next_start.iter().enumerate();
        starts.filter_map(|(stream, start)| start.map(|start| (start, stream))).min()
    }

    /// Starts the next session at `at`; its first turn becomes due.
    fn start_session(&mut self, stream: usize, at: SimTime) {
        let mut plan = std::mem::take(&mut self.spare);
        plan.base = None;
        plan.turns.clear();
        let drawn = self.streams[stream].source.next(&mut self.forest, &mut plan);
        self.next_start[stream] = if drawn.is_some() { self.streams[stream].starts.next() } else { None };
        if drawn.is_none() || plan.turns.is_empty() {
            self.spare = plan;
            return;
        }
        let tenant = self.tenants.as_mut().map_or(0, |t| t.ranks.draw(&mut t.rng));
        let slot = self.free.pop().unwrap_or_else(|| {
            self.active.push(Active::default());
            u32::try_from(self.active.len() - 1).expect("fewer sessions than requests")
        });
        let active = &mut self.active[slot as usize];
        // The path keeps its memory: allocations would be a tenth of the time of a simple generator.
        active.path.clear();
        active.plan = plan;
        (active.next_turn, active.stream, active.recorded) = (0, stream, at);
        active.id = self.sessions;
        active.tenant = u16::try_from(tenant).expect("tenants were checked to fit");
        self.sessions += 1;
        self.push_due(at, slot);
    }

    fn push_due(&mut self, at: SimTime, slot: u32) {
        if at <= SimTime::LATEST_ARRIVAL {
            self.due.push(Reverse((at, self.inserted, slot)));
            self.inserted += 1;
        } else {
            self.retire(slot);
        }
    }

    fn retire(&mut self, slot: u32) {
        self.spare = std::mem::take(&mut self.active[slot as usize].plan);
        self.free.push(slot);
    }

    /// Starts sessions until the earliest due turn is earlier than every session not started.
    fn prepare(&mut self) {
        if self.left == 0 {
            return;
        }
        if let Loop::Users { .. } = self.mode {
            while self.idle_users > 0 {
                let Some((_, stream)) = self.next_stream() else { return };
                let before = self.due.len();
                self.start_session(stream, self.now);
                self.idle_users -= u32::from(self.due.len() > before);
            }
            return;
        }
        while let Some((start, stream)) = self.next_stream() {
            if self.due.peek().is_some_and(|&Reverse((due, ..))| due < start) {
                return;
            }
            self.start_session(stream, start);
        }
    }

    fn arrival(&self, due: SimTime) -> SimTime {
        let floored = due.0 - due.0.checked_rem(self.tick).unwrap_or(0);
        SimTime(floored).max(self.now)
    }

    /// The request of the session's next turn.
    fn build(&mut self, slot: u32, arrival: SimTime) -> Request {
        let active = &mut self.active[slot as usize];
        let (turn, later) = active.plan.turns[active.next_turn..].split_first().expect("a due session has a turn");
        let mut request = match &turn.content {
            Content::Recorded(request) => **request,
            &Content::Grown { keep, tokens } => {
                let known = self.streams[active.stream].source.output_known();
                let end = if known && !later.is_empty() { tokens + turn.output } else { tokens };
                let first = active.next_turn == 0;
                let base = active.plan.base.filter(|_| first);
                cuts(&mut self.cuts, tokens, end, later);
                grow(&mut self.forest, &mut active.path, base, keep, &self.cuts);
                let at = active.path.partition_point(|&node| self.forest.end(node) < tokens);
                let prompt = Prompt { leaf: Some(active.path[at]), tokens };
                let mut request = Request::new(0, arrival, prompt, turn.output);
                request.output_leaf = active.path.last().copied().filter(|_| end > tokens);
                request.session = Some(SessionId(active.id));
                request.turn = u32::try_from(active.next_turn).expect("fewer turns than requests");
                request
            }
        };
        if self.tenants.is_some() {
            request.tenant = TenantId(active.tenant);
        }
        (request.id, request.arrival) = (RequestId(self.issued), arrival);
        request
    }

    /// Decides what follows a request that was just issued.
    fn follow(&mut self, slot: u32, due: SimTime, id: RequestId) {
        let active = &mut self.active[slot as usize];
        active.next_turn += 1;
        active.recorded = match self.mode {
            Loop::Sessions { .. } if active.next_turn > 1 => {
                active.recorded + active.plan.turns[active.next_turn - 1].gap
            }
            _ => due,
        };
        let last = active.next_turn == active.plan.turns.len();
        match self.mode {
            Loop::Open | Loop::Sessions { .. } if last => self.retire(slot),
            Loop::Open => {
                let gap = active.plan.turns[active.next_turn].gap;
                let at = due.checked_add(gap).unwrap_or(SimTime::MAX);
                self.push_due(at, slot);
            }
            Loop::Sessions { .. } | Loop::Users { .. } => {
                self.running.insert(id, slot);
            }
        }
    }
}

/// Where new nodes must end: where the prompt does, where its output does, and where a later turn will turn off. Rising.
fn cuts(cuts: &mut Vec<u32>, tokens: u32, end: u32, later: &[Turn]) {
    cuts.clear();
    cuts.push(end);
    if tokens < end {
        cuts.push(tokens);
    }
    // Later turns cut ever closer to the start; what they cut after an earlier cut is already gone.
    let mut low = end;
    for kept in later.iter().map(Turn::kept) {
        if kept < low {
            low = kept;
            cuts.push(low);
        }
    }
    if cuts.len() > 1 {
        cuts.sort_unstable();
        cuts.dedup();
    }
}

/// Replaces the path after `keep` tokens, or by `base`, and continues it with new nodes that end at the cuts.
fn grow(forest: &mut PrefixForest, path: &mut Vec<PrefixId>, base: Option<PrefixId>, keep: u32, cuts: &[u32]) {
    if let Some(base) = base {
        path.clear();
        let mut node = Some(base);
        while let Some(id) = node {
            path.push(id);
            node = forest.parent(id);
        }
        path.reverse();
    } else {
        while path.last().is_some_and(|&node| forest.end(node) > keep) {
            path.pop();
        }
    }
    let mut parent = path.last().copied();
    let start = parent.map_or(0, |p| forest.end(p));
    debug_assert!(base.is_some() || start == keep, "a turn keeps whole nodes");
    for &cut in &cuts[cuts.partition_point(|&cut| cut <= start)..] {
        let node = forest.add(parent, cut).expect("generated prompts stay far below 2^32 nodes");
        path.push(node);
        parent = Some(node);
    }
}

impl Workload for SessionWorkload {
    fn forest(&self) -> &PrefixForest {
        &self.forest
    }

    fn peek(&mut self) -> Option<SimTime> {
        self.prepare();
        if self.left == 0 {
            return None;
        }
        self.due.peek().map(|&Reverse((due, ..))| self.arrival(due)).filter(|&arrival| arrival < self.until)
    }

    fn next(&mut self) -> Option<Request> {
        let arrival = self.peek()?;
        let Reverse((due, _, slot)) = self.due.pop().expect("just seen");
        let request = self.build(slot, arrival);
        self.now = arrival;
        self.issued += 1;
        self.left -= 1;
        self.follow(slot, due, request.id);
        Some(request)
    }

    fn is_open(&self) -> bool {
        matches!(self.mode, Loop::Open)
    }

    fn ended(&mut self, request: RequestId, now: SimTime) {
        let Some(slot) = self.running.remove(&request) else { return };
        self.now = self.now.max(now);
        let active = &self.active[slot as usize];
        let (think, users) = match self.mode {
            Loop::Open => return,
            Loop::Sessions { think } => (think, false),
            Loop::Users { think, .. } => (think, true),
        };
        let Some(turn) = active.plan.turns.get(active.next_turn) else {
            // Only users get here: the session is over, the next one begins after the pause.
            self.retire(slot);
            let Some((_, stream)) = self.next_stream() else { return };
            if let Some(at) = now.checked_add(think) {
                self.start_session(stream, at);
            }
            return;
        };
        let pause = if turn.think == SimTime::ZERO { think } else { turn.think };
        let after = now.checked_add(pause).unwrap_or(SimTime::MAX);
        let own = if users { SimTime::ZERO } else { active.recorded.checked_add(turn.gap).unwrap_or(SimTime::MAX) };
        self.push_due(after.max(own), slot);
    }
}
