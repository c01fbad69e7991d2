//! Tests of the workload crate through its public interface.

mod bad_input;
mod formats;
mod generators;
mod loops;
mod mooncake;
mod stats;
mod support;
