//! One file per verb.

pub(crate) mod calibrate;
pub(crate) mod explain;
pub(crate) mod list;
pub(crate) mod run;
pub(crate) mod sweep;
pub(crate) mod trace;
