//! Settings: defaults, a TOML file, the environment and flags, in that order
//! of rising precedence, become the settings types of every part. Text stops
//! here: what leaves this folder is valid.
//!
//! - `keys` — the one table of keys
//! - `source`, `file`, `environment` — the layers, read by that table
//! - `value`, `duration`, `names` — what a value looks like
//! - `resolve`, `listeners`, `routes`, `token_endpoint`, `credential` — from values to settings
//! - `problem`, `summary` — what people are shown
//!
//! No file is read unless one is named, by a flag or by `DQE_PROXY_CONFIG`.

mod credential;
mod duration;
mod environment;
mod file;
mod keys;
mod listeners;
mod names;
mod problem;
mod resolve;
mod routes;
mod size;
mod source;
mod summary;
#[cfg(test)]
mod tests;
mod token_endpoint;
mod value;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use problem::{Place, Problem, Problems};
pub use summary::{Setting, Summary};

use crate::{admin, egress, proxy, server, telemetry, token, upstream};

/// One flag of the command line that sets a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The flag as it is typed, `--listen`.
    pub name: &'static str,
    /// The key it sets, `listener.address`.
    pub key: &'static str,
    /// Its value; lists are separated by commas.
    pub value: String,
}

/// All that settings are made of.
#[derive(Clone, Default)]
pub struct Inputs {
    /// The settings file named by a flag; `DQE_PROXY_CONFIG` names it otherwise.
    pub file: Option<PathBuf>,
    /// Environment variables, each name once. Bytes that are not UTF-8 are
    /// replaced by U+FFFD, which is refused where it matters.
    pub environment: Vec<(String, String)>,
    /// Flags that set a key.
    pub flags: Vec<Flag>,
}

/// The environment holds secrets: only its size is shown.
impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("file", &self.file)
            .field("environment", &self.environment.len())
            .field("flags", &self.flags)
            .finish()
    }
}

/// The settings of every part, valid and complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// For `server`.
    pub listener: server::Settings,
    /// For `admin`.
    pub admin: admin::Settings,
    /// For `proxy`.
    pub proxy: proxy::Settings,
    /// For `upstream`.
    pub upstream: upstream::Settings,
    /// For `egress`.
    pub egress: egress::Settings,
    /// For `token`.
    pub token: token::Settings,
    /// For `token` besides: the tokens of ID Mobile; `None` when it is off.
    pub id_mobile: Option<token::Settings>,
    /// For `telemetry`.
    pub log: telemetry::Settings,
    /// What is allowed but likely not meant, in the order of its place.
    pub warnings: Vec<Problem>,
    /// Every setting in force and where it comes from.
    pub summary: Summary,
}

/// Reads, checks and resolves the settings. Touches no network; a secret file
/// is looked into for what would keep it from being used, and not kept.
///
/// # Errors
/// Everything that is wrong, at once. When the file cannot be read or is no
/// TOML, what its content would decide is not judged.
pub fn load(inputs: &Inputs) -> Result<Config, Problems> {
    let Layers {
        entries,
        document,
        mut problems,
        mut warnings,
        is_file_lost,
    } = Layers::read(inputs);
    if is_file_lost {
        return Err(Problems::new(problems, warnings));
    }

    let variables = inputs.environment.as_slice();
    let resolver = resolve::Resolver {
        entries: &entries,
        document: document.as_ref(),
        variables,
        problems: &mut problems,
        warnings: &mut warnings,
    };
    let Some(parts) = resolver.parts() else {
        return Err(Problems::new(problems, warnings));
    };
    if !problems.is_empty() {
        return Err(Problems::new(problems, warnings));
    }
    Ok(Config {
        listener: parts.listener,
        admin: parts.admin,
        proxy: parts.proxy,
        upstream: parts.upstream,
        egress: parts.egress,
        token: parts.token,
        id_mobile: parts.id_mobile,
        log: parts.log,
        warnings: problem::in_order(warnings),
        summary: Summary::new(&entries, document.as_ref(), &parts.secrets),
    })
}

/// The address of the admin listener alone, `None` when it is off: whoever asks
/// a running proxy how it is needs neither a licence nor a secret.
///
/// # Errors
/// When the settings file cannot be read, or the address is wrong.
pub fn admin_address(inputs: &Inputs) -> Result<Option<SocketAddr>, Problems> {
    let layers = Layers::read(inputs);
    if layers.is_file_lost || layers.entries.is_reported(&keys::ADMIN_ADDRESS) {
        return Err(Problems::new(layers.problems, layers.warnings));
    }
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let mut resolver = resolve::Resolver {
        entries: &layers.entries,
        document: None,
        variables: &inputs.environment,
        problems: &mut problems,
        warnings: &mut warnings,
    };
    let settings = resolver.admin(None);
    if problems.is_empty() {
        Ok(settings.address)
    } else {
        Err(Problems::new(problems, Vec::new()))
    }
}

/// What the layers say, with what is wrong in the way they say it.
struct Layers {
    entries: value::Entries,
    document: Option<file::Document>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// A file is named, and cannot be read or is no TOML.
    is_file_lost: bool,
}

impl Layers {
    fn read(inputs: &Inputs) -> Self {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let mut entries = value::Entries::defaults(keys::KEYS);
        let variables = inputs.environment.as_slice();

        let named = named_file(inputs);
        let document = named
            .as_ref()
            .and_then(|(path, named_by)| file::read(path, named_by, &mut entries, &mut problems));
        environment::read(variables, &mut entries, &mut problems);
        read_flags(&inputs.flags, &mut entries, &mut problems);
        let spared: Vec<&str> = credential::SLOTS
            .iter()
            .filter_map(|slot| entries.text(slot.variable))
            .map(|(name, _)| name)
            .collect();
        environment::report_unknown(variables, &spared, &mut problems, &mut warnings);
        let is_file_lost = named.is_some() && document.is_none();
        Self {
            entries,
            document,
            problems,
            warnings,
            is_file_lost,
        }
    }
}

/// The settings file, and where it was named.
fn named_file(inputs: &Inputs) -> Option<(PathBuf, Place)> {
    if let Some(path) = &inputs.file {
        return Some((path.clone(), Place::Flag("--config".to_owned())));
    }
    let path = environment::variable(&inputs.environment, environment::CONFIG)?;
    let place = Place::Environment(environment::CONFIG.to_owned());
    Some((PathBuf::from(path), place))
}

fn read_flags(flags: &[Flag], entries: &mut value::Entries, problems: &mut Vec<Problem>) {
    for flag in flags {
        let place = Place::Flag(flag.name.to_owned());
        let known = keys::KEYS
            .into_iter()
            .find(|key| key.to_string() == flag.key);
        let Some(key) = known else {
            problems.push(Problem::new(&place, flag.key, "sets no known key"));
            continue;
        };
        match value::from_text(key, &flag.value, &place, problems) {
            Some(value) => entries.push(key, value, place),
            None => entries.mark_reported(key),
        }
    }
}
