//! Typed parameters of policies and generators, given as JSON objects.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::nearest::nearest_name;

/// Parameters that nothing can be built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamError(pub String);

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParamError {}

/// For each parameter of a struct, in the order of `meanings`, which must name every field once: name, default, meaning.
pub fn documented<P: Serialize>(
    defaults: &P,
    meanings: &[(&'static str, &'static str)],
) -> Vec<(&'static str, Value, &'static str)> {
    let defaults = serde_json::to_value(defaults).expect("parameters are plain data");
    let known = defaults.as_object().map_or(0, serde_json::Map::len);
    assert_eq!(known, meanings.len(), "every parameter is documented once");
    let default = |name: &str| defaults.get(name).unwrap_or_else(|| panic!("there is no parameter `{name}`")).clone();
    meanings.iter().map(|&(name, meaning)| (name, default(name), meaning)).collect()
}

/// Reads typed parameters, defaults for those left out. An unknown name is refused with the nearest known one.
pub fn typed<P: Default + Serialize + DeserializeOwned>(params: &Value) -> Result<P, ParamError> {
    typed_over(P::default(), params)
}

/// The same, with other defaults.
pub fn typed_over<P: Serialize + DeserializeOwned>(defaults: P, params: &Value) -> Result<P, ParamError> {
    let Ok(Value::Object(mut whole)) = serde_json::to_value(&defaults) else { unreachable!("parameters are a struct") };
    let given = match params {
        Value::Null => return Ok(defaults),
        Value::Object(given) => given,
        other => return Err(ParamError(format!("parameters are names with values, not `{other}`"))),
    };
    for (name, value) in given {
        if !whole.contains_key(name) {
            let known: Vec<&str> = whole.keys().map(String::as_str).collect();
            return Err(ParamError(unknown(name, &known)));
        }
        whole.insert(name.clone(), value.clone());
        serde_json::from_value::<P>(Value::Object(whole.clone()))
            .map_err(|error| ParamError(format!("parameter `{name}`: {}", in_words(&error.to_string()))))?;
    }
    serde_json::from_value(Value::Object(whole)).map_err(|error| ParamError(error.to_string()))
}

/// What a deserialiser says, with the types of the program in words.
fn in_words(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once("expected ") else { return message.to_owned() };
    let variant = expected.strip_prefix("tuple variant ").and_then(|rest| rest.split_once(" with "));
    let expected = match variant.and_then(|(_, rest)| rest.strip_suffix(" elements")) {
        Some(count) => format!("{count} values in brackets"),
        None => type_in_words(expected).to_owned(),
    };
    format!("{found}expected {expected}")
}

/// A type of the program, in words.
pub fn type_in_words(name: &str) -> &str {
    match name {
        "a sequence" => "a list: `[...]`, or a table for each entry under `[[...]]`",
        "u64" | "usize" => "a whole number that is not negative",
        "u32" => "a whole number that is not negative, at most 4294967295",
        "u16" => "a whole number that is not negative, at most 65535",
        "u8" => "a whole number that is not negative, at most 255",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        other if other.starts_with("struct ") => "a table of keys",
        other if other.starts_with("internally tagged enum ") => "a table with a `kind`",
        other => other,
    }
}

/// What was probably meant by an unknown key or value, or everything there is.
pub fn suggestion(wanted: &str, known: &[&str]) -> String {
    // A unit left out is the likeliest slip, and more edits than a typing error.
    let without_unit = known.iter().copied().find(|name| name.strip_prefix(wanted).is_some_and(|u| u.starts_with('_')));
    match without_unit.or_else(|| nearest_name(wanted, known.iter().copied())) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if known.is_empty() => "; nothing is known here".into(),
        None => format!("; known: {}", known.join(", ")),
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    match nearest_name(name, known.iter().copied()) {
        Some(near) => format!("unknown parameter `{name}`; did you mean `{near}`?"),
        None if known.is_empty() => format!("unknown parameter `{name}`: there are none here"),
        None => format!("unknown parameter `{name}`; known: {}", known.join(", ")),
    }
}

/// Refuses a parameter whose value makes no sense.
pub fn require(ok: bool, name: &str, rule: &str) -> Result<(), ParamError> {
    if ok { Ok(()) } else { Err(ParamError(format!("parameter `{name}` must be {rule}"))) }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Params {
        rate: f64,
        count: u32,
    }

    #[test]
    fn names_and_types_are_checked_one_by_one() {
        assert_eq!(typed(&json!({"count": 3})), Ok(Params { rate: 0.0, count: 3 }));
        assert_eq!(typed_over(Params { rate: 2.0, count: 1 }, &Value::Null), Ok(Params { rate: 2.0, count: 1 }));
        for (params, words) in [
            (json!({"ratee": 1}), "unknown parameter `ratee`; did you mean `rate`?"),
            (json!({"x": 1}), "unknown parameter `x`; known: count, rate"),
            (json!({"rate": 1, "count": -1}), "parameter `count`: invalid value"),
            (
                json!({"count": "a"}),
                "`count`: invalid type: string \"a\", expected a whole number that is not negative",
            ),
            (json!({"rate": []}), "expected a number"),
            (json!([1]), "names with values, not `[1]`"),
        ] {
            let error = typed::<Params>(&params).expect_err("refused").to_string();
            assert!(error.contains(words), "{params}: {error}");
        }
    }

    #[test]
    fn laws_that_lack_a_value_say_how_many_they_have() {
        let said = in_words("invalid length 1, expected tuple variant Law::Lognormal with 2 elements");
        assert_eq!(said, "invalid length 1, expected 2 values in brackets");
    }

    #[test]
    fn documentation_comes_with_the_defaults() {
        let docs = documented(&Params { rate: 2.0, count: 1 }, &[("count", "how many"), ("rate", "how fast")]);
        assert_eq!(docs, [("count", json!(1), "how many"), ("rate", json!(2.0), "how fast")]);
    }
}
