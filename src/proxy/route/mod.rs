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
mod tests {
    use super::*;

    fn table(extra: &[(&str, Scope)]) -> RouteTable {
        table_beside(TokenPath::default(), extra)
    }

    fn table_beside(token_path: TokenPath, extra: &[(&str, Scope)]) -> RouteTable {
        let known = catalogue::CATALOGUE.iter().map(|entry| Rule {
            pattern: Pattern::Exact(format!("/{}/", entry.path)),
            scope: entry.scope,
            carriage: entry.carriage(),
            parameter: catalogue::LICENCE,
            side_effects: entry.side_effects,
            max_body: None,
        });
        let extra = extra.iter().map(|(path, scope)| Rule {
            pattern: match path.strip_suffix('*') {
                Some(prefix) => Pattern::Below(prefix.to_owned()),
                None => Pattern::Exact((*path).to_owned()),
            },
            scope: *scope,
            carriage: Carriage::Header,
            parameter: catalogue::LICENCE,
            side_effects: false,
            max_body: None,
        });
        let rules: Vec<Rule> = known.chain(extra).collect();
        RouteTable::new(&rules, token_path, |_| None)
    }

    fn scope(table: &RouteTable, path: &str) -> Result<Scope, NoRoute> {
        table.find(path).map(|index| table.route(index).scope)
    }

    #[test]
    fn the_longest_path_a_rule_can_name_is_found_between_its_slashes() {
        let longest = format!("/{}", "x".repeat(MAX_PATH - 1));
        let table = table(&[(&longest, Scope::Phone)]);
        assert_eq!(scope(&table, &longest), Ok(Scope::Phone));
        assert_eq!(scope(&table, &format!("{longest}/")), Ok(Scope::Phone));
        let longer = format!("{longest}x");
        assert_eq!(scope(&table, &longer), Err(NoRoute::Unknown));
        assert_eq!(scope(&table, &longer.repeat(9)), Err(NoRoute::Unknown));
    }

    #[test]
    fn a_catalogue_path_is_found_whole_in_any_case_with_or_without_slash_and_version() {
        let table = table(&[]);
        for (path, expected) in [
            ("/TEL/", Ok(Scope::Phone)),
            ("/TEL", Ok(Scope::Phone)),
            ("/tel/", Ok(Scope::Phone)),
            ("/v1/TEL/", Ok(Scope::Phone)),
            ("/V2/tel", Ok(Scope::Phone)),
            ("/v1/email/lookup", Ok(Scope::Email)),
            ("/v1/Email/Lookup/", Ok(Scope::Email)),
            ("/email/lookup", Ok(Scope::Email)),
            ("/SINGLE/", Ok(Scope::Address)),
            ("/v1/single/", Ok(Scope::Address)),
            ("/TEL/anything", Err(NoRoute::Unknown)),
            ("/TELX/", Err(NoRoute::Unknown)),
            ("/x/TEL/", Err(NoRoute::Unknown)),
            ("/v1/v1/TEL/", Err(NoRoute::Unknown)),
            ("/email", Err(NoRoute::Unknown)),
            ("/", Err(NoRoute::Unknown)),
            ("*", Err(NoRoute::Unknown)),
            ("", Err(NoRoute::Unknown)),
            ("/TEL//", Err(NoRoute::Ambiguous)),
            ("//TEL/", Err(NoRoute::Ambiguous)),
            ("/./TEL/", Err(NoRoute::Ambiguous)),
            ("/x/../TEL/", Err(NoRoute::Ambiguous)),
            ("/%54EL/", Err(NoRoute::Unknown)),
        ] {
            assert_eq!(scope(&table, path), expected, "{path}");
        }
        assert_eq!(
            scope(&table, &format!("/{}", "x".repeat(5000))),
            Err(NoRoute::Unknown)
        );
    }

    #[test]
    fn a_rule_of_the_settings_replaces_and_extends_the_catalogue() {
        let table = table(&[
            ("/TEL/", Scope::General),
            ("/v1/email/lookup", Scope::General),
            ("/new/path", Scope::B2b),
            ("/old/*", Scope::Civility),
            ("/old/deep/*", Scope::IdCheck),
        ]);
        for (path, expected) in [
            ("/TEL/", Ok(Scope::General)),
            ("/v1/tel", Ok(Scope::General)),
            ("/v1/email/lookup", Ok(Scope::General)),
            ("/v2/email/lookup", Ok(Scope::Email)),
            ("/NEW/path/", Ok(Scope::B2b)),
            ("/v1/new/path", Err(NoRoute::Unknown)),
            ("/old/x", Ok(Scope::Civility)),
            ("/OLD/x/y", Ok(Scope::Civility)),
            ("/old/deep/x", Ok(Scope::IdCheck)),
            ("/old", Err(NoRoute::Unknown)),
        ] {
            assert_eq!(scope(&table, path), expected, "{path}");
        }
    }

    #[test]
    fn each_pattern_stands_once_and_the_last_word_counts() {
        let rule = |pattern, scope| Rule {
            pattern,
            scope,
            carriage: Carriage::Header,
            parameter: catalogue::LICENCE,
            side_effects: false,
            max_body: None,
        };
        let exact = |path: &str| Pattern::Exact(path.to_owned());
        let below = |path: &str| Pattern::Below(path.to_owned());
        let rules = [
            rule(exact("/TEL/"), Scope::Phone),
            rule(below("/x/"), Scope::Phone),
            rule(exact("/x"), Scope::Email),
            rule(exact("/tel"), Scope::General),
            rule(below("/X/"), Scope::B2b),
        ];
        let kept: Vec<(String, Scope)> = in_force(&rules)
            .iter()
            .map(|rule| (rule.name(), rule.scope))
            .collect();
        let expected = [
            ("/tel", Scope::General),
            ("/X/*", Scope::B2b),
            ("/x", Scope::Email),
        ];
        assert_eq!(kept, expected.map(|(name, scope)| (name.to_owned(), scope)));
    }

    #[test]
    fn no_spelling_reaches_the_token_endpoint_even_with_everything_below_root_routed() {
        let table = table(&[("/*", Scope::General), ("/v1/*", Scope::Email)]);
        assert_eq!(scope(&table, "/whatever"), Ok(Scope::General));
        for path in [
            "/oauth/access_token/",
            "/OAUTH/access_token/",
            "/oauth/access_token",
            "/v1/oauth/access_token/",
            "/v1/../oauth/access_token/",
            "//oauth/access_token/",
            "/%6fauth/access_token/",
            "/%6Fauth/access_token/",
            "/oauth%2faccess_token/",
            "/%2e%2e/oauth/access_token/",
            "/x\\..\\oauth/access_token/",
            "/x;/oauth/access_token/",
            "/./oauth/access_token/",
            "/oauth/%61ccess_token/",
            "/access_token/",
            "/ACCESS%5FTOKEN/",
            "/%256fauth/access_token/",
            "/%00/oauth/access_token/",
        ] {
            assert!(table.find(path).is_err(), "{path}");
        }
    }

    #[test]
    fn an_encoded_path_goes_only_where_it_leads_decoded_too() {
        let table = table(&[
            ("/*", Scope::General),
            ("/x/*", Scope::Civility),
            ("/x/deep/*", Scope::IdCheck),
            ("/x/one", Scope::B2b),
        ]);
        for (path, expected) in [
            ("/x/%41%20b", Ok(Scope::Civility)),
            ("/x/50%25", Ok(Scope::Civility)),
            ("/x/%E9t%C3%A9", Ok(Scope::Civility)),
            ("/x/deep/%64eep", Ok(Scope::IdCheck)),
            ("/%79/z", Ok(Scope::General)),
            ("/x/%64eep/y", Err(NoRoute::Ambiguous)),
            ("/x/%2564eep/y", Err(NoRoute::Ambiguous)),
            ("/%78/y", Err(NoRoute::Ambiguous)),
            ("/x/%6fne", Err(NoRoute::Ambiguous)),
            ("/%54EL/", Err(NoRoute::Ambiguous)),
            ("/v1/T%45L", Err(NoRoute::Ambiguous)),
            ("/x/%252e%252e/oauth/access_token/", Err(NoRoute::Ambiguous)),
            ("/x/%25252e%25252e/TEL/", Err(NoRoute::Ambiguous)),
            ("/x/%252f/y", Err(NoRoute::Ambiguous)),
            ("/x/y%255cz", Err(NoRoute::Ambiguous)),
            ("/x/y%253bz", Err(NoRoute::Ambiguous)),
            ("/oauth%3fx", Err(NoRoute::Ambiguous)),
            ("/TEL%23", Err(NoRoute::Ambiguous)),
        ] {
            assert_eq!(scope(&table, path), expected, "{path}");
        }
    }

    #[test]
    fn no_spelling_reaches_a_token_endpoint_that_the_settings_name() {
        let path = TokenPath::parse("/x/Auth/token/").unwrap();
        let routes = [("/x/*", Scope::General), ("/x/auth/token", Scope::Email)];
        let table = table_beside(path, &routes);
        for (path, expected) in [
            ("/x/auth/tokens", Ok(Scope::General)),
            ("/x/auth/", Ok(Scope::General)),
            ("/TEL/", Ok(Scope::Phone)),
            ("/x/auth/token/", Err(NoRoute::Unknown)),
            ("/x/auth/token", Err(NoRoute::Unknown)),
            ("/X/AUTH/TOKEN/", Err(NoRoute::Unknown)),
            ("/x/auth/token/more", Err(NoRoute::Unknown)),
            ("/x/%61uth/token/", Err(NoRoute::Unknown)),
            ("/x/%2561uth/token/", Err(NoRoute::Unknown)),
            ("/x/auth/tok%65n", Err(NoRoute::Unknown)),
            ("/x/auth/token%20", Err(NoRoute::Unknown)),
            ("/x/auth./token./", Err(NoRoute::Unknown)),
            ("/x/./auth/token/", Err(NoRoute::Ambiguous)),
            ("/x//auth/token/", Err(NoRoute::Ambiguous)),
            ("/x/auth%2ftoken/", Err(NoRoute::Ambiguous)),
            ("/x/auth;a=b/token/", Err(NoRoute::Ambiguous)),
            ("/x/y/../auth/token/", Err(NoRoute::Ambiguous)),
            // DQE's own stays closed besides.
            ("/oauth/access_token/", Err(NoRoute::Unknown)),
        ] {
            assert_eq!(scope(&table, path), expected, "{path}");
        }
    }
}
