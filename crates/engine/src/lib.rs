//! The trimtab engine: an exact discrete-event simulation of a cluster of LLM serving instances.
//!
//! Start at [`run`]: it takes a cluster, a scheduler and a workload, and returns one row per request and the totals per
//! instance. `cluster` holds the event loop, `instance` the life of a step, `cache` the KV blocks, `macro_step` the closed form
//! of many decode steps.
//!
//! Architecture invariant: no IO, no wall clock, no unseeded randomness; time is whole picoseconds.

mod admission;
mod beliefs;
mod cache;
mod channel;
mod cluster;
mod config;
pub mod cost;
mod decisions;
mod dynamics;
mod eviction;
mod index;
mod instance;
mod links;
mod macro_step;
mod meter;
mod record;
mod replay;
mod reports;
mod router;
mod seq;
mod tier;
pub mod timeline;
mod trial;

pub use admission::{AdmissionConfig, AdmissionRecord};
pub use channel::Lag;
pub use cluster::{build_context, prefill_tokens_per_s, run, run_replicas, run_timeline, try_run};
pub use config::{
    CacheConfig, ClusterConfig, DecisionLog, Generated, InstanceConfig, Link, Mixing, Order, PrefixSignal, Promotion,
    RouterConfig, SignalsConfig, SignalsOff, Split, Stepping, Survives, TierConfig, TransferConfig, Visible,
    WritePolicy,
};
pub use decisions::{Decided, DecisionRow, Regret};
pub use dynamics::{Change, Clients, Dynamics, Faults, FleetEvent, FleetRecord, Happened, Recovery, Scaling};
pub use eviction::{
    CacheContext, Eviction, EvictionConfig, EvictionDef, Fork, Future, Order as EvictionOrder, Run, Use, User,
    evictions,
};
pub use meter::{Integrals, WINDOW};
pub use record::{BeliefSample, InstanceTotals, Outcome, Row, RunResult};
pub use replay::{CacheHits, replay_cache};
