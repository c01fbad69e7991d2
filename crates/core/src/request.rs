//! Requests and where they come from.

use crate::forest::PrefixForest;
use crate::ids::{PrefixId, RequestId, SessionId, TenantId};
use crate::time::SimTime;

/// A prompt: the first `tokens` tokens of the forest path that ends in `leaf`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The last node of the path; `None` only when the prompt has no identity at all and can neither hit nor be hit.
    pub leaf: Option<PrefixId>,
    /// Prompt length. At most the leaf's end, and more than its start.
    pub tokens: u32,
}

/// One request with everything the simulation needs, the true output length included. Schedulers never see this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Position in arrival order, from 0, without gaps.
    pub id: RequestId,
    /// When it reaches the router.
    pub arrival: SimTime,
    /// What it asks.
    pub prompt: Prompt,
    /// How many tokens it will generate; at least 1.
    pub output_tokens: u32,
    /// The leaf of the path of prompt and output together, when the workload knows what will be generated (a later turn
    /// contains it). The path of `prompt` is a prefix of it.
    pub output_leaf: Option<PrefixId>,
    /// The session it belongs to, when known.
    pub session: Option<SessionId>,
    /// Its position in the session, from 0.
    pub turn: u32,
    /// Who sent it.
    pub tenant: TenantId,
    /// Which model it asks for, for traces that mix models; 0 otherwise.
    pub model: u16,
    /// Higher is more urgent; 0 is ordinary.
    pub priority: i16,
}

impl Request {
    /// A request without session, tenant or priority.
    pub fn new(id: u32, arrival: SimTime, prompt: Prompt, output_tokens: u32) -> Self {
        Self {
            id: RequestId(id),
            arrival,
            prompt,
            output_tokens,
            output_leaf: None,
            session: None,
            turn: 0,
            tenant: TenantId(0),
            model: 0,
            priority: 0,
        }
    }
}

/// A source of requests in arrival order, generated lazily so that closed loops (the next turn waits for the last one)
/// and unbounded generators work.
pub trait Workload {
    /// The forest that the prompts of all requests returned so far live in. It may grow with each `next`.
    fn forest(&self) -> &PrefixForest;

    /// The arrival time of the request that `next` would return now, if any. For a closed loop the answer may become
    /// earlier, or appear, after a call of `ended`; it is never earlier than the time of the last event.
    fn peek(&mut self) -> Option<SimTime>;

    /// Takes the next request. Ids count from 0 without gaps; arrivals never decrease.
    fn next(&mut self) -> Option<Request>;

    /// Whether its requests are the same whatever becomes of them, so that they can be known in advance: not in a closed
    /// loop.
    fn is_open(&self) -> bool {
        false
    }

    /// Tells a closed loop that a request finished, was rejected or failed.
    fn ended(&mut self, request: RequestId, now: SimTime) {
        let _ = (request, now);
    }
}

/// Requests that are all known in advance.
#[derive(Clone, Debug, Default)]
pub struct FixedWorkload {
    /// Their prompts.
    pub forest: PrefixForest,
    /// In arrival order, ids counting from 0.
    pub requests: Vec<Request>,
    next: usize,
}

impl FixedWorkload {
    /// From requests in arrival order whose ids count from 0.
    pub fn new(forest: PrefixForest, requests: Vec<Request>) -> Self {
        for (index, request) in requests.iter().enumerate() {
            assert_eq!(request.id.index(), index, "request ids count from 0 in arrival order");
        }
        assert!(requests.is_sorted_by_key(|r| r.arrival), "requests come in arrival order");
        Self { forest, requests, next: 0 }
    }

    /// All requests that are left of an open loop.
    pub fn foreseen(workload: &mut dyn Workload) -> Self {
        let requests = std::iter::from_fn(|| workload.next()).collect();
        Self::new(workload.forest().clone(), requests)
    }
}

impl Workload for FixedWorkload {
    fn forest(&self) -> &PrefixForest {
        &self.forest
    }

    fn peek(&mut self) -> Option<SimTime> {
        self.requests.get(self.next).map(|r| r.arrival)
    }

    fn is_open(&self) -> bool {
        true
    }

    fn next(&mut self) -> Option<Request> {
        let request = self.requests.get(self.next).copied();
        self.next += usize::from(request.is_some());
        request
    }
}
