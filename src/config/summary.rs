//! The settings in force, each with where it comes from, for people to read.
//! Credentials are masked.

use std::fmt;

use super::credential::{Chosen, SLOTS, Slot};
use super::file::Document;
use super::keys::{self, Key};
use super::problem::Place;
use super::value::{self, Entries, Item, Value};

const MASK: &str = "\"…\"";

/// One setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The section, `listener`.
    pub section: &'static str,
    /// The key in it, `address`.
    pub name: &'static str,
    /// The value as the file would have it, masked where it is a credential.
    pub value: String,
    /// Where it comes from; for a reader.
    pub origin: String,
}

/// The settings in force, in the order of their sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary(Vec<Setting>);

impl Summary {
    pub(super) fn new(entries: &Entries, document: Option<&Document>, secrets: &[Chosen]) -> Self {
        let mut settings = Vec::new();
        for key in keys::KEYS {
            match slot_of(key) {
                Some(slot) if slot.file == key => {
                    let chosen = secrets.iter().find(|secret| slot.has(secret.key));
                    settings.extend(chosen.map(of_secret));
                }
                Some(_) => {}
                None => settings.extend(setting(key, entries)),
            }
        }
        let routes = document.map_or(&[][..], |document| &document.routes);
        for route in routes {
            for key in keys::ROUTE_KEYS {
                settings.extend(setting(key, &route.entries));
            }
        }
        Self(settings)
    }

    /// The settings, in the order of their sections.
    #[must_use]
    pub fn as_slice(&self) -> &[Setting] {
        &self.0
    }
}

/// The secret that `key` names a source of.
fn slot_of(key: &Key) -> Option<Slot> {
    SLOTS.into_iter().find(|slot| slot.has(key))
}

fn of_secret(secret: &Chosen) -> Setting {
    Setting {
        section: secret.key.section,
        name: secret.key.name,
        value: masked_secret(secret),
        origin: origin(&secret.place),
    }
}

fn masked_secret(secret: &Chosen) -> String {
    match &secret.shown {
        Some(text) if !secret.key.is_credential => value::quoted(text),
        Some(_) | None => MASK.to_owned(),
    }
}

fn setting(key: &Key, entries: &Entries) -> Option<Setting> {
    let entry = entries.find(key)?;
    Some(Setting {
        section: key.section,
        name: key.name,
        value: if key.is_credential {
            MASK.to_owned()
        } else if key == &keys::TOKEN_EXTRA_PARAMETERS {
            masked_parameters(&entry.value)
        } else {
            entry.value.written()
        },
        origin: origin(&entry.place),
    })
}

/// The names, without the values: any of them may be a key of some gateway.
fn masked_parameters(value: &Value) -> String {
    let Value::List(items) = value else {
        return MASK.to_owned();
    };
    let masked = |item: &Item| match item.text.split_once('=') {
        Some((name, _)) => value::quoted(&format!("{name}=…")),
        None => MASK.to_owned(),
    };
    let items: Vec<_> = items.iter().map(masked).collect();
    format!("[{}]", items.join(", "))
}

fn origin(place: &Place) -> String {
    match place {
        Place::Default => "default".to_owned(),
        Place::File { path, line, .. } => format!("{}:{line}", path.display()),
        Place::Environment(_) | Place::Flag(_) => place.to_string(),
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |setting: &Setting| format!("{} = {}", setting.name, setting.value);
        let lengths = self.0.iter().map(|setting| line(setting).chars().count());
        let width = lengths.filter(|length| *length <= 48).max().unwrap_or(0);
        let mut section = "";
        for setting in &self.0 {
            let is_route = setting.section == keys::ROUTE;
            let begins_route = is_route && setting.name == keys::ROUTE_PATH.name;
            if begins_route || setting.section != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                section = setting.section;
                if is_route {
                    writeln!(f, "{gap}[[{section}]]")?;
                } else {
                    writeln!(f, "{gap}[{section}]")?;
                }
            }
            writeln!(f, "{:width$}  # {}", line(setting), setting.origin)?;
        }
        Ok(())
    }
}
