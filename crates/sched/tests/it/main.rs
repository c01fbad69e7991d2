//! The tests of the schedulers, against a cluster without engine.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing fails")]

mod classics;
mod conformance;
mod dualmap;
mod dynamo_kv;
mod learn;
mod mock;
mod mooncake;
mod production;
mod remap;
mod replay;
mod sglang;
