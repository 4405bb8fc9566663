//! The parameters of a request: query, form or JSON body, decoded.
//!
//! Names are case-sensitive, as DQE documents them: a misspelt name counts as missing. Nothing
//! here fails: what cannot be decoded is kept as well as it can be.

use percent_encoding::percent_decode;

/// Most parameters looked at in one request.
const LIMIT: usize = 512;

/// Where a parameter travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the query of the target.
    Query,
    /// In the form or JSON body.
    Body,
}

#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) place: Place,
}

/// Decoded parameters in the order received, the query's first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters {
    list: Vec<Parameter>,
}

impl Parameters {
    /// Reads the query and, when it is a form or a JSON object, the body.
    pub(crate) fn read(query: &[u8], content_type: &[u8], body: &[u8]) -> Self {
        let mut parameters = Self::default();
        parameters.add_form(query, Place::Query);
        if body.is_empty() {
            return parameters;
        }
        let kind = content_type
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        if kind.eq_ignore_ascii_case(b"application/json") {
            parameters.add_json(body);
        } else if kind.is_empty() || kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        {
            parameters.add_form(body, Place::Body);
        }
        parameters
    }

    /// The first value of this name, empty values included.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.list
            .iter()
            .find(|parameter| parameter.name == name)
            .map(|parameter| parameter.value.as_str())
    }

    /// The first value of this name, trimmed, when it is not empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.value(name)
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }

    /// The first value of this name, or nothing at all as empty text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.value(name).unwrap_or_default()
    }

    /// A whole number within `1..=most`, or `default` when absent or unreadable.
    pub(crate) fn count(&self, name: &str, default: usize, most: usize) -> usize {
        self.filled(name)
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
            .clamp(1, most)
    }

    /// Whether this name was sent at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The first of `names` that is absent.
    pub(crate) fn first_absent<'names>(&self, names: &[&'names str]) -> Option<&'names str> {
        names.iter().find(|name| !self.has(name)).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter()
    }

    fn add_form(&mut self, form: &[u8], place: Place) {
        for pair in form
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
        {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default());
            let value = decode(halves.next().unwrap_or_default());
            self.push(Parameter { name, value, place });
        }
    }

    fn add_json(&mut self, body: &[u8]) {
        let Ok(serde_json::Value::Object(members)) = serde_json::from_slice(body) else {
            return;
        };
        for (name, value) in members {
            let value = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Null => String::new(),
                other => other.to_string(),
            };
            self.push(Parameter {
                name,
                value,
                place: Place::Body,
            });
        }
    }

    fn push(&mut self, parameter: Parameter) {
        if self.list.len() < LIMIT {
            self.list.push(parameter);
        }
    }
}

/// Percent-decodes one name or value, `+` standing for a space. Bytes that are no UTF-8 are read
/// as ISO-8859-1: old pages send `%E9`.
fn decode(encoded: &[u8]) -> String {
    let spaced: Vec<u8> = encoded
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8(bytes).unwrap_or_else(|error| {
        error
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_once() {
        for (query, expected) in [
            ("a=b", "b"),
            ("a=", ""),
            ("a", ""),
            ("a=b=c", "b=c"),
            ("a=x%2540y", "x%40y"),
            ("a=+33%206", " 33 6"),
            ("a=%C3%A9", "é"),
            ("a=%E9", "é"),
            ("a=100%", "100%"),
            ("&&a=1&a=2", "1"),
        ] {
            let parameters = Parameters::read(query.as_bytes(), b"", b"");
            assert_eq!(parameters.value("a"), Some(expected), "{query}");
        }
    }

    #[test]
    fn form_and_json_bodies_are_read_after_the_query() {
        let form = Parameters::read(
            b"a=1",
            b"application/x-www-form-urlencoded; charset=utf-8",
            b"b=2&a=3",
        );
        assert_eq!((form.text("a"), form.text("b")), ("1", "2"));
        let json = Parameters::read(
            b"",
            b"application/json",
            br#"{"email":"a@b.fr","checkUser":true,"n":null}"#,
        );
        assert_eq!(
            (json.text("email"), json.text("checkUser"), json.value("n")),
            ("a@b.fr", "true", Some(""))
        );
        assert_eq!(
            Parameters::read(b"", b"application/json", b"[1")
                .iter()
                .count(),
            0
        );
    }

    #[test]
    fn names_are_case_sensitive() {
        let parameters = Parameters::read(b"Tel=1", b"", b"");
        assert_eq!(parameters.first_absent(&["Tel", "tel"]), Some("tel"));
    }
}
