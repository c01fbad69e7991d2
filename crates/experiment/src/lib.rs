//! From a written spec to results: scenarios, the catalogue of models and hardware, runs and their statistics;
//! experiments of many cells, capacity searches and what they leave on disk.

pub mod build;
pub mod calibrate;
pub mod capacity;
pub mod catalog;
pub mod diagnose;
pub mod diff;
pub mod estimate;
pub mod explain;
pub mod metrics;
pub mod overrides;
pub mod plan;
pub mod results;
pub mod rows;
pub mod scenario;
pub mod simulate;
pub mod spec;
pub mod stats;
mod step_cost;
pub mod summary;
pub mod sweep;
pub mod table_profile;
pub mod traces;
mod tree;
mod warn;
