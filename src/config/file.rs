//! The settings file, walked by the table of keys, so that every mistake is
//! found at once and with its place.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Key};
use super::problem::{Place, Problem};
use super::source::{self, Source};
use super::value::{self, Entries};

/// One `[[route]]`, and where it begins.
pub(super) struct Route {
    pub(super) entries: Entries,
    pub(super) place: Place,
}

/// What a settings file holds besides the entries of [`keys::KEYS`].
pub(super) struct Document {
    pub(super) path: PathBuf,
    pub(super) routes: Vec<Route>,
    /// Where the sections begin, for what is missing in them.
    sections: Vec<(&'static str, Place)>,
}

impl Document {
    /// Where something missing in `section` belongs.
    pub(super) fn place_of(&self, section: &str) -> Place {
        let found = self.sections.iter().find(|(name, _)| *name == section);
        match found {
            Some((_, place)) => place.clone(),
            None => Place::File {
                path: self.path.clone(),
                line: 1,
                column: 1,
            },
        }
    }
}

/// Reads the file at `path` into `entries`. `None` when it cannot be read or
/// is no TOML; its content is then unknown.
pub(super) fn read(
    path: &Path,
    named_by: &Place,
    entries: &mut Entries,
    problems: &mut Vec<Problem>,
) -> Option<Document> {
    match source::read(path, named_by) {
        Ok(text) => parse(path, &text, entries, problems),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Takes the text of a settings file apart; see [`read`].
pub(super) fn parse(
    path: &Path,
    text: &str,
    entries: &mut Entries,
    problems: &mut Vec<Problem>,
) -> Option<Document> {
    // The parser goes on after an error; what it found there is not trusted, but
    // several broken lines are then mended in one go.
    let (root, errors) = DeTable::parse_recoverable(text);
    let source = Source::new(path, text);
    if !errors.is_empty() {
        problems.extend(source.syntax_problems(&errors));
        return None;
    }
    let mut walk = Walk {
        source: &source,
        entries,
        problems,
        document: Document {
            path: path.to_owned(),
            routes: Vec::new(),
            sections: Vec::new(),
        },
    };
    walk.root(root.get_ref());
    Some(walk.document)
}

struct Walk<'a> {
    source: &'a Source<'a>,
    entries: &'a mut Entries,
    problems: &'a mut Vec<Problem>,
    document: Document,
}

impl Walk<'_> {
    fn root(&mut self, root: &DeTable<'_>) {
        for (name, node) in root {
            let place = self.place(name.span());
            let Some(section) = keys::sections().find(|section| section == name.get_ref()) else {
                self.unknown_section(name.get_ref(), node.get_ref(), &place);
                continue;
            };
            match node.get_ref() {
                DeValue::Table(table) if section != keys::ROUTE => {
                    self.document.sections.push((section, place));
                    self.section(section, table);
                }
                DeValue::Array(array) if section == keys::ROUTE => {
                    for node in array.iter() {
                        self.route(node);
                    }
                }
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_)
                | DeValue::Table(_) => {
                    let (message, header) = if section == keys::ROUTE {
                        ("may be written many times", format!("[[{section}]]"))
                    } else {
                        ("is a section, written once", format!("[{section}]"))
                    };
                    self.problems.push(
                        Problem::new(&place, section, message)
                            .hint(format!("write {header} above its keys")),
                    );
                }
            }
        }
    }

    fn section(&mut self, section: &'static str, table: &DeTable<'_>) {
        for (name, node) in table {
            let Some(key) = keys::find(section, name.get_ref()) else {
                if let Some(meant) = self.unknown_key(section, name) {
                    self.entries.mark_reported(meant);
                }
                continue;
            };
            let place = self.place(node.span());
            if let Some(Place::File { line, .. }) = self.entries.find(key).map(|entry| &entry.place)
            {
                // TOML allows a key once, so one of the two is its older name.
                let message = format!("line {line} sets the same list under its other name");
                let problem = Problem::new(&place, key, message);
                self.problems.push(problem.hint("keep one of the two"));
                continue;
            }
            match self.value(key, node) {
                Some(value) => self.entries.push(key, value, place),
                None => self.entries.mark_reported(key),
            }
        }
    }

    fn route(&mut self, node: &Spanned<DeValue<'_>>) {
        let place = self.place(node.span());
        let DeValue::Table(table) = node.get_ref() else {
            self.problems.push(
                Problem::new(&place, keys::ROUTE, "a table of keys is expected here")
                    .hint("write [[route]] above the keys of each route"),
            );
            return;
        };
        let mut entries = Entries::defaults(keys::ROUTE_KEYS);
        for (name, node) in table {
            let known = keys::ROUTE_KEYS
                .into_iter()
                .find(|key| key.name == name.get_ref());
            let Some(key) = known else {
                if let Some(meant) = self.unknown_key(keys::ROUTE, name) {
                    entries.mark_reported(meant);
                }
                continue;
            };
            match self.value(key, node) {
                Some(value) => entries.push(key, value, self.place(node.span())),
                None => entries.mark_reported(key),
            }
        }
        self.document.routes.push(Route { entries, place });
    }

    fn value(&mut self, key: &Key, node: &Spanned<DeValue<'_>>) -> Option<value::Value> {
        let source = self.source;
        let place = |span: Range<usize>| source.place(span.start);
        value::from_toml(key, node, &place, self.problems)
    }

    fn unknown_section(&mut self, name: &str, value: &DeValue<'_>, place: &Place) {
        let hint = if let Some(key) = keys::KEYS
            .iter()
            .find(|key| key.name == name && !value.is_table())
        {
            self.entries.mark_reported(key);
            format!("it belongs below [{}]", key.section)
        } else if name == keys::DQE_CLIENT_SECRET.name {
            self.entries.mark_reported(&keys::DQE_CLIENT_SECRET);
            INSTEAD_OF_INLINE.to_owned()
        } else if let Some(near) = keys::nearest(name, keys::sections()) {
            for key in keys::keys_of(near) {
                self.entries.mark_reported(key);
            }
            self.entries.mark_reported(&keys::DQE_CLIENT_SECRET);
            if near == keys::ROUTE {
                format!("did you mean [[{near}]]?")
            } else {
                format!("did you mean [{near}]?")
            }
        } else {
            let known: Vec<_> = keys::sections().collect();
            format!("the sections are {}", known.join(", "))
        };
        let message = if value.is_table() {
            "unknown section"
        } else {
            "unknown key"
        };
        self.problems
            .push(named(place, None, name, message).hint(hint));
    }

    /// Reports an unknown key, and returns the one that is likely meant.
    fn unknown_key(
        &mut self,
        section: &str,
        name: &Spanned<std::borrow::Cow<'_, str>>,
    ) -> Option<&'static Key> {
        let place = self.place(name.span());
        let name = name.get_ref();
        if name == keys::DQE_CLIENT_SECRET.name {
            let id_mobile = &keys::ID_MOBILE_CLIENT_SECRET_FILE;
            let instead = if section == keys::DQE_CLIENT_SECRET.section {
                Some((&keys::DQE_CLIENT_SECRET, INSTEAD_OF_INLINE))
            } else if section == id_mobile.section {
                // Only the secret of [dqe] has a variable of its own.
                let (sources, _) = INSTEAD_OF_INLINE.split_once(';').unwrap_or_default();
                Some((id_mobile, sources))
            } else {
                None
            };
            if let Some((key, hint)) = instead {
                let shown = format!("{section}.{name}");
                let message = "a secret does not stand in the settings file";
                self.problems
                    .push(Problem::new(&place, &shown, message).hint(hint));
                return Some(key);
            }
        }
        let meant = keys::nearest(name, keys::keys_of(section).map(|key| key.name))
            .or_else(|| synonym(section, name))
            .and_then(|near| keys::keys_of(section).find(|key| key.name == near));
        let elsewhere = keys::KEYS.iter().find(|key| key.name == name);
        let is_slip = |key: &&Key| strsim::damerau_levenshtein(key.name, name) == 1;
        let hint = match (meant, elsewhere) {
            (Some(key), Some(_)) if is_slip(&key) => format!("did you mean \"{key}\"?"),
            (_, Some(key)) => format!("it belongs below [{}]", key.section),
            (Some(key), None) => format!("did you mean \"{key}\"?"),
            (None, None) => {
                let known: Vec<_> = keys::keys_of(section).map(|key| key.name).collect();
                format!("the keys of [{section}] are {}", known.join(", "))
            }
        };
        self.problems
            .push(named(&place, Some(section), name, "unknown key").hint(hint));
        meant
    }

    fn place(&self, span: Range<usize>) -> Place {
        self.source.place(span.start)
    }
}

const INSTEAD_OF_INLINE: &str = "name where it is to be read from: client_secret_file = \"/path/of/a/file\", client_secret_env = \"NAME_OF_A_VARIABLE\" or client_secret_credential = \"name\" (systemd); or set DQE_CLIENT_SECRET";

/// Words people use for a key that are not near to its name.
fn synonym(section: &str, name: &str) -> Option<&'static str> {
    match (section, name) {
        ("dqe", "client_id") => Some("licence"),
        ("dqe", "url") => Some("servers"),
        ("listener" | "admin", "listen" | "bind" | "port") => Some("address"),
        _ => None,
    }
}

/// A problem with a name that is not ours. A name that does not look like one
/// is left out: a secret may have slipped before the equals sign.
fn named(place: &Place, section: Option<&str>, name: &str, message: &str) -> Problem {
    let is_word = name.len() <= 32
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && name.bytes().filter(u8::is_ascii_digit).count() <= 2;
    match (section, is_word) {
        (Some(section), true) => Problem::new(place, &format!("{section}.{name}"), message),
        (None, true) => Problem::new(place, name, message),
        (Some(section), false) => Problem::new(place, section, message),
        (None, false) => Problem::without_key(place, message),
    }
}
