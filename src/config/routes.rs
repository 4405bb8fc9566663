//! The rules of the route table: the catalogue's paths, then `[[route]]`; and
//! how the token travels on each.

use super::file::{Document, Route};
use super::keys;
use super::problem::{Place, Problem};
use super::value::Entries;
use crate::dqe::{Carriage, Scope, TokenPath, catalogue};
use crate::proxy::route::{Pattern, Rule};

/// The carriage a key names; `None` for `auto`, and where it is not set.
pub(super) fn carriage(entries: &Entries, key: &keys::Key) -> Option<Carriage> {
    let (word, _) = entries.text(key)?;
    Carriage::ALL
        .into_iter()
        .find(|carriage| carriage.as_str() == word)
}

/// The catalogue's rules, with those side effects that `dqe.enable` names.
/// `carriage` overrides what is documented for each path but ID Mobile's, which
/// has a dialect of its own.
pub(super) fn of_catalogue(enabled: &[&'static str], carriage: Option<Carriage>) -> Vec<Rule> {
    catalogue::CATALOGUE
        .iter()
        .filter(|entry| !entry.side_effects || enabled.contains(&entry.path))
        .map(|entry| Rule {
            pattern: Pattern::Exact(format!("/{}/", entry.path)),
            scope: entry.scope,
            carriage: carriage
                .filter(|_| !entry.is_id_mobile())
                .unwrap_or(entry.carriage()),
            parameter: entry.parameter.unwrap_or(catalogue::LICENCE),
            side_effects: entry.side_effects,
            max_body: None,
        })
        .collect()
}

/// The catalogue's names in `dqe.enable`.
pub(super) fn enabled(entries: &Entries, problems: &mut Vec<Problem>) -> Vec<&'static str> {
    let key = &keys::DQE_ENABLE;
    let acting = || {
        catalogue::CATALOGUE
            .iter()
            .filter(|entry| entry.side_effects)
    };
    let mut enabled = Vec::new();
    let (items, _) = entries.list(key).unwrap_or((&[], &Place::Default));
    for item in items {
        let name = item.text.trim_matches('/');
        if let Some(entry) = acting().find(|entry| entry.path.eq_ignore_ascii_case(name)) {
            if !enabled.contains(&entry.path) {
                enabled.push(entry.path);
            }
            continue;
        }
        let is_plain = catalogue::CATALOGUE
            .iter()
            .any(|entry| entry.path.eq_ignore_ascii_case(name));
        let problem = if is_plain {
            Problem::new(&item.place, key, "this path has no side effects")
                .hint("it is on already: take it out of the list")
        } else {
            let names: Vec<_> = acting().map(|entry| entry.path).collect();
            let hint = match keys::nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("one of {}", names.join(", ")),
            };
            Problem::new(&item.place, key, "not a path with side effects").hint(hint)
        };
        problems.push(problem);
    }
    enabled
}

/// The paths of `relay.paths`; `rules` are those of the route table.
pub(super) fn relays(
    entries: &Entries,
    rules: &[Rule],
    token_path: &TokenPath,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let key = &keys::RELAY_PATHS;
    let mut found: Vec<String> = Vec::new();
    let (items, _) = entries.list(key).unwrap_or((&[], &Place::Default));
    for item in items {
        let mut wrong = |message: &str, hint: &str| {
            problems.push(Problem::new(&item.place, key, message).hint(hint));
        };
        let pattern = match parse_pattern(&item.text, token_path) {
            Ok(pattern @ Pattern::Exact(_)) => pattern,
            Ok(Pattern::Below(_)) => {
                wrong("a relay is one whole path", RELAY);
                continue;
            }
            Err((message, hint)) => {
                wrong(message, hint);
                continue;
            }
        };
        let folded = fold(&pattern);
        let is_route = |rule: &Rule| fold(&rule.pattern) == folded;
        let is_known = |path: &String| fold(&Pattern::Exact(path.clone())) == folded;
        if known_path(&pattern).is_some() || rules.iter().any(is_route) {
            wrong(
                "this is the path of a route, which a relay would hide",
                RELAY,
            );
        } else if found.iter().any(is_known) {
            wrong(
                "this path stands in the list already",
                "keep one of the two",
            );
        } else {
            found.push(item.text.clone());
        }
    }
    found
}

const RELAY: &str = "write the path that pages post to, such as \"/dqe.php\" or \"/dqe.asmx/Call\"";

/// The rules of `[[route]]`.
pub(super) fn of_document(
    document: &Document,
    enabled: &[&'static str],
    everywhere: Option<Carriage>,
    token_path: &TokenPath,
    problems: &mut Vec<Problem>,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut seen: Vec<(Pattern, &Place)> = Vec::new();
    for route in &document.routes {
        let pattern = pattern_of(route, token_path, problems);
        let scope = scope_of(route, problems);
        let Some((pattern, place)) = pattern else {
            continue;
        };
        let folded = fold(&pattern);
        if let Some((_, Place::File { line, .. })) = seen.iter().find(|(other, _)| *other == folded)
        {
            problems.push(
                Problem::new(
                    place,
                    &keys::ROUTE_PATH,
                    format!("line {line} has the same path"),
                )
                .hint("letter case and a slash at the end make no difference; keep one of the two"),
            );
            continue;
        }
        seen.push((folded, place));
        let known = known_path(&pattern);
        let acts = known.filter(|entry| entry.side_effects);
        if let Some(catalogue::Entry { path: name, .. }) = acts
            && !enabled.contains(name)
        {
            problems.push(
                Problem::new(
                    place,
                    &keys::ROUTE_PATH,
                    format!("{name} has side effects and is not enabled"),
                )
                .hint(format!("add \"{name}\" to enable below [dqe]")),
            );
            continue;
        }
        let Some(scope) = scope else { continue };
        let is_id_mobile = known.is_some_and(catalogue::Entry::is_id_mobile);
        if is_id_mobile != (scope == Scope::IdMobile) {
            let (message, hint) = if is_id_mobile {
                (
                    "ID Mobile takes tokens of its own",
                    "write scope = \"client_idmobile\"",
                )
            } else {
                (
                    "this scope is for the path of ID Mobile alone",
                    "name the scope of the path's family",
                )
            };
            let key = &keys::ROUTE_SCOPE;
            let place = route.entries.text(key).map_or(place, |(_, place)| place);
            problems.push(Problem::new(place, key, message).hint(hint));
            continue;
        }
        let written = route.entries.switch(&keys::ROUTE_SIDE_EFFECTS);
        let parameter = known.and_then(|entry| entry.parameter);
        // No licence parameter is known for a path that DQE does not document.
        let documented = known.map_or(Carriage::Header, catalogue::Entry::carriage);
        rules.push(Rule {
            pattern,
            scope,
            carriage: carriage(&route.entries, &keys::ROUTE_CARRIAGE)
                .or(everywhere.filter(|_| !is_id_mobile))
                .unwrap_or(documented),
            parameter: parameter.unwrap_or(catalogue::LICENCE),
            // A path that has side effects by the catalogue keeps them, whatever a route says.
            side_effects: acts.is_some() || written == Some(true),
            max_body: route.entries.size(&keys::ROUTE_MAX_BODY).map(or_any),
        });
    }
    rules
}

/// 0 stands for any number of bytes.
pub(super) fn or_any(most: u64) -> u64 {
    if most == 0 { u64::MAX } else { most }
}

fn scope_of(route: &Route, problems: &mut Vec<Problem>) -> Option<Scope> {
    let key = &keys::ROUTE_SCOPE;
    match route.entries.text(key) {
        Some((text, place)) => scope(key, text, place, problems),
        None => {
            missing(route, key, "scope = \"client_general\"", problems);
            None
        }
    }
}

/// Reads one scope.
pub(super) fn scope(
    key: &keys::Key,
    text: &str,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<Scope> {
    if let Ok(scope) = text.parse() {
        return Some(scope);
    }
    let hint = match keys::nearest(text, Scope::ALL.map(Scope::as_str)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        // That of ID Mobile is for its own path, which has it already.
        None => format!("one of {}", Scope::OAUTH.map(Scope::as_str).join(", ")),
    };
    problems.push(Problem::new(place, key, "not a scope of DQE").hint(hint));
    None
}

fn pattern_of<'a>(
    route: &'a Route,
    token_path: &TokenPath,
    problems: &mut Vec<Problem>,
) -> Option<(Pattern, &'a Place)> {
    let key = &keys::ROUTE_PATH;
    let Some((text, place)) = route.entries.text(key) else {
        missing(route, key, "path = \"/v1/email/lookup\"", problems);
        return None;
    };
    match parse_pattern(text, token_path) {
        Ok(pattern) => Some((pattern, place)),
        Err((message, hint)) => {
            problems.push(Problem::new(place, key, message).hint(hint));
            None
        }
    }
}

fn missing(route: &Route, key: &keys::Key, example: &str, problems: &mut Vec<Problem>) {
    if !route.entries.is_reported(key) {
        problems.push(
            Problem::new(&route.place, key, "this route has none")
                .hint(format!("write {example} below [[route]]")),
        );
    }
}

const HOW: &str = "a path is written \"/v1/email/lookup\", or \"/x/*\" for everything below";

fn parse_pattern(
    text: &str,
    token_path: &TokenPath,
) -> Result<Pattern, (&'static str, &'static str)> {
    if token_path.is_reached_by(&plain(text)) {
        return Err((
            "the token endpoint is never forwarded to",
            "the proxy obtains the tokens itself: leave this route out",
        ));
    }
    if !text.starts_with('/') {
        return Err(("a path begins with a slash", HOW));
    }
    if text.contains(['?', '#']) {
        return Err(("a route is a path, without query and fragment", HOW));
    }
    if text.contains('%') {
        return Err(("a route has no percent-encoded characters", HOW));
    }
    let (path, below) = match text.strip_suffix("/*") {
        Some(path) => (path, true),
        None => (text, false),
    };
    if path.contains('*') {
        return Err(("a star stands at the end only, after a slash", HOW));
    }
    let is_path_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()+,;=:@".contains(&byte);
    if !path.bytes().all(is_path_byte) {
        return Err(("a character that has no place in a path", HOW));
    }
    if path.contains("//") || path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(("a path has no empty, \".\" or \"..\" segments", HOW));
    }
    if !below {
        return Ok(Pattern::Exact(text.to_owned()));
    }
    let prefix = format!("{path}/");
    if catalogue::strip_version(prefix.trim_start_matches('/')).is_empty() {
        return Err((
            "this covers every path, those with side effects included",
            "name a longer path before the star",
        ));
    }
    Ok(Pattern::Below(prefix))
}

/// The path with percent-encoding, backslashes, dot segments and parameters
/// undone, as a server might read it.
fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    // Twice encoded is seen through as well.
    for _ in 0..3 {
        text = percent_encoding::percent_decode_str(&text)
            .decode_utf8_lossy()
            .into_owned();
    }
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let mut segments = Vec::new();
    for segment in path.split(['/', '\\']) {
        // A server may take what follows a semicolon for a parameter.
        match segment.split(';').next().unwrap_or_default().trim() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    segments.join("/")
}

/// The pattern with what makes no difference taken away.
fn fold(pattern: &Pattern) -> Pattern {
    let plain = |path: &str| path.trim_end_matches('/').to_ascii_lowercase();
    match pattern {
        Pattern::Exact(path) => Pattern::Exact(plain(path)),
        Pattern::Below(path) => Pattern::Below(plain(path)),
    }
}

/// The path of DQE's that `pattern` is for.
fn known_path(pattern: &Pattern) -> Option<&'static catalogue::Entry> {
    let (Pattern::Exact(path) | Pattern::Below(path)) = pattern;
    catalogue::find(catalogue::strip_version(path.trim_start_matches('/')).trim_end_matches('/'))
}
