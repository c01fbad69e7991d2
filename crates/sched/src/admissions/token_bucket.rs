//! A rate limit: a bucket of tokens that fills at a constant rate, from which every request takes.
//!
//! Kept as the time at which the bucket will be full again, in whole picoseconds (the virtual scheduling form of the
//! generic cell rate algorithm, ITU-T I.371), so nothing drifts.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use trimtab_core::{PS_PER_S, RequestId, SimTime};

use super::{Admission, AdmissionDef, Verdict, span};
use crate::{Arrival, ClusterView, Signals, params_doc, require, typed};

/// The token bucket in the list.
pub(super) const DEF: AdmissionDef = AdmissionDef {
    name: "token-bucket",
    summary: "a rate limit in requests or prompt tokens, for all or for each tenant; what exceeds it is turned away or waits",
    citation: "token bucket as virtual scheduling: generic cell rate algorithm, ITU-T I.371",
    deviations: &["a request larger than the burst is let in when the bucket is full, and leaves it in debt"],
    signals: Signals::NONE,
    params: || {
        params_doc::<Params>(&[
            ("rate", "units a second that flow in"),
            ("burst", "units that the bucket holds; it is full at the start"),
            ("unit", "`requests`, or prompt `tokens`"),
            ("per", "`all`: one bucket; `tenant`: one for each tenant"),
            ("over", "what becomes of a request that finds too little: `reject`, or `wait` in the order of arrival"),
            ("max_waiting", "so many wait at a bucket, more are turned away; null: any number"),
            ("ttl_s", "who has waited this long is turned away; null: never"),
        ])
    },
    build: |params, _| {
        let params: Params = typed(params)?;
        require(params.rate > 0.0 && params.rate <= 1e9, "rate", "above 0, up to 1e9 a second")?;
        require(params.burst >= 1.0 && params.burst <= 1e12, "burst", "at least 1, up to 1e12")?;
        require(params.burst / params.rate <= 1e7, "burst", "what flows in within 1e7 s, which the clock holds")?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1000")]
        let unit_ps = libm::round(PS_PER_S as f64 / params.rate) as u64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let depth_ps = libm::round(params.burst * unit_ps as f64) as u64;
        let ttl = params.ttl_s.map(|seconds| span("ttl_s", seconds)).transpose()?;
        Ok(Box::new(TokenBucket { params, unit_ps, depth_ps, ttl, buckets: BTreeMap::new() }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    rate: f64,
    burst: f64,
    unit: Unit,
    per: Per,
    over: Over,
    max_waiting: Option<usize>,
    ttl_s: Option<f64>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            rate: 10.0,
            burst: 10.0,
            unit: Unit::Requests,
            per: Per::All,
            over: Over::Reject,
            max_waiting: None,
            ttl_s: None,
        }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Unit {
    Requests,
    Tokens,
}

#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Per {
    All,
    Tenant,
}

#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Over {
    Reject,
    Wait,
}

struct TokenBucket {
    params: Params,
    /// Time in which one unit flows in, and in which an empty bucket fills.
    unit_ps: u64,
    depth_ps: u64,
    ttl: Option<SimTime>,
    /// By tenant, or one.
    buckets: BTreeMap<u16, Bucket>,
}

#[derive(Default)]
struct Bucket {
    /// When it is full again.
    full_at: u64,
    /// Who waits: since when, and the time that refills what it takes.
    waiting: VecDeque<(RequestId, SimTime, u64)>,
}

impl Bucket {
    /// When there is enough for a request of this cost.
    fn ready(&self, cost: u64, depth: u64) -> u64 {
        self.full_at.checked_add(cost.min(depth)).map_or(u64::MAX, |full| full.saturating_sub(depth))
    }

    fn take(&mut self, cost: u64, now: u64) {
        // A debt that outlasts the clock is never paid.
        self.full_at = self.full_at.max(now).saturating_add(cost);
    }

    /// When the first that waits is let in or turned away.
    fn turn(&self, depth: u64, ttl: Option<SimTime>) -> Option<(u64, bool)> {
        let &(_, since, cost) = self.waiting.front()?;
        let (ready, until) = (self.ready(cost, depth), ttl.map_or(u64::MAX, |ttl| since.0.saturating_add(ttl.0)));
        Some(if ready <= until { (ready, true) } else { (until, false) })
    }
}

impl Admission for TokenBucket {
    fn ask(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>) -> Verdict {
        let units = if self.params.unit == Unit::Requests { 1 } else { u64::from(arrival.prompt.tokens) };
        let cost = units.saturating_mul(self.unit_ps);
        let now = view.now().0;
        let key = if self.params.per == Per::All { 0 } else { arrival.tenant.0 };
        let bucket = self.buckets.entry(key).or_default();
        if bucket.waiting.is_empty() && bucket.ready(cost, self.depth_ps) <= now {
            bucket.take(cost, now);
            return Verdict::Admit;
        }
        if self.params.over == Over::Reject || self.params.max_waiting.is_some_and(|most| bucket.waiting.len() >= most) {
            return Verdict::Reject;
        }
        bucket.waiting.push_back((arrival.id, view.now(), cost));
        Verdict::Wait
    }

    fn next(&mut self, view: &ClusterView<'_>) -> Option<(RequestId, bool)> {
        let (now, depth, ttl) = (view.now().0, self.depth_ps, self.ttl);
        let due = |bucket: &Bucket| bucket.turn(depth, ttl).filter(|&(at, _)| at <= now);
        let (bucket, let_in) = self.buckets.values_mut().find_map(|bucket| due(bucket).map(|(_, yes)| (bucket, yes)))?;
        let (request, _, cost) = bucket.waiting.pop_front()?;
        if let_in {
            bucket.take(cost, now);
        }
        Some((request, let_in))
    }

    fn wake(&self) -> Option<SimTime> {
        let turns = self.buckets.values().filter_map(|bucket| bucket.turn(self.depth_ps, self.ttl));
        turns.map(|(at, _)| SimTime(at)).min().filter(|&at| at < SimTime::MAX)
    }

    fn gone(&mut self, request: RequestId) {
        for bucket in self.buckets.values_mut() {
            bucket.waiting.retain(|&(other, ..)| other != request);
        }
    }
}
