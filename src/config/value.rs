//! A value as it was written, checked for its shape only, and the layers of
//! such values: defaults, file, environment, flags.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::duration;
use super::keys::{self, Key, Kind};
use super::problem::{Place, Problem};
use super::size;

/// One text of a list.
pub(super) struct Item {
    pub(super) text: String,
    pub(super) place: Place,
}

/// A value of the right shape.
pub(super) enum Value {
    Text(String),
    List(Vec<Item>),
    Auto,
    Duration(Duration),
    /// In bytes.
    Size(u64),
    Count(u64),
    Switch(bool),
}

impl Value {
    /// The value as it would be written in the file.
    pub(super) fn written(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| quoted(&item.text)).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Auto => quoted("auto"),
            Self::Duration(duration) => quoted(&duration::format(*duration)),
            Self::Size(size) => quoted(&size::format(*size)),
            Self::Count(count) => count.to_string(),
            Self::Switch(switch) => switch.to_string(),
        }
    }
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

/// A key with the value one layer gives it.
pub(super) struct Entry {
    pub(super) key: &'static Key,
    pub(super) value: Value,
    pub(super) place: Place,
}

/// Entries in the order of rising precedence.
#[derive(Default)]
pub(super) struct Entries {
    entries: Vec<Entry>,
    /// Keys that were written in a way that has been reported already, so that
    /// one mistake does not show up as a second one ("not set").
    reported: Vec<&'static Key>,
}

impl Entries {
    /// The defaults of `keys`.
    pub(super) fn defaults(keys: impl IntoIterator<Item = &'static Key>) -> Self {
        let mut entries = Self::default();
        for key in keys {
            let Some(text) = key.default else { continue };
            let value = DeValue::parse(text)
                .ok()
                .and_then(|node| from_toml(key, &node, &|_| Place::Default, &mut Vec::new()));
            if let Some(value) = value {
                entries.push(key, value, Place::Default);
            }
        }
        entries
    }

    pub(super) fn push(&mut self, key: &'static Key, value: Value, place: Place) {
        self.entries.push(Entry { key, value, place });
    }

    /// Notes that `key` was meant but unusable.
    pub(super) fn mark_reported(&mut self, key: &'static Key) {
        self.reported.push(key);
    }

    pub(super) fn is_reported(&self, key: &Key) -> bool {
        self.reported.contains(&key)
    }

    /// The entry in force.
    pub(super) fn find(&self, key: &Key) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.key == key)
    }

    /// Every entry of one of `keys`, the ones in force last.
    pub(super) fn of<'a>(&'a self, keys: &'a [&Key]) -> impl DoubleEndedIterator<Item = &'a Entry> {
        self.entries
            .iter()
            .filter(|entry| keys.contains(&entry.key))
    }

    pub(super) fn text(&self, key: &Key) -> Option<(&str, &Place)> {
        self.find(key).and_then(|entry| match &entry.value {
            Value::Text(text) => Some((text.as_str(), &entry.place)),
            Value::List(_)
            | Value::Auto
            | Value::Duration(_)
            | Value::Size(_)
            | Value::Count(_)
            | Value::Switch(_) => None,
        })
    }

    /// The list in force, and where it stands as a whole; `None` for `auto`.
    pub(super) fn list(&self, key: &Key) -> Option<(&[Item], &Place)> {
        self.find(key).and_then(|entry| match &entry.value {
            Value::List(items) => Some((items.as_slice(), &entry.place)),
            Value::Text(_)
            | Value::Auto
            | Value::Duration(_)
            | Value::Size(_)
            | Value::Count(_)
            | Value::Switch(_) => None,
        })
    }

    pub(super) fn duration(&self, key: &Key) -> Option<Duration> {
        self.find(key).and_then(|entry| match entry.value {
            Value::Duration(duration) => Some(duration),
            Value::Text(_)
            | Value::List(_)
            | Value::Auto
            | Value::Size(_)
            | Value::Count(_)
            | Value::Switch(_) => None,
        })
    }

    pub(super) fn count(&self, key: &Key) -> Option<usize> {
        self.find(key).and_then(|entry| match entry.value {
            Value::Count(count) => usize::try_from(count).ok(),
            Value::Text(_)
            | Value::List(_)
            | Value::Auto
            | Value::Duration(_)
            | Value::Size(_)
            | Value::Switch(_) => None,
        })
    }

    /// In bytes.
    pub(super) fn size(&self, key: &Key) -> Option<u64> {
        self.find(key).and_then(|entry| match entry.value {
            Value::Size(size) => Some(size),
            Value::Text(_)
            | Value::List(_)
            | Value::Auto
            | Value::Duration(_)
            | Value::Count(_)
            | Value::Switch(_) => None,
        })
    }

    pub(super) fn switch(&self, key: &Key) -> Option<bool> {
        self.find(key).and_then(|entry| match entry.value {
            Value::Switch(switch) => Some(switch),
            Value::Text(_)
            | Value::List(_)
            | Value::Auto
            | Value::Duration(_)
            | Value::Size(_)
            | Value::Count(_) => None,
        })
    }
}

/// Reads a value of the file. What is wrong with it goes to `problems`.
pub(super) fn from_toml(
    key: &Key,
    node: &Spanned<DeValue<'_>>,
    place: &dyn Fn(Range<usize>) -> Place,
    problems: &mut Vec<Problem>,
) -> Option<Value> {
    let here = place(node.span());
    let value = node.get_ref();
    match (key.kind, value) {
        (Kind::List | Kind::AutoOrList, DeValue::Array(array)) => {
            let mut items = Vec::with_capacity(array.len());
            for node in array.iter() {
                let place = place(node.span());
                match node.get_ref().as_str() {
                    Some("") => problems.push(
                        Problem::new(&place, key, "an empty item").hint("take it out of the list"),
                    ),
                    Some(text) => items.push(Item {
                        text: text.to_owned(),
                        place,
                    }),
                    None => problems.push(
                        Problem::new(
                            &place,
                            key,
                            format!("an item that is {}, not text", article(node.get_ref())),
                        )
                        .hint("write every item in quotes"),
                    ),
                }
            }
            // The good items are looked at all the same: every problem is told at once.
            (!items.is_empty() || array.is_empty()).then_some(Value::List(items))
        }
        (Kind::Count { least, most }, DeValue::Integer(number)) => {
            match u64::from_str_radix(number.as_str(), number.radix()) {
                Ok(count) if (least..=most).contains(&count) => Some(Value::Count(count)),
                Ok(_) | Err(_) => {
                    problems.push(out_of_range(key, least, most, &here));
                    None
                }
            }
        }
        (Kind::Switch, DeValue::Boolean(switch)) => Some(Value::Switch(*switch)),
        (Kind::Size(range), DeValue::Integer(number)) if range.zero && number.as_str() == "0" => {
            Some(Value::Size(0))
        }
        (
            Kind::Text | Kind::Word(_) | Kind::Duration { .. } | Kind::Size(_) | Kind::AutoOrList,
            DeValue::String(text),
        ) if key.kind != Kind::AutoOrList || text == "auto" => {
            from_text(key, text, &here, problems)
        }
        (Kind::Duration { .. }, DeValue::Integer(_) | DeValue::Float(_)) => {
            problems.push(
                Problem::new(&here, key, "a duration needs a unit")
                    .hint(r#"write it in quotes with its unit, such as "3s", "700ms" or "1m30s""#),
            );
            None
        }
        (Kind::Size(_), DeValue::Integer(_) | DeValue::Float(_)) => {
            problems.push(
                Problem::new(&here, key, "a size needs a unit")
                    .hint(r#"write it in quotes with its unit, such as "64KiB" or "10MiB""#),
            );
            None
        }
        (
            Kind::Text
            | Kind::List
            | Kind::AutoOrList
            | Kind::Duration { .. }
            | Kind::Size(_)
            | Kind::Count { .. }
            | Kind::Switch
            | Kind::Word(_),
            _,
        ) => {
            let (expected, hint) = expectation(key);
            let message = format!("{expected} is expected here, not {}", article(value));
            problems.push(Problem::new(&here, key, message).hint(hint));
            None
        }
    }
}

/// Reads a value of the environment or a flag: lists are separated by commas.
pub(super) fn from_text(
    key: &Key,
    text: &str,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<Value> {
    let mut wrong = |message: String, hint: String| {
        problems.push(Problem::new(place, key, message).hint(hint));
        None
    };
    match key.kind {
        Kind::Text if text.trim().is_empty() => wrong(
            "is empty".to_owned(),
            "give it a value, or leave it out".to_owned(),
        ),
        Kind::Text => Some(Value::Text(text.to_owned())),
        Kind::AutoOrList if text.trim() == "auto" => Some(Value::Auto),
        Kind::List | Kind::AutoOrList => Some(Value::List(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Item {
                    text: item.to_owned(),
                    place: place.clone(),
                })
                .collect(),
        )),
        Kind::Duration { zero } => match duration::parse(text, zero) {
            Ok(duration) => Some(Value::Duration(duration)),
            Err(error) => wrong(error.message.to_owned(), error.hint.to_owned()),
        },
        Kind::Size(range) => match size::parse(text, range) {
            Ok(size) => Some(Value::Size(size)),
            Err(error) => wrong(error.message, error.hint.to_owned()),
        },
        Kind::Count { least, most } => match text.trim().parse() {
            Ok(count) if (least..=most).contains(&count) => Some(Value::Count(count)),
            Ok(_) | Err(_) => {
                problems.push(out_of_range(key, least, most, place));
                None
            }
        },
        Kind::Switch => match text.trim() {
            "true" => Some(Value::Switch(true)),
            "false" => Some(Value::Switch(false)),
            _ => {
                let (expected, hint) = expectation(key);
                wrong(format!("{expected} is expected here"), hint)
            }
        },
        Kind::Word(words) if words.contains(&text) => Some(Value::Text(text.to_owned())),
        Kind::Word(words) => {
            let hint = match keys::nearest(text, words.iter().copied()) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => expectation(key).1,
            };
            wrong("not a word this key knows".to_owned(), hint)
        }
    }
}

fn out_of_range(key: &Key, least: u64, most: u64, place: &Place) -> Problem {
    Problem::new(
        place,
        key,
        format!("a whole number from {least} to {most} is expected here"),
    )
    .hint(expectation(key).1)
}

/// What a key wants, and how it is written.
fn expectation(key: &Key) -> (&'static str, String) {
    let example = |fallback: &str| {
        let value = key.default.filter(|text| *text != "[]").unwrap_or(fallback);
        format!("write it like this: {} = {value}", key.name)
    };
    match key.kind {
        Kind::Text => ("text", example("\"…\"")),
        Kind::List => ("a list of texts", example("[\"…\", \"…\"]")),
        Kind::AutoOrList => (
            "\"auto\" or a list of texts",
            format!("write {0} = \"auto\" or {0} = [\"…\", \"…\"]", key.name),
        ),
        Kind::Duration { .. } => ("a duration", example("\"3s\"")),
        Kind::Size(_) => ("a size", example("\"64KiB\"")),
        Kind::Count { .. } => ("a whole number", example("1")),
        Kind::Switch => ("true or false", example("true")),
        Kind::Word(words) => ("a word", format!("one of {}", words.join(", "))),
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number that is not whole",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
