//! Experiments from their spec to their files.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod autoscalers;
mod capacity;
mod changes;
mod clock;
mod golden;
mod merge;
mod mixed;
mod robust;
mod shipped;
mod spec;
mod support;
mod swarm;
mod sweep;
mod tiers;
mod workload;
