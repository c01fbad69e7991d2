//! A TOML document that remembers where everything was written, so that every fault can be shown with its line.

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use trimtab_core::params::{suggestion, type_in_words};

/// Keys of a dotted path: many more than any value has above it, and few enough to go down one by one.
const DEEPEST: usize = 64;

/// A byte of the file; `None` for what came from a flag.
pub(crate) type At = Option<usize>;

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
}

/// A TOML value without dates.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Array(Vec<Node>),
    Table(Vec<Entry>),
}

/// One key of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: At,
    pub(crate) node: Node,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    /// Not yet known, or known to be a flag's, or a byte of the file.
    pub(crate) at: Option<At>,
    pub(crate) message: String,
    /// The unknown key, while its place is not known.
    key: Option<String>,
}

impl Fault {
    pub(crate) fn new(at: At, message: impl Into<String>) -> Self {
        Self { at: Some(at), message: message.into(), key: None }
    }

    fn or_at(mut self, at: At) -> Self {
        self.at.get_or_insert(at);
        self
    }

    /// An enum told apart by its `kind` buffers its table: the place of an unknown key is found again here.
    fn or_in(self, node: &Node) -> Self {
        let key = self.key.as_ref().and_then(|key| node.entries().iter().find(|e| e.key == *key));
        let at = key.map_or(node.at, |e| e.at);
        self.or_at(at)
    }
}

impl Node {
    pub(crate) fn table(entries: Vec<Entry>) -> Self {
        Self { at: None, value: Value::Table(entries) }
    }

    /// Reads a whole document.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let root = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let mut message = error.message().trim_end().to_owned();
            if let Some(key) = text.get(span.clone()).filter(|_| message == "duplicate key") {
                message = format!("`{key}` is there twice");
            }
            Fault::new(Some(span.start), message)
        })?;
        let at = root.span().start;
        Ok(Self { at: Some(at), value: table(root.into_inner())? })
    }

    /// Says of a value and all it holds where they were written.
    pub(crate) fn place(&mut self, at: At) {
        self.at = at;
        match &mut self.value {
            Value::Array(items) => items.iter_mut().for_each(|item| item.place(at)),
            Value::Table(entries) => {
                for entry in entries {
                    entry.at = at;
                    entry.node.place(at);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|e| e.key == key).map(|e| &e.node)
    }

    /// Takes a key out of a table.
    pub(crate) fn take(&mut self, key: &str) -> Option<Entry> {
        match &mut self.value {
            Value::Table(entries) => entries.iter().position(|e| e.key == key).map(|i| entries.remove(i)),
            _ => None,
        }
    }

    /// The entry at a dotted path, if it is there.
    pub(crate) fn find(&self, path: &str) -> Option<&Entry> {
        let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
        let entry = self.entries().iter().find(|e| e.key == key)?;
        rest.map_or(Some(entry), |rest| entry.node.find(rest))
    }

    /// Where the key at the end of a dotted path was written, or the nearest table above it.
    pub(crate) fn locate(&self, path: &str) -> At {
        let (mut node, mut at) = (self, self.at);
        for part in path.split('.') {
            match node.entries().iter().find(|e| e.key == part) {
                Some(entry) => (node, at) = (&entry.node, entry.at),
                None => break,
            }
        }
        at
    }

    /// Sets the value at a dotted path, making tables on the way.
    pub(crate) fn set(&mut self, path: &str, at: At, node: Node) -> Result<(), Fault> {
        let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
        if key.is_empty() || path.split('.').count() > DEEPEST {
            return Err(Fault::new(at, "not a dotted path of some keys"));
        }
        let Value::Table(entries) = &mut self.value else {
            return Err(Fault::new(at, format!("there is no table to hold `{key}`")));
        };
        let index = entries.iter().position(|e| e.key == key).unwrap_or_else(|| {
            entries.push(Entry { key: key.into(), at, node: Node { at, value: Value::Table(Vec::new()) } });
            entries.len() - 1
        });
        if let Some(rest) = rest {
            return entries[index].node.set(rest, at, node);
        }
        entries[index] = Entry { key: key.into(), at, node };
        Ok(())
    }

    pub(crate) fn read<'de, T: de::Deserialize<'de>>(&'de self) -> Result<T, Fault> {
        T::deserialize(self).map_err(|fault| fault.or_in(self))
    }

    /// The value as JSON, places forgotten.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Text(value) => value.as_str().into(),
            Value::Array(items) => items.iter().map(Node::to_json).collect(),
            Value::Table(entries) => {
                serde_json::Value::Object(entries.iter().map(|e| (e.key.clone(), e.node.to_json())).collect())
            }
        }
    }
}

fn node(value: Spanned<DeValue<'_>>) -> Result<Node, Fault> {
    let at = Some(value.span().start);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Integer(value) => Value::Int(
            i64::from_str_radix(value.as_str(), value.radix())
                .map_err(|_| Fault::new(at, format!("`{}` is out of range", value.as_str())))?,
        ),
        DeValue::Float(value) => Value::Float(
            value.as_str().parse().map_err(|_| Fault::new(at, format!("`{}` is not a number", value.as_str())))?,
        ),
        DeValue::Array(items) => Value::Array(items.into_iter().map(node).collect::<Result<_, _>>()?),
        DeValue::Table(entries) => table(entries)?,
        DeValue::Datetime(_) => return Err(Fault::new(at, "dates are not used here")),
    };
    Ok(Node { at, value })
}

/// In the order in which the keys were written.
fn table(entries: DeTable<'_>) -> Result<Value, Fault> {
    let mut entries = entries
        .into_iter()
        .map(|(key, value)| {
            let at = Some(key.span().start);
            Ok(Entry { key: key.into_inner().into_owned(), at, node: node(value)? })
        })
        .collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(|e| e.at);
    Ok(Value::Table(entries))
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self { at: None, message: message.to_string(), key: None }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format!("invalid type: {found}, expected {}", type_in_words(&expected.to_string())))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format!("invalid value: {found}, expected {}", type_in_words(&expected.to_string())))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("unknown key `{field}`{}", suggestion(field, expected));
        Self { at: None, message, key: Some(field.into()) }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!("unknown value `{variant}`{}", suggestion(variant, expected)))
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::Array(items) => visitor.visit_seq(Items(items.iter())),
            Value::Table(entries) => visitor.visit_map(Entries { left: entries.iter(), current: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Value::Text(text) = &self.value else {
            return Err(Fault::new(self.at, format!("expected one of: {}", variants.join(", "))));
        };
        let text: StrDeserializer<'de, Fault> = text.as_str().into_deserializer();
        text.deserialize_enum(name, variants, visitor).map_err(|fault| fault.or_at(self.at))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(node) = self.0.next() else { return Ok(None) };
        seed.deserialize(node).map(Some).map_err(|fault| fault.or_in(node))
    }
}

struct Entries<'de> {
    left: std::slice::Iter<'de, Entry>,
    current: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.current = self.left.next();
        let Some(entry) = self.current else { return Ok(None) };
        let key: StrDeserializer<'de, Fault> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|fault| fault.or_at(entry.at))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let entry = self.current.expect("a value follows its key");
        seed.deserialize(&entry.node).map_err(|fault| fault.or_in(&entry.node))
    }
}
