//! JSON values that keep their members in the order written: the answers look as documented.

use std::fmt::{self, Display, Formatter};

/// A JSON value to be printed; never parsed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Text(String),
    Number(i64),
    Bool(bool),
    List(Vec<Self>),
    Object(Object),
}

/// A JSON object in the making.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Object {
    members: Vec<(String, Json)>,
}

impl Object {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds one member at the end.
    pub(crate) fn with(mut self, name: impl Into<String>, value: impl Into<Json>) -> Self {
        self.members.push((name.into(), value.into()));
        self
    }

    /// The RESTful frame: how many, and the list.
    pub(crate) fn listed(name: &str, list: Vec<Self>) -> Self {
        Self::new()
            .with("Found", list.len())
            .with(name, Json::from(list))
    }

    /// `{"1":…,"2":…}`: how the classic answers number their records.
    pub(crate) fn numbered(prefix: &str, records: impl IntoIterator<Item = Self>) -> Self {
        records
            .into_iter()
            .enumerate()
            .fold(Self::new(), |object, (at, record)| {
                object.with(format!("{prefix}{}", at + 1), record)
            })
    }
}

impl Display for Object {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("{")?;
        for (at, (name, value)) in self.members.iter().enumerate() {
            if at > 0 {
                formatter.write_str(",")?;
            }
            write_quoted(formatter, name)?;
            write!(formatter, ":{value}")?;
        }
        formatter.write_str("}")
    }
}

impl Display for Json {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write_quoted(formatter, text),
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Bool(truth) => write!(formatter, "{truth}"),
            Self::Object(object) => write!(formatter, "{object}"),
            Self::List(values) => {
                formatter.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        formatter.write_str(",")?;
                    }
                    write!(formatter, "{value}")?;
                }
                formatter.write_str("]")
            }
        }
    }
}

/// `text` as a JSON string, which is also a JavaScript string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Most texts need no escape and are written without being copied first.
fn write_quoted(formatter: &mut Formatter<'_>, text: &str) -> fmt::Result {
    let is_plain = |byte| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        formatter.write_str("\"")?;
        formatter.write_str(text)?;
        formatter.write_str("\"")
    } else {
        formatter.write_str(&quoted(text))
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Json {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Json {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl<Item: Into<Self>> From<Vec<Item>> for Json {
    fn from(values: Vec<Item>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_their_quotes() {
        let object = Object::new()
            .with("b", "é\"\n")
            .with("a", vec![1_i64, 2])
            .with("c", Object::new());
        assert_eq!(object.to_string(), r#"{"b":"é\"\n","a":[1,2],"c":{}}"#);
        assert_eq!(
            Object::numbered("", [Object::new(), Object::new()]).to_string(),
            r#"{"1":{},"2":{}}"#
        );
    }
}
