//! Which path goes where: pattern → scope, carriage, replay class, token cells.
//!
//! The path is matched as it arrived, never decoded or cleaned, so that this
//! table and the server cannot see two different paths.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::dqe::{Carriage, Scope, TokenPath, catalogue};
use crate::token::Cell;

/// One line of the route table, before it is bound to a token cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which paths.
    pub pattern: Pattern,
    /// The scope whose token is put on.
    pub scope: Scope,
    /// How the token travels.
    pub carriage: Carriage,
    /// The parameter that carries it, in the spelling of DQE's documents. A
    /// caller's own is taken out whatever the carriage.
    pub parameter: &'static str,
    /// True when repeating the call repeats an effect (an SMS): never replayed.
    pub side_effects: bool,
    /// Most bytes of a request's body; `None`: as everywhere.
    pub max_body: Option<u64>,
}

/// Which paths a rule is for. Letter case and one trailing slash do not
/// matter, and a version segment (`/v1/…`) is optional in front of a catalogue path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This whole path; it begins with a slash and has at most [`MAX_PATH`] bytes.
    Exact(String),
    /// Everything below this path, which ends with a slash; written `/x/*`.
    Below(String),
}

/// Longest path an exact rule can name, in bytes.
pub const MAX_PATH: usize = 255;

/// A rule bound to the cells whose tokens it uses.
#[derive(Debug)]
pub struct Route {
    /// The pattern as the operator knows it; label of metrics and logs.
    pub name: String,
    /// The scope the path belongs to.
    pub scope: Scope,
    /// How the token travels.
    pub carriage: Carriage,
    /// The parameter that carries the token.
    pub parameter: &'static str,
    /// True when the call is never replayed.
    pub side_effects: bool,
    /// Most bytes of a request's body; `None`: as everywhere.
    pub max_body: Option<u64>,
    own: Option<Arc<Cell>>,
    general: Option<Arc<Cell>>,
}

impl Route {
    /// The cell whose token goes on a call now: the scope's own, or that of
    /// `client_general` where DQE refuses or the settings leave out the own one.
    /// `None` when neither is configured.
    #[must_use]
    pub fn cell(&self) -> Option<&Arc<Cell>> {
        match (&self.own, &self.general) {
            (Some(own), Some(general)) if own.is_refused() && !general.is_refused() => {
                Some(general)
            }
            (Some(own), _) => Some(own),
            (None, general) => general.as_ref(),
        }
    }
}

/// The rules in force: a later rule takes the place of an earlier one with the
/// same pattern, so that each pattern stands once.
#[must_use]
pub fn in_force(rules: &[Rule]) -> Vec<Rule> {
    let mut kept: Vec<Rule> = Vec::with_capacity(rules.len());
    for rule in rules {
        match kept.iter_mut().find(|known| known.key() == rule.key()) {
            Some(known) => *known = rule.clone(),
            None => kept.push(rule.clone()),
        }
    }
    kept
}

/// All routes. Made once per worker thread.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// Lower-case path without slashes at its ends.
    exact: HashMap<Box<[u8]>, Whole, BuildHasherDefault<PathHasher>>,
    /// Lower-case prefix that begins and ends with a slash → index; longest first.
    below: Vec<(Box<str>, usize)>,
    token_path: TokenPath,
}

/// Where a whole path leads.
#[derive(Clone, Copy, Debug)]
struct Whole {
    /// Index of the route.
    route: usize,
    /// It is in the catalogue, and so may stand behind a version segment.
    is_known: bool,
}

/// Why no route is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// The path is known to nobody.
    Unknown,
    /// The path is written in a way that two programs could read differently.
    Ambiguous,
}

impl RouteTable {
    /// Binds the rules [`in_force`] to cells. No rule leads to `token_path`,
    /// nor to a token endpoint of DQE's own.
    #[must_use]
    pub fn new(
        rules: &[Rule],
        token_path: TokenPath,
        cell: impl Fn(Scope) -> Option<Arc<Cell>>,
    ) -> Self {
        let mut table = Self {
            routes: Vec::new(),
            exact: HashMap::default(),
            below: Vec::new(),
            token_path,
        };
        for rule in in_force(rules) {
            let index = table.routes.len();
            // Its token is good for every path but ID Mobile's.
            let general = if matches!(rule.scope, Scope::General | Scope::IdMobile) {
                None
            } else {
                cell(Scope::General)
            };
            table.routes.push(Route {
                name: rule.name(),
                scope: rule.scope,
                carriage: rule.carriage,
                parameter: rule.parameter,
                side_effects: rule.side_effects,
                max_body: rule.max_body,
                own: cell(rule.scope),
                general,
            });
            match &rule.pattern {
                // Looked at once here, so that `find` need not for a whole path.
                Pattern::Exact(path) if table.token_path.is_reached_by(path) => {}
                Pattern::Exact(_) => {
                    let path = rule.key();
                    let whole = Whole {
                        route: index,
                        is_known: catalogue::is_known(&path),
                    };
                    table.exact.insert(path.into_boxed_bytes(), whole);
                }
                Pattern::Below(_) => table.below.push((rule.key(), index)),
            }
        }
        table
            .below
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        table
    }

    /// The route at `index`, as returned by [`Self::find`].
    #[must_use]
    pub fn route(&self, index: usize) -> &Route {
        &self.routes[index]
    }

    /// Index of the route for the raw `path`: an exact rule first, then a
    /// catalogue path behind a version segment, then the longest `/x/*`.
    ///
    /// # Errors
    /// See [`NoRoute`]. A token endpoint is never found, whatever the rules say.
    pub fn find(&self, path: &str) -> Result<usize, NoRoute> {
        if path.len() <= MAX_PATH + 2
            && let Some(index) = self.find_whole(trim_slashes(path))
        {
            return Ok(index);
        }
        if is_ambiguous(path) {
            return Err(NoRoute::Ambiguous);
        }
        if self.token_path.is_reached_by(path) {
            return Err(NoRoute::Unknown);
        }
        let index = self.find_below(path).ok_or(NoRoute::Unknown)?;
        if path.contains('%') {
            self.check_decoded(path, index)?;
        }
        Ok(index)
    }

    /// `path` is without slashes at its ends.
    fn find_whole(&self, path: &str) -> Option<usize> {
        let mut buffer = [0; MAX_PATH + 2];
        let lower = buffer.get_mut(..path.len())?;
        lower.copy_from_slice(path.as_bytes());
        lower.make_ascii_lowercase();
        if let Some(whole) = self.exact.get(lower) {
            return Some(whole.route);
        }
        let bare = catalogue::strip_version(path);
        if bare.len() == path.len() {
            return None;
        }
        let whole = self.exact.get(&lower[path.len() - bare.len()..])?;
        whole.is_known.then_some(whole.route)
    }

    fn find_below(&self, path: &str) -> Option<usize> {
        let found = self.below.iter().find(|(prefix, _)| {
            path.get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        });
        found.map(|(_, index)| *index)
    }

    /// What a server decodes, once or more often, has to mean the same route:
    /// `/x/%64eep/y` is not only below `/x/*`, and `%252e%252e` is `..` to some.
    fn check_decoded(&self, path: &str, index: usize) -> Result<(), NoRoute> {
        let mut path = path.to_owned();
        for _ in 0..3 {
            let decoded = percent_decode_str(&path).decode_utf8_lossy().into_owned();
            if decoded == path {
                break;
            }
            if self.token_path.is_reached_by(&decoded) {
                return Err(NoRoute::Unknown);
            }
            let trimmed = trim_slashes(&decoded).to_ascii_lowercase();
            let bare = catalogue::strip_version(&trimmed);
            let is_exact = self.exact.contains_key(trimmed.as_bytes())
                || (catalogue::is_known(bare) && self.exact.contains_key(bare.as_bytes()));
            if is_ambiguous(&decoded) || is_exact || self.find_below(&decoded) != Some(index) {
                return Err(NoRoute::Ambiguous);
            }
            path = decoded;
        }
        Ok(())
    }
}

impl Rule {
    /// The pattern as an operator writes it; label of metrics and logs.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.pattern {
            Pattern::Exact(path) => path.clone(),
            Pattern::Below(path) => format!("{path}*"),
        }
    }

    /// What makes two patterns the same: lower case, and of an exact path
    /// neither its first slash nor one trailing slash. Keys of the two kinds
    /// never meet, since only those of `/x/*` begin with a slash.
    fn key(&self) -> Box<str> {
        match &self.pattern {
            Pattern::Exact(path) => key(path),
            Pattern::Below(path) => path.to_ascii_lowercase().into(),
        }
    }
}

fn key(path: &str) -> Box<str> {
    trim_slashes(&path.to_ascii_lowercase()).into()
}

/// `path` without its first slash and without one trailing slash.
fn trim_slashes(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path)
}

/// Hashes paths: FNV-1a. The keys are of the settings and stay, so nobody can
/// make them collide, and the slower hasher that guards against it is not needed.
#[derive(Debug, Default)]
struct PathHasher(u64);

impl PathHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0000_01b3);
    }
}

impl Hasher for PathHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.mix(u64::from(*byte));
        }
    }

    // The length, which comes before the bytes.
    fn write_usize(&mut self, length: usize) {
        self.mix(!(length as u64));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Whether another program could read `path` as a different path: encoded
/// slashes or dots, backslashes, empty or dot segments, path parameters, and what
/// ends a path (`?`, `#`, NUL), which is there only when it has been decoded.
fn is_ambiguous(path: &str) -> bool {
    let encoded = |window: &[u8]| {
        window[0] == b'%'
            && matches!(
                (window[1], window[2].to_ascii_lowercase()),
                (b'2', b'e' | b'f') | (b'5', b'c') | (b'3', b'b') | (b'0', b'0')
            )
    };
    path.contains(['\\', ';', '?', '#', '\0'])
        || path.contains("//")
        || path
            .split('/')
            .any(|segment| segment == "." || segment == "..")
        || path.as_bytes().windows(3).any(encoded)
}

#[cfg(test)]
mod tests;
