//! Where a client secret comes from: exactly one source each for the secret in
//! use, for the one that is to follow it, and for ID Mobile's own. The secrets
//! themselves are left to the token engine; here only their sources are looked at.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::environment;
use super::keys::{self, Key};
use super::problem::{Place, Problem};
use super::value::{Entries, Entry, Value};
use crate::secret::{SecretError, SecretSource, is_named_pipe};

/// One of the secrets: the keys that name its source.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// What it is called in a message.
    noun: &'static str,
    /// The key whose value is the secret; only a variable sets it.
    value: Option<&'static Key>,
    pub(super) file: &'static Key,
    pub(super) variable: &'static Key,
    pub(super) credential: &'static Key,
}

/// The secret in use.
pub(super) const FIRST: Slot = Slot {
    noun: "client secret",
    value: Some(&keys::DQE_CLIENT_SECRET),
    file: &keys::DQE_CLIENT_SECRET_FILE,
    variable: &keys::DQE_CLIENT_SECRET_ENV,
    credential: &keys::DQE_CLIENT_SECRET_CREDENTIAL,
};

/// The secret that is to follow it.
pub(super) const NEXT: Slot = Slot {
    noun: "next client secret",
    value: None,
    file: &keys::DQE_CLIENT_SECRET_NEXT_FILE,
    variable: &keys::DQE_CLIENT_SECRET_NEXT_ENV,
    credential: &keys::DQE_CLIENT_SECRET_NEXT_CREDENTIAL,
};

/// That of ID Mobile, where it has one of its own.
pub(super) const ID_MOBILE: Slot = Slot {
    noun: "client secret of ID Mobile",
    value: None,
    file: &keys::ID_MOBILE_CLIENT_SECRET_FILE,
    variable: &keys::ID_MOBILE_CLIENT_SECRET_ENV,
    credential: &keys::ID_MOBILE_CLIENT_SECRET_CREDENTIAL,
};

/// Every secret.
pub(super) const SLOTS: [Slot; 3] = [FIRST, NEXT, ID_MOBILE];

impl Slot {
    /// Whether `key` names a source of this secret.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.value == Some(key) || [self.file, self.variable, self.credential].contains(&key)
    }

    fn keys(&self) -> Vec<&'static Key> {
        let named = [self.file, self.variable, self.credential];
        self.value.into_iter().chain(named).collect()
    }
}

/// The source in force.
pub(super) struct Chosen {
    pub(super) source: SecretSource,
    pub(super) key: &'static Key,
    pub(super) place: Place,
    /// The value of the key, fit to be shown; masked when it could be the
    /// secret itself, put in the wrong place.
    pub(super) shown: Option<String>,
}

/// Finds the one source of the secret in use. `None`: there is none, and
/// `problems` says why.
pub(super) fn choose(
    entries: &Entries,
    variables: &[(String, String)],
    missing: &Place,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Chosen> {
    let keys = FIRST.keys();
    if entries.of(&keys).next().is_none() {
        if !keys.iter().any(|key| entries.is_reported(key)) {
            problems.push(
                Problem::new(missing, "dqe", "no client secret").hint(
                    "set DQE_CLIENT_SECRET, or one of client_secret_file, client_secret_env, client_secret_credential below [dqe]",
                ),
            );
        }
        return None;
    }
    choose_for(&FIRST, entries, variables, problems, warnings)
}

/// Finds the one source of the secret that is to follow `first`. `None`:
/// there is none, which is the usual case, or `problems` says why.
pub(super) fn choose_next(
    entries: &Entries,
    variables: &[(String, String)],
    first: Option<&Chosen>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Chosen> {
    let next = choose_for(&NEXT, entries, variables, problems, warnings)?;
    if first.is_some_and(|first| is_same_place(&first.source, &next.source)) {
        warnings.push(
            Problem::new(
                &next.place,
                next.key,
                "the client secret is read from the same place",
            )
            .hint("name the place of the new secret here, or leave the key out"),
        );
    }
    Some(next)
}

/// Finds the one source of ID Mobile's own secret, which has a use only when
/// ID Mobile `is_enabled`. `None`: it has none, which is the usual case, or
/// `problems` says why.
pub(super) fn choose_id_mobile(
    is_enabled: bool,
    entries: &Entries,
    variables: &[(String, String)],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Chosen> {
    let own = choose_for(&ID_MOBILE, entries, variables, problems, warnings)?;
    if !is_enabled {
        warnings.push(
            Problem::new(
                &own.place,
                own.key,
                "ID Mobile is off: the secret is not used",
            )
            .hint("add \"IDMOBILE\" to enable below [dqe], or leave the key out"),
        );
    }
    Some(own)
}

fn is_same_place(one: &SecretSource, other: &SecretSource) -> bool {
    match (one, other) {
        (
            SecretSource::Environment { name: one, .. },
            SecretSource::Environment { name: other, .. },
        ) => one == other,
        _ => one.path().is_some() && one.path() == other.path(),
    }
}

fn choose_for(
    slot: &Slot,
    entries: &Entries,
    variables: &[(String, String)],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Chosen> {
    let keys = slot.keys();
    let candidates: Vec<&Entry> = entries.of(&keys).collect();
    let last = candidates.last()?;
    // Sources of a lower layer are overridden, not contradicted.
    let layer = std::mem::discriminant(&last.place);
    let rivals = candidates
        .iter()
        .filter(|entry| std::mem::discriminant(&entry.place) == layer);
    let mut rivals: Vec<_> = rivals.collect();
    rivals.sort_by(|a, b| a.place.cmp(&b.place));
    if let [first, others @ ..] = rivals.as_slice()
        && !others.is_empty()
    {
        for other in others {
            problems.push(
                Problem::new(
                    &other.place,
                    other.key,
                    match &first.place {
                        // The variable's name says more than that of a key nobody wrote.
                        Place::Environment(name) => {
                            format!("the variable {name} gives the {} already", slot.noun)
                        }
                        _ => format!("{} names the {} already", first.key, slot.noun),
                    },
                )
                .hint("keep exactly one of them"),
            );
        }
        return None;
    }
    let Value::Text(text) = &last.value else {
        return None;
    };
    let found = if slot.value == Some(last.key) {
        from_variable(
            last,
            &last.place.to_string().replace("environment ", ""),
            text,
        )
    } else if last.key == slot.variable {
        from_named_variable(last, text, variables)
    } else if last.key == slot.credential {
        from_credential(slot, last, text, variables)
    } else {
        Ok(SecretSource::File(beside(&last.place, text)))
    };
    let source = match found {
        Ok(source) => source,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let shown = match &source {
        SecretSource::File(path) | SecretSource::Credential(path) => {
            look_at(path, last, warnings).then(|| text.clone())
        }
        SecretSource::Environment { name, .. } => Some(name.clone()),
    };
    Some(Chosen {
        source,
        key: last.key,
        place: last.place.clone(),
        shown,
    })
}

/// A path as it is meant: a relative one of the settings file starts from that
/// file's folder, any other from the working directory.
pub(super) fn beside(place: &Place, text: &str) -> PathBuf {
    match place {
        Place::File { path, .. } => path.parent().unwrap_or(Path::new("")).join(text),
        Place::Default | Place::Environment(_) | Place::Flag(_) => PathBuf::from(text),
    }
}

fn from_variable(entry: &Entry, name: &str, text: &str) -> Result<SecretSource, Problem> {
    let source = SecretSource::Environment {
        name: name.to_owned(),
        value: SecretString::from(text),
    };
    match source.read() {
        Ok(_) => Ok(source),
        Err(error) => Err(Problem::new(&entry.place, entry.key, error.to_string())),
    }
}

fn from_named_variable(
    entry: &Entry,
    name: &str,
    variables: &[(String, String)],
) -> Result<SecretSource, Problem> {
    match environment::variable(variables, name) {
        Some(text) if !text.is_empty() => from_variable(entry, name, text),
        found => {
            let state = if found.is_some() { "empty" } else { "not set" };
            // The secret itself may have been written here by mistake.
            let message = if is_variable_name(name) {
                format!("the environment variable {name} is {state}")
            } else {
                format!("the environment variable named here is {state}")
            };
            Err(Problem::new(&entry.place, entry.key, message).hint(
                "this key holds the name of a variable, such as \"DQE_CLIENT_SECRET\", never the secret",
            ))
        }
    }
}

/// Upper-case words joined by underscores, as variables are named.
fn is_variable_name(name: &str) -> bool {
    name.contains('_')
        && name.bytes().filter(u8::is_ascii_digit).count() <= 2
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn from_credential(
    slot: &Slot,
    entry: &Entry,
    name: &str,
    variables: &[(String, String)],
) -> Result<SecretSource, Problem> {
    if name.contains(['/', '\0']) || matches!(name, "." | "..") {
        return Err(Problem::new(
            &entry.place,
            entry.key,
            "a credential has a name, not a path",
        )
        .hint(format!(
            "write the name given in LoadCredential= of the unit; for a path there is {}",
            slot.file.name
        )));
    }
    match environment::variable(variables, "CREDENTIALS_DIRECTORY") {
        Some(folder) if !folder.is_empty() => {
            Ok(SecretSource::Credential(Path::new(folder).join(name)))
        }
        Some(_) | None => Err(Problem::new(
            &entry.place,
            entry.key,
            "the environment variable CREDENTIALS_DIRECTORY is not set",
        )
        .hint(format!(
            "systemd sets it for a unit that has LoadCredential=; elsewhere use {}",
            slot.file.name
        ))),
    }
}

/// Warns about a secret file that cannot be read yet, or by too many. True
/// when there is something at `path`.
fn look_at(path: &Path, entry: &Entry, warnings: &mut Vec<Problem>) -> bool {
    let mut warn = |message: &str, hint: &str| {
        warnings.push(Problem::new(&entry.place, entry.key, message).hint(hint));
    };
    let Ok(metadata) = std::fs::metadata(path) else {
        warn(
            "there is no file at this path, or it cannot be looked at",
            "the key holds the path of a file, never the secret; the file is read again until it is there",
        );
        return false;
    };
    if metadata.is_dir() {
        warn("this is a folder", "the key holds the path of a file");
    } else if is_named_pipe(path) {
        warn(
            "this is a named pipe, which is not read",
            "the key holds the path of a file",
        );
    } else if !metadata.is_file() {
        // What is no file may have its content once only: it is not looked into.
    } else if let Err(error) = SecretSource::File(path.to_owned()).read() {
        let message = match &error {
            SecretError::Unreadable { reason, .. } => format!("the file cannot be read: {reason}"),
            SecretError::Empty { .. } => "the file is empty".to_owned(),
            SecretError::TooLarge { .. } => "the file is too large for a secret".to_owned(),
            SecretError::NotText { .. } => {
                "the file is not one line of text in UTF-8, or has a control character".to_owned()
            }
            SecretError::NamedPipe { .. } => "this is a named pipe".to_owned(),
        };
        warn(&message, "it has to hold the secret and nothing else");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if metadata.is_file() && metadata.mode() & 0o004 != 0 {
            warn(
                "everybody on this machine can read the file",
                "take the right away with chmod o-r",
            );
        }
    }
    true
}
