//! Trace readers, workload generators and arrival processes.
