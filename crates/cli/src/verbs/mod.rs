//! One file per verb.

use serde_json::Value;

use crate::exit::Failure;

pub(crate) mod calibrate;
pub(crate) mod explain;
pub(crate) mod list;
pub(crate) mod plot;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod sweep;
pub(crate) mod trace;

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
