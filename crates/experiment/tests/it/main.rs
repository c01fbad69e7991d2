//! Experiments from their spec to their files.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod capacity;
mod spec;
mod support;
mod sweep;
