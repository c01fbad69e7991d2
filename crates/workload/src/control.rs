//! Arrival control of a recorded trace: jitter within ticks, other arrival processes, closed loops.

use rustc_hash::FxHashMap;
use trimtab_core::{RngStreams, SessionId, SimTime, Workload, uniform01};

use crate::arrivals::{ArrivalSpec, Arrivals};
use crate::rescale::RescaleError;
use crate::sessions::{Content, Loop, Plan, SessionWorkload, Source, Starts, Stream, Turn};
use crate::trace::{Note, NoteKind, Trace};

impl Trace {
    /// Everything that a workload asks, in order, as a trace; for open loops, since nothing ever ends here.
    pub fn record(workload: &mut dyn Workload, block_tokens: u32) -> Self {
        let mut requests = Vec::new();
        while let Some(request) = workload.next() {
            requests.push(request);
        }
        let sessions = requests.iter().filter_map(|r| r.session).max().map_or(0, |s| s.0 + 1);
        let rows = requests.len() as u64;
        let forest = workload.forest().clone();
        Self { format: "generated", forest, requests, block_tokens, timed: true, sessions, rows, ..Self::default() }
    }

    /// Spreads requests that share a time evenly at random up to the next distinct time: what a coarse clock hid. The last
    /// time gets the most common distance to the next.
    pub fn jitter_ticks(&mut self, seed: u64) {
        let mut rng = RngStreams::new(seed).stream("jitter");
        let mut times: Vec<u64> = self.requests.iter().map(|r| r.arrival.0).collect();
        times.dedup();
        let mut gaps: Vec<u64> = times.windows(2).map(|w| w[1] - w[0]).collect();
        gaps.sort_unstable();
        let usual = gaps.get(gaps.len() / 2).copied().unwrap_or(0);
        let mut at = 0;
        // A turn never comes before the one it continues.
        let mut turns: FxHashMap<SessionId, SimTime> = FxHashMap::default();
        for request in &mut self.requests {
            at += usize::from(times[at] != request.arrival.0);
            let room = times.get(at + 1).map_or(usual, |next| next - request.arrival.0);
            // A draw has 53 bits; a tick of 200 days has 64.
            let offset = (u128::from(room) * u128::from(draw53(uniform01(&mut rng)))) >> 53;
            request.arrival.0 += u64::try_from(offset).expect("below the distance to the next tick");
            if let Some(session) = request.session {
                let turn = turns.entry(session).or_default();
                request.arrival = request.arrival.max(*turn);
                *turn = request.arrival;
            }
        }
        self.reorder();
        self.note(format!("arrivals were spread within their ticks, seed {seed}"));
    }

    /// Replaces arrival times: sessions, and requests without one, arrive by this process, so that there are `rate` requests
    /// per second in the long run; turns keep their distance to the start of their session.
    pub fn retime(&mut self, spec: &ArrivalSpec, rate: f64, seed: u64) -> Result<(), RescaleError> {
        let mut sessions: Vec<SessionId> = self.requests.iter().filter_map(|r| r.session).collect();
        let alone = self.requests.len() - sessions.len();
        sessions.sort_unstable_by_key(|session| session.0);
        sessions.dedup();
        let share = (sessions.len() + alone) as f64 / self.requests.len().max(1) as f64;
        let mut arrivals = Arrivals::new(spec, rate * share, RngStreams::new(seed), "retimed", "retimed");
        let mut starts: FxHashMap<SessionId, (SimTime, SimTime)> = FxHashMap::default();
        for request in &mut self.requests {
            let known = request.session.and_then(|session| starts.get(&session).copied());
            let (old, new) = match known {
                Some(start) => start,
                None => (request.arrival, arrivals.next().ok_or(RescaleError::TooLate)?),
            };
            if let Some(session) = request.session {
                starts.insert(session, (old, new));
            }
            let at = new.checked_add(request.arrival - old).filter(|&t| t <= SimTime::LATEST_ARRIVAL);
            request.arrival = at.ok_or(RescaleError::TooLate)?;
        }
        self.timed = true;
        self.reorder();
        self.note(format!("arrivals were drawn, {rate} per second, seed {seed}"));
        Ok(())
    }

    /// After requests were dropped or their arrivals moved: sorts by arrival and numbers anew. Until then the ids are
    /// those from before.
    pub fn reorder(&mut self) {
        self.requests.sort_by_key(|r| r.arrival);
        if !self.delays.is_empty() {
            self.delays = self.requests.iter().map(|r| self.delays[r.id.index()]).collect();
        }
        for (index, request) in (0..).zip(&mut self.requests) {
            request.id.0 = index;
        }
    }

    fn note(&mut self, text: String) {
        self.notes.push(Note { kind: NoteKind::Info, count: 1, first_line: 0, text });
    }

    /// As a workload. In a closed loop, requests without a session are sessions of one turn, and a turn's think time is
    /// the recorded delay where there is one.
    pub fn into_loop(self, mode: Loop) -> Box<dyn Workload + Send> {
        if mode == Loop::Open {
            return Box::new(self.into_workload());
        }
        let mut sessions: Vec<Vec<Turn>> = Vec::new();
        let mut starts: Vec<SimTime> = Vec::new();
        let mut known: FxHashMap<SessionId, (usize, SimTime)> = FxHashMap::default();
        for request in &self.requests {
            let open = request.session.and_then(|session| known.get(&session).copied());
            let (at, last) = open.unwrap_or((sessions.len(), request.arrival));
            if open.is_none() {
                sessions.push(Vec::new());
                starts.push(request.arrival);
            }
            if let Some(session) = request.session {
                known.insert(session, (at, request.arrival));
            }
            sessions[at].push(Turn {
                gap: request.arrival - last,
                think: self.delays.get(request.id.index()).copied().flatten().unwrap_or_default(),
                content: Content::Recorded(Box::new(*request)),
                output: request.output_tokens,
            });
        }
        starts.reverse();
        let source = Recorded { sessions: sessions.into_iter() };
        let stream = Stream { source: Box::new(source), starts: Starts::Listed(starts) };
        Box::new(SessionWorkload::new(self.forest, vec![stream], mode, SimTime::ZERO, None, SimTime::MAX, None))
    }
}

/// The bits of a draw from [`uniform01`], which are whole numbers of 2^-53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an exact multiple below 2^53")]
fn draw53(uniform: f64) -> u64 {
    (uniform * 9_007_199_254_740_992.0) as u64
}

/// The sessions of a trace, in order of their start.
struct Recorded {
    sessions: std::vec::IntoIter<Vec<Turn>>,
}

impl Source for Recorded {
    fn next(&mut self, _: &mut trimtab_core::PrefixForest, plan: &mut Plan) -> Option<()> {
        plan.turns = self.sessions.next()?;
        Some(())
    }

    fn output_known(&self) -> bool {
        false
    }
}
