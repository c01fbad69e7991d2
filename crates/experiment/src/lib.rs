//! From a written spec to results: scenarios, the catalogue of models and hardware, runs and their statistics.

pub mod build;
pub mod calibrate;
pub mod catalog;
pub mod metrics;
pub mod scenario;
pub mod simulate;
pub mod table_profile;
