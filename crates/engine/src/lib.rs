//! The trimtab engine: an exact discrete-event simulation of a cluster of LLM serving instances.
//!
//! Architecture invariant: no IO, no wall clock, no unseeded randomness; time is whole picoseconds.

pub mod cost;
