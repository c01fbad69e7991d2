//! Retention between the turns of a session, as in Continuum: pins that lapse, and yield under pressure.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use trimtab_core::{SessionId, SimTime};
use trimtab_sched::{ParamError, params_doc, typed};

use super::parts::{ByRun, Ranked};
use super::{Eviction, EvictionDef, Order, Use};

pub(super) const DEF: EvictionDef = EvictionDef {
    name: "ttl",
    summary: "what a session used stays for a while; the rest, and what has lapsed, least recently released first",
    citation: "Continuum (arXiv 2511.02230): retention with a time to live; unpinning under memory pressure",
    deviations: &[
        "one time to live for all: Continuum chooses it by tool from observed call times, which traces do not tell",
        "when only pinned runs are left, those of the session that was seen last yield first",
    ],
    clairvoyant: false,
    params: || params_doc::<Params>(&[("ttl_s", "seconds that a turn of a session is kept for the next one")]),
    build: |params, _| {
        let Params { ttl_s } = typed(params)?;
        let span = SimTime::from_secs_f64(ttl_s)
            .ok_or_else(|| ParamError("parameter `ttl_s` must be a number of seconds".into()))?;
        Ok(Order::leaves(Ttl { span, ..Ttl::default() }))
    },
};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    ttl_s: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { ttl_s: 60.0 }
    }
}

/// Until when a run is kept, and for which session by the order of their first turns.
type Pin = (SimTime, u32);

#[derive(Clone, Debug, Default)]
struct Ttl {
    span: SimTime,
    /// Keys are: pinned or not; of pinned ones, which session, the last first; the last use.
    ranked: Ranked<(bool, u32, u64)>,
    pins: ByRun<Option<Pin>>,
    lapses: BTreeSet<(SimTime, u32)>,
    sessions: FxHashMap<SessionId, u32>,
    uses: u64,
}

impl Ttl {
    fn unpin(&mut self, run: u32) {
        if let Some((until, _)) = self.pins.at(run).take() {
            self.lapses.remove(&(until, run));
        }
    }

    /// Lets pins lapse.
    fn lapse(&mut self, now: SimTime) {
        while let Some((_, run)) = self.lapses.first().copied().filter(|&(until, _)| until <= now) {
            self.unpin(run);
            let (.., last) = self.ranked.key(run);
            self.ranked.set(run, (false, 0, last));
        }
    }
}

impl Eviction for Ttl {
    fn used(&mut self, it: &Use<'_>) {
        self.lapse(it.now);
        let next = u32::try_from(self.sessions.len()).expect("sessions are numbered in 32 bits");
        let session = it.user.session.map(|session| *self.sessions.entry(session).or_insert(next));
        for run in it.runs.iter().rev() {
            self.uses += 1;
            let kept = *self.pins.at(run.slot);
            self.unpin(run.slot);
            // A prefix is kept for the session that was seen first of those that use it.
            let until = session.and_then(|session| Some((it.now.checked_add(self.span)?, session)));
            let pin = match (kept, until) {
                (Some(a), Some(b)) => Some((a.0.max(b.0), a.1.min(b.1))),
                (a, b) => a.or(b),
            };
            *self.pins.at(run.slot) = pin;
            let key = match pin {
                Some((until, session)) => {
                    self.lapses.insert((until, run.slot));
                    (true, u32::MAX - session, self.uses)
                }
                None => (false, 0, self.uses),
            };
            self.ranked.set(run.slot, key);
        }
    }

    fn offer(&mut self, run: u32, loose: u32) {
        self.ranked.offer(run, loose > 0);
    }

    fn victim(&mut self, now: SimTime) -> (u32, u32) {
        self.lapse(now);
        self.ranked.victim()
    }

    fn gone(&mut self, run: u32) {
        self.unpin(run);
    }
}
