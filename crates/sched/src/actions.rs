//! Decisions as data.

use trimtab_core::{InstanceId, RequestId, SimTime};

/// What happens to the request that a scheduler was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes to this instance.
    Route(InstanceId),
    /// It waits at the router until a hook routes it with [`Actions::route`].
    Park,
    /// It is turned away and counts as a miss.
    Reject,
}

/// What a scheduler may do beside deciding on the request at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a parked request to an instance.
    Route {
        /// A request that was parked.
        request: RequestId,
        /// Where it goes.
        to: InstanceId,
    },
    /// Turn a parked request away.
    Reject {
        /// A request that was parked.
        request: RequestId,
    },
    /// Move a request that is queued and unstarted. It keeps its arrival time and joins the tail of the new queue.
    Migrate {
        /// A queued request.
        request: RequestId,
        /// Where it goes.
        to: InstanceId,
    },
    /// Copy the cached prefix of the request at hand from another instance before it is prefilled.
    Fetch {
        /// The request being routed.
        request: RequestId,
        /// The holder.
        from: InstanceId,
        /// Up to how many leading tokens are copied.
        tokens: u32,
    },
    /// Call [`crate::Scheduler::hook`] with [`Hook::Timer`] at this time.
    Timer {
        /// When; not in the past.
        at: SimTime,
        /// Given back in the hook.
        tag: u32,
    },
}

/// The actions of one call, in order.
#[derive(Clone, Debug, Default)]
pub struct Actions {
    list: Vec<Action>,
    log: bool,
    scores: Vec<(InstanceId, f64)>,
    reason: Option<&'static str>,
    expected: Vec<(RequestId, u32)>,
}

impl Actions {
    /// No actions; `log` says whether a decision log is kept.
    pub fn new(log: bool) -> Self {
        Self { log, ..Self::default() }
    }

    /// Sends a parked request to an instance.
    pub fn route(&mut self, request: RequestId, to: InstanceId) {
        self.list.push(Action::Route { request, to });
    }

    /// Turns a parked request away.
    pub fn reject(&mut self, request: RequestId) {
        self.list.push(Action::Reject { request });
    }

    /// Moves a queued, unstarted request.
    pub fn migrate(&mut self, request: RequestId, to: InstanceId) {
        self.list.push(Action::Migrate { request, to });
    }

    /// Copies a cached prefix before the request at hand is prefilled.
    pub fn fetch(&mut self, request: RequestId, from: InstanceId, tokens: u32) {
        self.list.push(Action::Fetch { request, from, tokens });
    }

    /// Asks for [`Hook::Timer`] at this time.
    pub fn timer(&mut self, at: SimTime, tag: u32) {
        self.list.push(Action::Timer { at, tag });
    }

    /// For a policy with a prefix index of its own: how many leading tokens of a request it expects to find cached where it
    /// sends it. Otherwise the router's prefix signal counts as what it believes. Nothing but a metric depends on it.
    pub fn expect_hit(&mut self, request: RequestId, hit_tokens: u32) {
        self.expected.push((request, hit_tokens));
    }

    /// What was expected of a request.
    pub fn expected(&self, request: RequestId) -> Option<u32> {
        self.expected.iter().rev().find(|&&(of, _)| of == request).map(|&(_, tokens)| tokens)
    }

    /// Whether a decision log is kept; skip computing scores for it otherwise.
    pub fn logging(&self) -> bool {
        self.log
    }

    /// For the decision log: a candidate and its score (the policy's own unit; lower or higher is better as it defines).
    pub fn score(&mut self, instance: InstanceId, score: f64) {
        if self.log {
            self.scores.push((instance, score));
        }
    }

    /// For the decision log: which rule decided.
    pub fn reason(&mut self, reason: &'static str) {
        if self.log {
            self.reason = Some(reason);
        }
    }

    /// What was logged: the rule that decided, and the candidates with their scores.
    pub fn logged(&self) -> (Option<&'static str>, &[(InstanceId, f64)]) {
        (self.reason, &self.scores)
    }

    /// The actions so far.
    pub fn list(&self) -> &[Action] {
        &self.list
    }

    /// Empties the buffer for the next call.
    pub fn clear(&mut self) {
        self.list.clear();
        self.scores.clear();
        self.reason = None;
        self.expected.clear();
    }
}

/// What a scheduler can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A request joined an instance's queue (routed or migrated).
    Dispatched {
        /// The request.
        request: RequestId,
        /// Its instance.
        instance: InstanceId,
    },
    /// A request's prefill ended, for the first time since it was dispatched.
    FirstToken {
        /// The request.
        request: RequestId,
        /// Its instance.
        instance: InstanceId,
        /// Since its arrival at the router.
        ttft: SimTime,
    },
    /// A request ended on an instance: it finished, or was turned away by it because it can never fit.
    Finished {
        /// The request.
        request: RequestId,
        /// Its instance.
        instance: InstanceId,
        /// How many tokens it generated; none if it was turned away.
        output_tokens: u32,
        /// Since its arrival at the router.
        e2e: SimTime,
    },
    /// A request left its instance before its end: the instance leaves or failed, or the client hung up. It is routed anew,
    /// or has failed. `None`: it was parked, and is no more.
    Withdrawn {
        /// The request.
        request: RequestId,
        /// Its instance.
        instance: Option<InstanceId>,
    },
    /// Fresh engine snapshots are in.
    Snapshots,
    /// Something may have changed for requests that wait at the router, of which nothing else tells: another replica of it
    /// took note of an end or took a request back, or the replicas synced. Told only while requests wait.
    Elsewhere,
    /// A timer set with [`Actions::timer`].
    Timer {
        /// As given.
        tag: u32,
    },
    /// An instance can be chosen from now on.
    Joined {
        /// The instance.
        instance: InstanceId,
    },
    /// An instance cannot be chosen any more.
    Left {
        /// The instance.
        instance: InstanceId,
    },
}
