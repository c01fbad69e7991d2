//! The tests of the schedulers, against a cluster without engine.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing fails")]

mod conformance;
mod dualmap;
mod mock;
mod replay;
