//! What an instance is.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trimtab_core::SimTime;
use trimtab_sched::{SchedulerDef, Signals};

use crate::admission::AdmissionConfig;
use crate::channel::Lag;
use crate::cost::{PredictionError, StepCost};
use crate::dynamics::{Clients, Dynamics};
use crate::eviction::EvictionConfig;

/// One serving instance.
#[derive(Clone)]
pub struct InstanceConfig {
    /// How long a step takes.
    pub cost: Arc<dyn StepCost>,
    /// KV cache blocks.
    pub kv_blocks: u64,
    /// Tokens of a KV block.
    pub block_tokens: u32,
    /// Token budget of a step: one for each decode, the rest for prefill chunks. At least `max_seqs`.
    pub max_batched_tokens: u32,
    /// Sequence limit of a step.
    pub max_seqs: u32,
    /// Whether decodes share a step with prefill chunks.
    pub mixing: Mixing,
    /// Which waiting request is admitted next.
    pub order: Order,
    /// Blocks that admission leaves free, so that running decodes can grow.
    pub watermark_blocks: u64,
    /// The prefix cache.
    pub cache: CacheConfig,
    /// Which cached block goes first.
    pub eviction: EvictionConfig,
}

/// The prefix cache of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Off: nothing is ever reused.
    pub enabled: bool,
    /// Whether the final partial block of a prompt can be reused too, by a prompt that ends in the same tokens.
    pub partial_tail: bool,
    /// When a block can be hit.
    pub visible: Visible,
    /// What happens to the full blocks of generated tokens that no later prompt can name.
    pub generated: Generated,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { enabled: true, partial_tail: false, visible: Visible::Computed, generated: Generated::Free }
    }
}

/// When a block can be hit by another request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Visible {
    /// Once the step that computes it has ended.
    #[default]
    Computed,
    /// As soon as it is scheduled, as vLLM does; a later request of the same step can hit it.
    Scheduled,
}

/// What happens at the end to generated blocks without identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Generated {
    /// They are free at once.
    #[default]
    Free,
    /// Full ones take room in the cache until they are evicted, as in vLLM, though nothing can hit them.
    Keep,
}

/// Whether decodes share a step with prefill chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mixing {
    /// Every step decodes all running sequences and fills the rest of the budget with prefill chunks (vLLM v1).
    #[default]
    DecodeFirst,
    /// A step that can prefill anything does nothing else; decodes wait (vLLM v0 and older engines).
    PrefillFirst,
}

/// Which waiting request is admitted next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// First come, first served; preempted requests first.
    #[default]
    Fcfs,
    /// The longest cached prefix (in tokens, at the time of the step) first, then first come; preempted requests first.
    LongestPrefix,
    /// Preble's queues by cached share, none of which starves; preempted requests first. Waiting requests fall into
    /// groups by the cached share of their prompt: group g of n from g/n (not included) to (g+1)/n. A step visits one
    /// group, the next lower one that is not empty after that of the last admission, round robin, and admits at most
    /// `(g + 1) * per_visit` of it, first come, first served.
    Preble {
        /// How many groups; 10 in Preble.
        groups: u32,
        /// How many requests of the lowest group a visit admits; 10 in Preble.
        per_visit: u32,
    },
}

/// How time advances. Both give the same results to the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stepping {
    /// Runs of decode steps over an unchanged batch are computed in closed form.
    #[default]
    Macro,
    /// One step at a time.
    Every,
}

/// A whole run.
#[derive(Clone)]
pub struct ClusterConfig {
    /// All instances that ever serve, by id.
    pub instances: Vec<InstanceConfig>,
    /// The seed of every random stream.
    pub seed: u64,
    /// How time advances.
    pub stepping: Stepping,
    /// The TTFT objective, for attainment and for schedulers that use one.
    pub slo_ttft: Option<SimTime>,
    /// Whether to keep all measurements by 10 s window.
    pub series: bool,
    /// What the router can see, and how old it is.
    pub signals: SignalsConfig,
    /// What routing costs.
    pub router: RouterConfig,
    /// The links over which cached prefixes can be copied between instances, if there are any.
    pub transfer: Option<TransferConfig>,
    /// Memory behind the caches, if there is any.
    pub tier: Option<TierConfig>,
    /// Whether every decision is written down.
    pub decisions: DecisionLog,
    /// How the cluster changes while it serves.
    pub dynamics: Dynamics,
    /// Clients that do not wait for ever, if that is so.
    pub clients: Option<Clients>,
    /// Who stands before the router, one behind the other.
    pub admission: Vec<AdmissionConfig>,
}

impl ClusterConfig {
    /// These instances with everything else as simple as can be: fresh signals, a router that costs nothing.
    pub fn new(instances: Vec<InstanceConfig>) -> Self {
        Self {
            instances,
            seed: 0,
            stepping: Stepping::default(),
            slo_ttft: None,
            series: false,
            signals: SignalsConfig::default(),
            router: RouterConfig::default(),
            transfer: None,
            tier: None,
            decisions: DecisionLog::default(),
            dynamics: Dynamics::default(),
            clients: None,
            admission: Vec::new(),
        }
    }
}

/// What routing costs. The default is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterConfig {
    /// How long the router works on an arriving request. It looks at the cluster and commits itself at the beginning of
    /// this time, and the request leaves at the end of it.
    pub decision: SimTime,
    /// Whether it works on one request at a time; otherwise on any number at once.
    pub serial: bool,
    /// How long a request is on its way to an instance. Migrated requests travel as well.
    pub network: SimTime,
    /// How many routers share the requests, each with a scheduler and books of its own.
    pub replicas: u32,
    /// At whole multiples of this they learn what the others have sent; never at zero.
    pub sync: SimTime,
    /// Which request comes to which.
    pub split: Split,
}

impl Default for RouterConfig {
    fn default() -> Self {
        let time = SimTime::ZERO;
        Self { decision: time, serial: false, network: time, replicas: 1, sync: time, split: Split::default() }
    }
}

/// How requests come to the replicas of a router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// In turn.
    #[default]
    RoundRobin,
    /// By session, at random; a request without one on its own.
    Hash,
}

/// Links between instances. Each instance has one in either direction; transfers over a link follow one another in the
/// order of deciding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferConfig {
    /// Of each instance, by id.
    pub links: Vec<Link>,
    /// Whether a prefill can begin before what it builds on has come in whole, as it can layer by layer: the request
    /// then joins the queue so early that its prefill, alone on the instance, would end no sooner than the transfer.
    pub overlapped: bool,
}

/// The link of an instance to all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Picoseconds for the KV of one token; the slower of two ends counts.
    pub ps_per_token: u64,
    /// Time until the first byte arrives, which does not keep the link busy; the longer of two ends counts.
    pub latency: SimTime,
}

/// Memory behind the instances' caches, where blocks go and whence they come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierConfig {
    /// KV blocks: of each instance, or of the pool.
    pub blocks: u64,
    /// One pool for all instances, which must then have blocks of one size; otherwise each instance has its own.
    pub shared: bool,
    /// The link of an instance to its tier, for reading; writing happens in the background.
    pub link: Link,
    /// Picoseconds for the KV of one token that the pool as a whole needs, for all its readers one after the other; 0
    /// when only the instances' own links count.
    pub pool_ps_per_token: u64,
    /// When blocks are written.
    pub write: WritePolicy,
    /// What becomes of the tier's copy of what is read.
    pub promotion: Promotion,
    /// Whether reading begins when a request joins the queue of an instance, into memory that is counted nowhere;
    /// otherwise when it is admitted.
    pub prefetch: bool,
    /// Whether a prefill can run while what it builds on comes in, as it can layer by layer.
    pub overlapped: bool,
    /// What the memory of an instance outlives. A pool outlives all.
    pub survives: Survives,
}

/// What the memory behind the cache of an instance outlives. An instance that leaves for good always takes it along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Survives {
    /// It goes with the instance, as memory of its process does.
    #[default]
    Nothing,
    /// Restarts, as memory of a process beside it does that is stopped in order.
    Restart,
    /// Failures that are repaired, too.
    Failure,
}

/// When blocks are written to a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WritePolicy {
    /// When they are evicted from the cache.
    #[default]
    Back,
    /// As soon as they are in the cache.
    Through,
}

/// What becomes of a tier's copy of what is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Promotion {
    /// It stays, as the one used last.
    #[default]
    Copy,
    /// It goes.
    Move,
}

/// Whether every decision is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecisionLog {
    /// No.
    #[default]
    Off,
    /// Yes.
    On,
    /// Yes, and for each one every instance is tried on the true state, to know what would have been best. Slow.
    Regret,
}

/// What the router can see, and how old it is. The default is all there is, fresh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignalsConfig {
    /// How the router learns what is cached where.
    pub prefix: PrefixSignal,
    /// Whether engines report snapshots, and totals over what they have completed.
    pub snapshots: bool,
    /// How snapshots get to the router. When they are not sent at intervals, one is taken whenever somebody looks.
    pub load: Lag,
    /// How first tokens and ends get to the router's books and to the scheduler.
    pub feedback: Lag,
    /// How long after its time the router takes a lost end for granted.
    pub feedback_timeout: SimTime,
    /// Whether there is a latency predictor.
    pub latency: bool,
    /// How wrong it is.
    pub prediction: PredictionError,
    /// Whether the router can see the requests that wait at an instance.
    pub queues: bool,
    /// Whether policies that no router could run are let in.
    pub oracle: bool,
}

impl Default for SignalsConfig {
    fn default() -> Self {
        Self {
            prefix: PrefixSignal::default(),
            snapshots: true,
            load: Lag::default(),
            feedback: Lag::default(),
            feedback_timeout: SimTime::ZERO,
            latency: true,
            prediction: PredictionError::default(),
            queues: true,
            oracle: true,
        }
    }
}

/// How the router learns what is cached where.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum PrefixSignal {
    /// It knows the true caches.
    #[default]
    Oracle,
    /// Engines report what changed since their last report, all changes of an instant together.
    Events {
        /// How reports get to the router. They arrive in the order of sending: one that is late holds up those after it.
        lag: Lag,
    },
    /// It guesses from where it sent what: a prompt is believed cached where it went.
    Shadow {
        /// Of each instance, the most recently sent tokens are remembered, up to this many; `None`: all.
        capacity_tokens: Option<u64>,
        /// What was not sent again for this long is forgotten.
        ttl: Option<SimTime>,
    },
    /// It knows nothing.
    Off,
}

/// A scheduler reads signals that are off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scheduler `{scheduler}` reads signals that are off: {}", signals.join(", "))]
pub struct SignalsOff {
    /// Its name.
    pub scheduler: &'static str,
    /// What it reads and cannot have.
    pub signals: Vec<&'static str>,
}

impl SignalsConfig {
    /// The signals that are on.
    pub fn offered(&self) -> Signals {
        let Self { prefix, snapshots, latency, queues, oracle, .. } = *self;
        Signals { snapshots, history: snapshots, prefix: prefix != PrefixSignal::Off, latency, queues, oracle }
    }

    /// Whether what the router believes cached can differ from what is.
    pub(crate) fn can_be_wrong(&self) -> bool {
        matches!(self.prefix, PrefixSignal::Events { .. } | PrefixSignal::Shadow { .. })
    }

    /// Refuses a scheduler that reads what is off.
    pub fn check(&self, def: &SchedulerDef) -> Result<(), SignalsOff> {
        self.check_reader(def.name, def.signals)
    }

    /// Refuses whoever reads what is off.
    pub fn check_reader(&self, scheduler: &'static str, reads: Signals) -> Result<(), SignalsOff> {
        let offered = self.offered().names();
        let signals: Vec<_> = reads.names().into_iter().filter(|name| !offered.contains(name)).collect();
        if signals.is_empty() { Ok(()) } else { Err(SignalsOff { scheduler, signals }) }
    }
}
