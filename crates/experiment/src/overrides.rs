//! Values set from the command line: dotted paths of a scenario or a spec.

use serde_json::Value as Json;

use crate::scenario::Scenario;
use crate::spec::SpecError;
use crate::tree::{Entry, Fault, Node, Value};

/// A value to be set.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// What the user wrote, for messages.
    pub origin: String,
    /// The dotted path.
    pub path: String,
    /// The value as written.
    pub text: String,
    /// Whether it is text, whatever it looks like.
    pub is_text: bool,
}

impl Override {
    /// From `dotted.path=value`; `origin` is the name of the flag.
    pub fn parse(flag: &str, pair: &str) -> Result<Self, SpecError> {
        let origin = format!("{flag} {pair}");
        match pair.split_once('=') {
            Some((path, text)) => {
                Ok(Self { origin, path: path.trim().to_owned(), text: text.to_owned(), is_text: false })
            }
            None => Err(SpecError::flag(origin, "expected `dotted.path=value`".to_owned())),
        }
    }

    /// The value: TOML, JSON or a number; text if it is none of these.
    fn node(&self) -> Node {
        let text = || Node { at: None, value: Value::Text(self.text.clone()) };
        if self.is_text {
            return text();
        }
        let toml = Node::parse(&format!("v = {}", self.text)).ok().and_then(|mut table| table.take("v"));
        if let Some(entry) = toml {
            return entry.node;
        }
        if let Ok(json) = serde_json::from_str::<Json>(&self.text) {
            return from_json(&json);
        }
        self.text.parse().map_or_else(|_| text(), |number| Node { at: None, value: Value::Float(number) })
    }
}

/// Sets values of a document, those of the command line without a place in the file.
pub(crate) fn apply(root: &mut Node, overrides: &[Override]) -> Result<(), SpecError> {
    for one in overrides {
        let mut node = one.node();
        node.place(None);
        root.set(&one.path, None, node).map_err(|fault| SpecError::flag(one.origin.clone(), fault.message))?;
    }
    Ok(())
}

/// A scenario with some values set. Naming another scheduler or generator drops the parameters of the former one.
pub fn overridden(base: &Scenario, overrides: &[Override]) -> Result<Scenario, SpecError> {
    let mut base = base.clone();
    if overrides.is_empty() {
        return Ok(base);
    }
    let named = |path: &str, known: &str| overrides.iter().any(|one| one.path == path && one.text != known);
    if named("scheduler.kind", &base.scheduler.kind) {
        base.scheduler.params = Json::Null;
    }
    if named("workload.kind", base.workload.kind.as_deref().unwrap_or_default()) {
        base.workload.params = Json::Null;
    }
    let mut root = from_json(&serde_json::to_value(&base).expect("a scenario is plain data"));
    let fail = |index: usize, fault: Fault| SpecError::flag(overrides[index].origin.clone(), fault.message);
    for (index, one) in overrides.iter().enumerate() {
        // The number of the override stands for the place of the value, so that a fault finds its way back to it.
        let mut node = one.node();
        node.place(Some(index));
        root.set(&one.path, Some(index), node).map_err(|fault| fail(index, fault))?;
    }
    root.read().map_err(|fault| match fault.at.flatten() {
        Some(index) => fail(index, fault),
        None => SpecError::flag("command line".to_owned(), fault.message),
    })
}

/// What is missing in JSON is missing in TOML too.
fn from_json(json: &Json) -> Node {
    let value = match json {
        Json::Null => Value::Table(Vec::new()),
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::Array(items.iter().map(from_json).collect()),
        Json::Object(map) => {
            let entry = |(key, value): (&String, &Json)| Entry { key: key.clone(), at: None, node: from_json(value) };
            Value::Table(map.iter().filter(|(_, value)| !value.is_null()).map(entry).collect())
        }
    };
    Node { at: None, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_look_like() {
        for (text, expected) in [
            ("3", Value::Int(3)),
            ("1_000", Value::Int(1000)),
            ("0.5", Value::Float(0.5)),
            ("true", Value::Bool(true)),
            ("h100", Value::Text("h100".into())),
            ("\"3\"", Value::Text("3".into())),
            ("NaN x", Value::Text("NaN x".into())),
        ] {
            let one = Override::parse("--set", &format!("a={text}")).unwrap();
            assert_eq!(one.node().value, expected, "{text}");
        }
        let table = |text: &str| Override::parse("--set", &format!("a={text}")).unwrap().node().to_json();
        assert_eq!(table("{low = 1, high = [2]}"), table("{\"low\": 1, \"high\": [2]}"));
    }

    #[test]
    fn scenarios_are_overridden_or_the_flag_is_named() {
        let set = |pairs: &[&str]| {
            let overrides: Vec<_> = pairs.iter().map(|pair| Override::parse("--set", pair).unwrap()).collect();
            overridden(&Scenario::default(), &overrides)
        };
        let found = set(&["cluster.instances=3", "transfer.latency_us=5", "transfer.bandwidth_gb_s=10"]).unwrap();
        assert_eq!((found.cluster.instances, found.transfer.unwrap().bandwidth_gb_s), (3, 10.0));
        let same = set(&[]).unwrap();
        assert_eq!(same, Scenario { workload: same.workload.clone(), ..Scenario::default() });
        for (pair, message) in [
            ("signals.refresh=3", "unknown key `refresh`; did you mean `refresh_ms`?"),
            ("signls.refresh_ms=3", "unknown key `signls`; did you mean `signals`?"),
            ("signals.refresh_ms=soon", "invalid type"),
            ("cluster.mixing=decode-frist", "did you mean `decode-first`?"),
            ("seed.x=1", "no table"),
        ] {
            let error = set(&["seed=2", pair]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--set {pair}: ")) && error.contains(message), "{error}");
        }
    }
}
