//! llm-d's flow control: while the pool is saturated, requests wait at the router, by priority and in turn by tenant.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
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
        Ok(Box::new(FlowControl {
            params,
            limits,
            ttl,
            issued: 0,
            waiting: BTreeMap::new(),
            tickets: FxHashMap::default(),
            bands: BTreeMap::new(),
        }))
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
    issued: Ticket,
    waiting: BTreeMap<Ticket, Waiter>,
    tickets: FxHashMap<RequestId, Ticket>,
    bands: BTreeMap<i16, Band>,
}

/// Numbers those that wait in the order of coming.
type Ticket = u64;

struct Waiter {
    request: RequestId,
    since: SimTime,
    tokens: u64,
    priority: i16,
    flow: u16,
}

/// Those of one priority that wait.
#[derive(Default)]
struct Band {
    /// By tenant; none is empty.
    flows: BTreeMap<u16, BTreeSet<Ticket>>,
    /// Whose turn it was last.
    last: u16,
    waiting: usize,
    tokens: u64,
}

impl Band {
    /// The first of the flow whose turn it is now.
    fn take_turn(&mut self) -> Option<Ticket> {
        let after = self.last.checked_add(1).and_then(|next| self.flows.range(next..).next());
        let (&flow, queue) = after.or_else(|| self.flows.first_key_value())?;
        self.last = flow;
        queue.first().copied()
    }

    fn joins(&mut self, ticket: Ticket, waiter: &Waiter) {
        self.flows.entry(waiter.flow).or_default().insert(ticket);
        self.waiting += 1;
        self.tokens += waiter.tokens;
    }

    fn leaves(&mut self, ticket: Ticket, waiter: &Waiter) {
        if let Some(queue) = self.flows.get_mut(&waiter.flow) {
            queue.remove(&ticket);
            if queue.is_empty() {
                self.flows.remove(&waiter.flow);
            }
        }
        self.waiting -= 1;
        self.tokens -= waiter.tokens;
    }
}

impl FlowControl {
    fn is_saturated(&self, view: &ClusterView<'_>) -> bool {
        self.params.detector.saturation(view, &self.limits) >= self.params.limit
    }

    fn leaves(&mut self, ticket: Ticket) -> Option<RequestId> {
        let waiter = self.waiting.remove(&ticket)?;
        self.tickets.remove(&waiter.request);
        self.bands.get_mut(&waiter.priority)?.leaves(ticket, &waiter);
        Some(waiter.request)
    }
}

impl Admission for FlowControl {
    fn ask(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>) -> Verdict {
        let first = self.bands.range(arrival.priority..).all(|(_, band)| band.waiting == 0);
        if first && !self.is_saturated(view) {
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
        let waiter = Waiter { request: arrival.id, since: view.now(), tokens, priority: arrival.priority, flow };
        self.issued += 1;
        band.joins(self.issued, &waiter);
        self.tickets.insert(arrival.id, self.issued);
        self.waiting.insert(self.issued, waiter);
        Verdict::Wait
    }

    fn next(&mut self, view: &ClusterView<'_>) -> Option<(RequestId, bool)> {
        let (&oldest, waiter) = self.waiting.first_key_value()?;
        if self.ttl.is_some_and(|ttl| view.now().saturating_since(waiter.since) >= ttl) {
            return self.leaves(oldest).map(|request| (request, false));
        }
        if self.is_saturated(view) {
            return None;
        }
        let ticket = self.bands.values_mut().rev().find_map(Band::take_turn)?;
        self.leaves(ticket).map(|request| (request, true))
    }

    fn wake(&self) -> Option<SimTime> {
        let (_, oldest) = self.waiting.first_key_value()?;
        self.ttl.and_then(|ttl| oldest.since.checked_add(ttl))
    }

    fn gone(&mut self, request: RequestId) {
        if let Some(&ticket) = self.tickets.get(&request) {
            self.leaves(ticket);
        }
    }
}
