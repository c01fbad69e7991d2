//! The trimtab engine: an exact discrete-event simulation of a cluster of LLM serving instances.
//!
//! Start at [`run`]: it takes a cluster, a scheduler and a workload, and returns one row per request and the totals per
//! instance. `cluster` holds the event loop, `instance` the life of a step, `cache` the KV blocks, `run` the closed form
//! of many decode steps.
//!
//! Architecture invariant: no IO, no wall clock, no unseeded randomness; time is whole picoseconds.

mod cache;
mod cluster;
mod config;
pub mod cost;
mod instance;
mod meter;
mod record;
mod router;
mod run;
mod seq;

pub use cluster::{build_context, run};
pub use config::{CacheConfig, ClusterConfig, Generated, InstanceConfig, Mixing, Order, Stepping, Visible};
pub use meter::{Integrals, WINDOW};
pub use record::{InstanceTotals, Outcome, Row, RunResult};
