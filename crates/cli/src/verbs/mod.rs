//! One file per verb.

use serde_json::Value;

use crate::exit::Failure;

pub(crate) mod cache;
pub(crate) mod calibrate;
pub(crate) mod capacity;
pub(crate) mod check;
mod chosen;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod experiment;
pub(crate) mod explain;
mod flags;
pub(crate) mod fuzz;
mod keys;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod merge;
mod output;
pub(crate) mod plot;
pub(crate) mod render;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod sweep;
mod tables;
pub(crate) mod timeline;
pub(crate) mod trace;
mod watch;

/// `key=value` pairs as a JSON object; a value that is not JSON is a string.
pub(crate) fn pairs(flag: &str, pairs: &[String]) -> Result<Value, Failure> {
    let mut object = serde_json::Map::new();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Failure::usage(format!("{flag} `{pair}`: expected KEY=VALUE")));
        };
        object.insert(key.into(), serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into())));
    }
    Ok(Value::Object(object))
}
