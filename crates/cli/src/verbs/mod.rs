//! One file per verb.

pub(crate) mod explain;
pub(crate) mod list;
pub(crate) mod run;
