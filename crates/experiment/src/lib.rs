//! From a written spec to results.
