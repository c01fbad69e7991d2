//! How a generator is described and built from its parameters.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use trimtab_core::nearest_name;

use super::{Built, Setup};
use crate::arrivals::ArrivalSpec;
use crate::law::Law;

/// A generator.
pub struct WorkloadDef {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Where its laws come from.
    pub citation: &'static str,
    /// Its parameters.
    pub params: fn() -> Vec<ParamDoc>,
    pub(crate) build: fn(&Value, &mut Setup) -> Result<Built, ParamError>,
}

impl fmt::Debug for WorkloadDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadDef").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One parameter of a generator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParamDoc {
    /// Its name.
    pub name: &'static str,
    /// Its default.
    pub default: Value,
    /// What it means.
    pub meaning: &'static str,
}

/// Parameters that no workload can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParamError(pub String);

/// Documents a parameter struct, whose fields must each be named once.
pub(crate) fn docs<P: Default + Serialize>(meanings: &[(&'static str, &'static str)]) -> Vec<ParamDoc> {
    docs_of(&P::default(), meanings)
}

/// The same, with other defaults.
pub(crate) fn docs_of<P: Serialize>(defaults: &P, meanings: &[(&'static str, &'static str)]) -> Vec<ParamDoc> {
    let defaults = serde_json::to_value(defaults).expect("parameters are plain data");
    let known = defaults.as_object().map_or(0, serde_json::Map::len);
    assert_eq!(known, meanings.len(), "every parameter is documented once");
    let doc = |&(name, meaning): &(&'static str, &'static str)| {
        let default = defaults.get(name).unwrap_or_else(|| panic!("there is no parameter `{name}`")).clone();
        ParamDoc { name, default, meaning }
    };
    meanings.iter().map(doc).collect()
}

/// Reads typed parameters, defaults for those left out. An unknown name is refused with the nearest known one.
pub(crate) fn typed<P: Default + Serialize + DeserializeOwned>(params: &Value) -> Result<P, ParamError> {
    typed_over(P::default(), params)
}

/// The same, with other defaults.
pub(crate) fn typed_over<P: Serialize + DeserializeOwned>(defaults: P, params: &Value) -> Result<P, ParamError> {
    let Ok(Value::Object(mut whole)) = serde_json::to_value(&defaults) else { unreachable!("parameters are a struct") };
    let given = match params {
        Value::Null => return Ok(defaults),
        Value::Object(given) => given,
        other => return Err(ParamError(format!("parameters are names with values, not `{other}`"))),
    };
    for (name, value) in given {
        if !whole.contains_key(name) {
            let known: Vec<&str> = whole.keys().map(String::as_str).collect();
            return Err(ParamError(match nearest_name(name, known.iter().copied()) {
                Some(near) => format!("unknown parameter `{name}`, did you mean `{near}`?"),
                None => format!("unknown parameter `{name}`\nhint: one of {}", known.join(", ")),
            }));
        }
        whole.insert(name.clone(), value.clone());
        serde_json::from_value::<P>(Value::Object(whole.clone()))
            .map_err(|error| ParamError(format!("parameter `{name}`: {error}")))?;
    }
    serde_json::from_value(Value::Object(whole)).map_err(|error| ParamError(error.to_string()))
}

/// Refuses a parameter whose value makes no sense.
pub(crate) fn require(ok: bool, name: &str, rule: &str) -> Result<(), ParamError> {
    if ok { Ok(()) } else { Err(ParamError(format!("parameter `{name}` must be {rule}"))) }
}

/// Refuses a law that cannot be drawn from.
pub(crate) fn require_law(law: &Law, name: &str) -> Result<(), ParamError> {
    require(law.is_sound(), name, "a law with sound numbers, such as {\"lognormal\": [median, sigma]}")
}

/// Refuses an arrival process that makes no sense.
pub(crate) fn require_arrivals(spec: &ArrivalSpec) -> Result<(), ParamError> {
    spec.fault().map_or(Ok(()), |rule| Err(ParamError(format!("parameter `arrivals`: {rule}"))))
}
