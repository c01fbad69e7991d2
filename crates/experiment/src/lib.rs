//! From a written spec to results.

pub mod catalog;
