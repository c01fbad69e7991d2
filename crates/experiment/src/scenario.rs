//! One simulation, as written: everything that can change a number, and nothing else.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trimtab_engine::cost::WeightType;
use trimtab_engine::{CacheConfig, Mixing, Promotion, Split, Survives, WritePolicy};
use trimtab_workload::{ArrivalSpec, ZeroOutput};

pub use crate::admission::Admission;
pub use crate::dynamics::{Autoscaler, Clients, Dynamics, Event, Group};
pub use crate::signals::{Events, Feedback, Prefix, Signals, Travel};
pub use crate::step_cost::Cost;

/// One simulation. A sweep is many of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Seed of every random stream.
    pub seed: u64,
    /// The instances.
    pub cluster: Cluster,
    /// The requests.
    pub workload: Workload,
    /// Who routes them.
    pub scheduler: Scheduler,
    /// What the router can see.
    pub signals: Signals,
    /// What routing costs.
    pub router: Router,
    /// The links over which cached prefixes can be copied, if there are any.
    pub transfer: Option<Transfer>,
    /// How the cluster changes.
    #[serde(skip_serializing_if = "Dynamics::is_default")]
    pub dynamics: Dynamics,
    /// What happens to the cluster, and when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub event: Vec<Event>,
    /// Who adds and removes instances, if anybody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaler: Option<Autoscaler>,
    /// Clients that do not wait for ever; without, they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<Clients>,
    /// Who stands before the router, one behind the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub admission: Vec<Admission>,
    /// What counts as good.
    pub slo: Slo,
    /// The first requests, left out of the statistics.
    pub warmup_requests: u32,
    /// Requests that arrive in the first this many seconds after the first one, left out of the statistics too.
    pub warmup_s: Option<f64>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            cluster: Cluster::default(),
            workload: Workload::default(),
            scheduler: Scheduler::default(),
            signals: Signals::default(),
            router: Router::default(),
            transfer: None,
            dynamics: Dynamics::default(),
            event: Vec::new(),
            autoscaler: None,
            clients: None,
            admission: Vec::new(),
            slo: Slo::default(),
            warmup_requests: 0,
            warmup_s: None,
        }
    }
}

/// The instances: equal ones, or groups of equal ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// How many.
    pub instances: u32,
    /// Model, by catalogue name or path.
    pub model: String,
    /// Hardware, by catalogue name or path.
    pub hardware: String,
    /// Tensor-parallel degree.
    pub tp: u32,
    /// Storage type of the weights instead of the model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightType>,
    /// KV cache of an instance in tokens; derived from model and hardware when absent.
    pub kv_tokens: Option<u64>,
    /// Share of the card's memory that the server may use, for the derived KV cache.
    pub memory_share: f64,
    /// Tokens of a KV block.
    pub block_tokens: u32,
    /// Token budget of a step.
    pub max_batched_tokens: u32,
    /// Sequence limit of a step.
    pub max_seqs: u32,
    /// Whether decodes share steps with prefill chunks.
    pub mixing: Mixing,
    /// Which waiting request is admitted next.
    pub order: Order,
    /// Share of the KV blocks that admission leaves free.
    pub watermark: f64,
    /// Which cached block goes first: an eviction policy by name.
    pub eviction: String,
    /// The parameters of the eviction policy; the rest have their defaults.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub eviction_params: Value,
    /// The prefix cache.
    pub cache: CacheConfig,
    /// Host memory behind the cache of each instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Tier>,
    /// One pool of memory behind the caches of all instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Tier>,
    /// How long a step takes.
    pub cost: Cost,
    /// Groups of instances, in the order of their ids; `instances` does not count then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<Group>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            instances: 8,
            model: "qwen2.5-7b".into(),
            hardware: "h100".into(),
            tp: 1,
            weights: None,
            kv_tokens: None,
            memory_share: 0.9,
            block_tokens: 16,
            max_batched_tokens: 8192,
            max_seqs: 256,
            mixing: Mixing::default(),
            order: Order::default(),
            watermark: 0.0,
            eviction: "lru".into(),
            eviction_params: Value::Null,
            cache: CacheConfig::default(),
            host: None,
            pool: None,
            cost: Cost::default(),
            group: Vec::new(),
        }
    }
}

/// Memory behind the caches: where evicted blocks go and whence they come back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// How many tokens it holds: for each instance, or the whole pool.
    pub capacity_tokens: u64,
    /// Gigabytes (10^9) a second that an instance reads; writing is in the background.
    pub bandwidth_gb_s: f64,
    /// Time until the first byte arrives.
    #[serde(default)]
    pub latency_us: f64,
    /// Of a pool: gigabytes a second that all instances read together; no limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bandwidth_gb_s: Option<f64>,
    /// When blocks are written: when they are evicted, or as soon as they are cached.
    #[serde(default)]
    pub write: WritePolicy,
    /// Whether what is read stays or goes.
    #[serde(default)]
    pub promotion: Promotion,
    /// Whether reading begins when a request joins the queue of its instance.
    #[serde(default)]
    pub prefetch: bool,
    /// Whether prefill and reading overlap, layer by layer.
    #[serde(default)]
    pub overlapped: bool,
    /// What host memory outlives: nothing, restarts of its instance, or its failures, too. A pool outlives all.
    #[serde(default)]
    pub survives: Survives,
    /// Bytes of KV of a token, all cards of an instance together; the model's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_bytes_per_token: Option<f64>,
}

/// Which waiting request is admitted next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// First come, first served.
    #[default]
    Fcfs,
    /// The longest cached prefix first.
    LongestPrefix,
    /// Preble's ten groups by cached share, visited in turn: 100, 90, ..., 10 requests of each.
    Preble,
}

/// The requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// A trace file.
    pub trace: Option<PathBuf>,
    /// SHA-256 of the trace file as it lies on disk; another file is refused.
    pub sha256: Option<String>,
    /// Its format, when it should not be sniffed.
    pub format: Option<String>,
    /// Tokens of one of its block ids, when they are not those of its format.
    pub trace_block: Option<u32>,
    /// What becomes of its requests without output.
    pub zero_output: ZeroOutput,
    /// Its faulty rows are skipped and counted; otherwise the first one stops the reading.
    pub lenient: bool,
    /// The share of its rows that may be skipped; 0.01 unless said.
    pub max_dropped: Option<f64>,
    /// Times that decrease are refused; otherwise its rows are sorted.
    pub strict_order: bool,
    /// A generator, by name.
    pub kind: Option<String>,
    /// The generator's parameters.
    pub params: Value,
    /// Who sends what the generator makes.
    pub tenants: Option<Tenants>,
    /// The first this many requests.
    pub limit: Option<u64>,
    /// Where in the trace to begin, in seconds of its own clock; that becomes time 0.
    pub start_s: Option<f64>,
    /// How many seconds of the trace, or of what the generator makes.
    pub duration_s: Option<f64>,
    /// Prompts are cut to this many tokens, keeping the head.
    pub max_input_tokens: Option<u32>,
    /// Rescales the arrival clock to this many requests per second.
    pub rate: Option<f64>,
    /// Divides arrival times by this.
    pub speedup: Option<f64>,
    /// Replaces the arrival times of a trace: its sessions, and requests without one, arrive by this process, at `rate` or
    /// the trace's own. A generator has a parameter of this name.
    pub arrivals: Option<ArrivalSpec>,
    /// Moves every arrival of a trace by up to this many seconds, drawn by the seed: spreads the ticks of coarse clocks.
    pub jitter_s: Option<f64>,
    /// Spreads arrivals of a trace that share a time up to its next time, drawn by the seed.
    pub jitter_ticks: bool,
    /// Keeps each session of a trace (each request, where there are none) with this probability, drawn by the seed. A
    /// subsample and not a bootstrap: a session drawn twice would find its twin's prompts cached.
    pub keep_sessions: Option<f64>,
    /// What a request waits for.
    pub r#loop: Loop,
    /// In a spec: a trace that is replayed in place of the generator where it is at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub real: Option<Real>,
}

/// The trace that a generator stands for. It takes the generator's place when the folder that the environment variable
/// `TRIMTAB_TRACES` names has a file of this name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Real {
    /// Name of the file.
    pub trace: PathBuf,
    /// Its SHA-256; another file is refused.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Moves every arrival by up to this many seconds, drawn by the seed.
    #[serde(default)]
    pub jitter_s: Option<f64>,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Loop {
    /// For nothing: it comes at its own time, whatever becomes of earlier ones.
    #[default]
    Open,
    /// For the end of the turn before it and some thinking; it never comes before its own time.
    Sessions {
        /// Seconds of thinking, where the workload does not say them.
        #[serde(default)]
        think_s: f64,
    },
    /// For a user: so many run one session after another, one request at a time. The times of the workload do not count.
    Users {
        /// How many.
        count: u32,
        /// Seconds of thinking, where the workload does not say them.
        #[serde(default)]
        think_s: f64,
    },
}

/// Tenants with unequal rates: the r-th sends in proportion to r^-skew.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenants {
    /// How many.
    pub count: u16,
    /// 0 for equal rates.
    #[serde(default)]
    pub skew: f64,
}

/// Who routes the requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scheduler {
    /// By name.
    pub kind: String,
    /// Its parameters; the rest have their defaults.
    pub params: Value,
}

impl Default for Scheduler {
    fn default() -> Self {
        Self { kind: "round-robin".into(), params: Value::Object(serde_json::Map::new()) }
    }
}

/// What routing costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Router {
    /// How long the router works on an arriving request.
    pub decision_us: f64,
    /// Whether it works on one request at a time.
    pub serial: bool,
    /// How long a request is on its way to an instance.
    pub network_us: f64,
    /// How many routers share the requests, each with a scheduler and books of its own; one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// How often they learn what the others have sent; never when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_s: Option<f64>,
    /// Which request comes to which: in turn, or by session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

/// Equal links of all instances, one for sending and one for receiving.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Gigabytes (10^9) a second.
    pub bandwidth_gb_s: f64,
    /// Time until the first byte arrives.
    #[serde(default)]
    pub latency_us: f64,
    /// Whether prefill and transfer overlap, layer by layer.
    #[serde(default)]
    pub overlapped: bool,
    /// Bytes of KV of a token, all cards of an instance together; the model's own when absent.
    #[serde(default)]
    pub kv_bytes_per_token: Option<f64>,
}

/// What counts as good service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slo {
    /// Longest time to first token.
    pub ttft_s: Option<f64>,
    /// Longest mean time per output token.
    pub tpot_s: Option<f64>,
    /// Longest time from arrival to end.
    pub e2e_s: Option<f64>,
    /// Objectives of single priority classes. Schedulers are told the ordinary ones alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<ClassSlo>,
}

/// What counts as good service for requests of one priority; what is left out is as for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassSlo {
    /// The priority; higher is more urgent, 0 is ordinary.
    pub priority: i16,
    /// Longest time to first token.
    #[serde(default)]
    pub ttft_s: Option<f64>,
    /// Longest mean time per output token.
    #[serde(default)]
    pub tpot_s: Option<f64>,
    /// Longest time from arrival to end.
    #[serde(default)]
    pub e2e_s: Option<f64>,
}
