//! Tests of the workload crate through its public interface.

mod bad_input;
mod mooncake;
mod support;
