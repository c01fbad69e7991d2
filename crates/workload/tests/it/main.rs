//! Tests of the workload crate through its public interface.

mod bad_input;
mod canonical;
mod formats;
mod generators;
mod loops;
mod mooncake;
mod mutation;
mod stats;
mod support;
mod workload_table;
