//! How a cluster changes while it serves.

use std::sync::Arc;

use trimtab_core::{InstanceId, SimTime};
use trimtab_sched::autoscalers::Autoscaler;

/// What changes, and what becomes of requests that it hits. The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct Dynamics {
    /// Instances that do not serve at the start and can be added, ascending.
    pub standby: Vec<InstanceId>,
    /// The group of each instance, by id; all are of group 0 when empty.
    pub groups: Vec<u32>,
    /// From the moment that an instance is asked for until it serves: its weights are loaded, its cache is empty.
    pub startup: SimTime,
    /// What happens when. Those of one time happen in this order.
    pub events: Vec<(SimTime, Change)>,
    /// Failures at random.
    pub faults: Option<Faults>,
    /// What becomes of the requests of an instance that fails.
    pub recovery: Recovery,
    /// Who adds and removes instances, if anybody does.
    pub scaling: Option<Scaling>,
}

/// An autoscaler and its bounds.
#[derive(Clone)]
pub struct Scaling {
    /// It is asked at every whole multiple of this.
    pub every: SimTime,
    /// No fewer instances than this.
    pub min: u32,
    /// No more than this.
    pub max: u32,
    /// Makes one for a run.
    pub make: Arc<dyn Fn() -> Box<dyn Autoscaler> + Send + Sync>,
}

impl std::fmt::Debug for Scaling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { every, min, max, .. } = self;
        f.debug_struct("Scaling").field("every", every).field("min", min).field("max", max).finish_non_exhaustive()
    }
}

impl Dynamics {
    /// Whether the cluster stays as it is.
    pub fn is_static(&self) -> bool {
        self.standby.is_empty() && self.events.is_empty() && self.faults.is_none() && self.scaling.is_none()
    }

    /// The group of an instance.
    pub fn group(&self, instance: usize) -> u32 {
        self.groups.get(instance).copied().unwrap_or(0)
    }
}

/// A change of the cluster. What cannot be done (remove more than there are, slow an instance that does not serve) is left
/// undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Instances on standby are started, lowest ids first.
    Add {
        /// How many.
        count: u32,
        /// Of this group; of any when `None`.
        group: Option<u32>,
    },
    /// Instances leave: first those that are starting, then those that serve, highest ids first. One that serves takes no
    /// more requests, gives those that it has not started back to the router, finishes the others and is gone.
    Remove {
        /// How many.
        count: u32,
        /// Of this group; of any when `None`.
        group: Option<u32>,
    },
    /// This instance leaves in the same way.
    Drain(InstanceId),
    /// This instance leaves in the same way and starts again at once, with an empty cache.
    Restart(InstanceId),
    /// This instance fails: its requests and its cache are lost.
    Fail {
        /// Which.
        instance: InstanceId,
        /// How long until it starts again; never when `None`.
        repair: Option<SimTime>,
    },
    /// The steps of this instance take longer (or shorter) for a while, from its next batch on.
    Slow {
        /// Which.
        instance: InstanceId,
        /// A step takes this many thousandths of its usual time, rounded down.
        thousandths: u64,
        /// For how long.
        span: SimTime,
    },
    /// The router cannot reach this instance for a while. What it has, it goes on with.
    Cut {
        /// Which.
        instance: InstanceId,
        /// For how long.
        span: SimTime,
    },
    /// The router can reach this instance, but it hears nothing of it for a while: its reports stay as they are.
    Freeze {
        /// Which.
        instance: InstanceId,
        /// For how long.
        span: SimTime,
    },
    /// All cached blocks of this instance that no running request holds are lost.
    Flush(InstanceId),
}

/// Failures of instances at random, independent of one another. Times are exponential, from the streams
/// `faults/instance-N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Mean time that an instance serves before it fails.
    pub mtbf: SimTime,
    /// Mean time until it starts again.
    pub mttr: SimTime,
}

/// What becomes of the requests of an instance that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How often the router sends a request anew, which keeps its arrival time and the tokens that came out; then it has
    /// failed.
    pub retries: u32,
    /// How long the router takes to notice and to send it anew.
    pub delay: SimTime,
}

impl Default for Recovery {
    /// Three times, at once.
    fn default() -> Self {
        Self { retries: 3, delay: SimTime::ZERO }
    }
}

/// Clients that do not wait for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clients {
    /// How long a client waits for its first token (or for its last one), from each time that it asks.
    pub patience: SimTime,
    /// Whether it waits for the last token.
    pub until_end: bool,
    /// How often it asks again after it has hung up, from scratch; then the request has failed.
    pub retries: u32,
    /// How long after the first time; each following pause is twice as long.
    pub backoff: SimTime,
    /// Whether a client asks again after it was turned away, too; out of the same number of times.
    pub retry_rejected: bool,
}

/// What happened to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetEvent {
    /// When.
    pub at: SimTime,
    /// To which instance.
    pub instance: InstanceId,
    /// What.
    pub what: Happened,
    /// How many instances can be chosen after it.
    pub members: u32,
}

/// What can happen to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It begins to start.
    Starting,
    /// It serves.
    Joined,
    /// It takes no more requests.
    Draining,
    /// It is gone.
    Stopped,
    /// It failed.
    Failed,
    /// It is slower or faster than usual.
    Paced,
    /// It is as fast as usual.
    Unpaced,
    /// The router cannot reach it.
    Cut,
    /// Its reports stay as they are.
    Frozen,
    /// The router reaches it again, or hears of it again.
    Healed,
    /// Its cache was lost.
    Flushed,
}

/// What a cluster that changed leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetRecord {
    /// Everything that happened, in order.
    pub events: Vec<FleetEvent>,
    /// From when to when each instance was paid for: from the beginning of a start to its end.
    pub spans: Vec<(InstanceId, SimTime, SimTime)>,
    /// Requests whose client hung up and did not ask again: they have failed.
    pub abandoned: u64,
    /// How often a client was turned away and asked again.
    pub turned_back: u64,
}

impl FleetRecord {
    /// Instance time paid for up to `end`, in picoseconds.
    pub fn instance_ps(&self, end: SimTime) -> u64 {
        self.spans.iter().map(|&(_, from, to)| to.min(end).saturating_since(from).0).sum()
    }
}
