//! llm-d's flow control: while the pool is saturated, requests wait at the router, by priority and in turn by tenant.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use trimtab_core::{RequestId, SimTime};

use super::{Admission, AdmissionDef, Verdict, span};
use crate::parts::{Detector, Limits};
use crate::{Arrival, ClusterView, Signals, params_doc, require, typed};

/// Flow control in the list.
pub(super) const DEF: AdmissionDef = AdmissionDef {
    name: "flow-control",
    summary: "requests wait while the pool is saturated: higher priorities first, tenants in turn, with limits and a time to live",
    citation: "llm-d scheduler, flow control and saturation detectors at 520af47 (2026-05-17)",
    deviations: &[
        "queues are limited in requests and prompt tokens instead of bytes, for each priority",
        "a flow is a tenant; within a flow, first come, first served",
        "everything happens when something changes, where the product polls",
    ],
    signals: Signals { snapshots: true, ..Signals::NONE },
    params: || {
        params_doc::<Params>(&[
            (
                "detector",
                "of saturation: `utilization` (mean of max(waiting/`waiting`, KV/`kv`)), `concurrency-requests` (in flight \
                 over `requests` each) or `concurrency-tokens` (2.5 times the prompts in flight over `tokens` each)",
            ),
            ("limit", "the saturation from which requests wait; llm-d: 1"),
            ("waiting", "waiting requests from which an instance is saturated; llm-d: 5"),
            ("kv", "share of KV blocks in use from which it is; llm-d: 0.8"),
            ("requests", "requests in flight from which it is; llm-d: 100"),
            ("tokens", "tokens in flight from which it is; llm-d: 1,000,000"),
            ("stale_ms", "an instance whose last report is older counts as saturated; llm-d: 200"),
            ("fairness", "`round-robin` over tenants of a priority, or `global-strict`: by arrival alone"),
            ("max_waiting", "so many of one priority wait, more are turned away; null: any number"),
            ("max_waiting_tokens", "likewise in prompt tokens"),
            ("ttl_s", "who has waited this long is turned away; null: never"),
        ])
    },
    build: |params, _| {
        let params: Params = typed(params)?;
        for (name, value) in [
            ("limit", params.limit),
            ("waiting", params.waiting),
            ("kv", params.kv),
            ("requests", params.requests),
            ("tokens", params.tokens),
        ] {
            require(value > 0.0, name, "above 0")?;
        }
        let limits = Limits {
            waiting: params.waiting,
            kv: params.kv,
            requests: params.requests,
            tokens: params.tokens,
            stale: span("stale_ms", params.stale_ms / 1000.0)?,
        };
        let ttl = params.ttl_s.map(|seconds| span("ttl_s", seconds)).transpose()?;
        Ok(Box::new(FlowControl { params, limits, ttl, bands: BTreeMap::new(), ages: VecDeque::new() }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    detector: Detector,
    limit: f64,
    waiting: f64,
    kv: f64,
    requests: f64,
    tokens: f64,
    stale_ms: f64,
    fairness: Fairness,
    max_waiting: Option<usize>,
    max_waiting_tokens: Option<u64>,
    ttl_s: Option<f64>,
}

impl Default for Params {
    fn default() -> Self {
        let Limits { waiting, kv, requests, tokens, .. } = Limits::llm_d(SimTime::ZERO);
        Self {
            detector: Detector::Utilization,
            limit: 1.0,
            waiting,
            kv,
            requests,
            tokens,
            stale_ms: 200.0,
            fairness: Fairness::RoundRobin,
            max_waiting: None,
            max_waiting_tokens: None,
            ttl_s: None,
        }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Fairness {
    RoundRobin,
    GlobalStrict,
}

struct FlowControl {
    params: Params,
    limits: Limits,
    ttl: Option<SimTime>,
    /// Those that wait, by priority.
    bands: BTreeMap<i16, Band>,
    /// All that wait, or have waited, in the order of coming.
    ages: VecDeque<(SimTime, RequestId)>,
}

/// The requests of one priority.
#[derive(Default)]
struct Band {
    /// By tenant, with their prompt tokens; none is empty.
    flows: BTreeMap<u16, VecDeque<(RequestId, u64)>>,
    /// Whose turn it was last.
    last: u16,
    waiting: usize,
    tokens: u64,
}

impl Band {
    /// The first of the next flow.
    fn pop(&mut self) -> Option<RequestId> {
        let after = self.last.checked_add(1).and_then(|next| self.flows.range(next..).next());
        let (&flow, _) = after.or_else(|| self.flows.first_key_value())?;
        let queue = self.flows.get_mut(&flow)?;
        let (request, tokens) = queue.pop_front()?;
        if queue.is_empty() {
            self.flows.remove(&flow);
        }
        self.last = flow;
        self.waiting -= 1;
        self.tokens -= tokens;
        Some(request)
    }

    fn remove(&mut self, request: RequestId) -> bool {
        let found = self.flows.iter_mut().find_map(|(&flow, queue)| {
            let at = queue.iter().position(|&(other, _)| other == request)?;
            let (_, tokens) = queue.remove(at)?;
            Some((flow, tokens, queue.is_empty()))
        });
        let Some((flow, tokens, empty)) = found else { return false };
        if empty {
            self.flows.remove(&flow);
        }
        self.waiting -= 1;
        self.tokens -= tokens;
        true
    }
}

impl FlowControl {
    fn is_saturated(&self, view: &ClusterView<'_>) -> bool {
        self.params.detector.saturation(view, &self.limits) >= self.params.limit
    }

    fn remove(&mut self, request: RequestId) -> bool {
        self.bands.values_mut().any(|band| band.remove(request))
    }

    /// The oldest of those that wait.
    fn oldest(&self) -> Option<(SimTime, RequestId)> {
        self.ages.front().copied()
    }
}

impl Admission for FlowControl {
    fn ask(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>) -> Verdict {
        let overtakes = self.bands.range(arrival.priority..).all(|(_, band)| band.waiting == 0);
        if overtakes && !self.is_saturated(view) {
            return Verdict::Admit;
        }
        let tokens = u64::from(arrival.prompt.tokens);
        let Params { max_waiting, max_waiting_tokens, fairness, .. } = self.params;
        let band = self.bands.entry(arrival.priority).or_default();
        if max_waiting.is_some_and(|most| band.waiting >= most)
            || max_waiting_tokens.is_some_and(|most| band.tokens + tokens > most)
        {
            return Verdict::Reject;
        }
        let flow = if fairness == Fairness::RoundRobin { arrival.tenant.0 } else { 0 };
        band.flows.entry(flow).or_default().push_back((arrival.id, tokens));
        band.waiting += 1;
        band.tokens += tokens;
        self.ages.push_back((view.now(), arrival.id));
        Verdict::Wait
    }

    fn next(&mut self, view: &ClusterView<'_>) -> Option<(RequestId, bool)> {
        if let Some(ttl) = self.ttl
            && let Some((since, request)) = self.oldest().filter(|&(since, _)| view.now().saturating_since(since) >= ttl)
        {
            let _ = since;
            self.gone(request);
            return Some((request, false));
        }
        let waits = self.bands.values().any(|band| band.waiting > 0);
        if !waits || self.is_saturated(view) {
            return None;
        }
        let request = self.bands.values_mut().rev().find_map(Band::pop)?;
        self.ages.retain(|&(_, other)| other != request);
        Some((request, true))
    }

    fn wake(&self) -> Option<SimTime> {
        let (since, _) = self.oldest()?;
        self.ttl.and_then(|ttl| since.checked_add(ttl))
    }

    fn gone(&mut self, request: RequestId) {
        self.remove(request);
        self.ages.retain(|&(_, other)| other != request);
    }
}
