//! However a server reads a path that is let through (dots, backslashes, empty
//! segments, parameters, encoded and encoded again), it reads one of the route
//! that was found, and never a token endpoint.
#![no_main]

use std::sync::LazyLock;

use dqe_proxy::dqe::catalogue::{CATALOGUE, LICENCE};
use dqe_proxy::dqe::{Carriage, Scope, TokenPath};
use dqe_proxy::proxy::route::{Pattern, RouteTable, Rule};
use dqe_proxy_fuzz::decoded;
use http::Uri;
use libfuzzer_sys::fuzz_target;

/// What the settings add, the longest first; each with a scope of its own.
const BELOW: &[(&str, Scope)] = &[
    ("/x/deep/", Scope::IdCheck),
    ("/x/", Scope::Civility),
    ("/", Scope::General),
];

/// The token endpoints that are closed: of the settings and of DQE.
const CLOSED: &[&str] = &["/x/auth/token/", "/oauth/", "/access_token/"];

static TABLE: LazyLock<RouteTable> = LazyLock::new(|| {
    let known = CATALOGUE
        .iter()
        .map(|entry| (Pattern::Exact(format!("/{}/", entry.path)), entry.scope));
    let below = BELOW
        .iter()
        .map(|(path, scope)| (Pattern::Below((*path).to_owned()), *scope));
    let rules: Vec<Rule> = known
        .chain(below)
        .map(|(pattern, scope)| Rule {
            pattern,
            scope,
            carriage: Carriage::Header,
            parameter: LICENCE,
            side_effects: false,
            max_body: None,
        })
        .collect();
    RouteTable::new(&rules, TokenPath::parse("/x/auth/token/").unwrap(), |_| {
        None
    })
});

fuzz_target!(|data: &[u8]| {
    let Ok(uri) = Uri::try_from(data) else {
        return;
    };
    let Ok(index) = TABLE.find(uri.path()) else {
        return;
    };
    let scope = TABLE.route(index).scope;
    let mut read = uri.path().as_bytes().to_vec();
    for times in 0..=3 {
        let segments = segments(&read);
        let stripped: Vec<String> = segments.iter().map(|segment| strip(segment)).collect();
        for segments in [&segments, &stripped] {
            let closed = CLOSED
                .iter()
                .any(|closed| unversioned(segments).starts_with(&names(closed)));
            assert!(!closed, "a token endpoint, decoded {times} times");
        }
        if let Some(expected) = expected(&segments) {
            assert_eq!(scope, expected, "decoded {times} times");
        }
        read = decoded(&read);
    }
});

/// The scope of a path of these segments, as the operator means it. `None` of
/// `/x` itself, which one trailing slash puts below `/x/*` or not.
fn expected(segments: &[String]) -> Option<Scope> {
    let known = CATALOGUE.iter().find(|entry| {
        let path = names(entry.path);
        path == segments || path == unversioned(segments)
    });
    let below = || {
        let mut rules = BELOW.iter();
        let (path, scope) = rules.find(|(path, _)| segments.starts_with(&names(path)))?;
        (names(path).is_empty() || names(path) != segments).then_some(*scope)
    };
    known.map(|entry| entry.scope).or_else(below)
}

/// What is left when a server has cleaned the path, in lower case.
fn segments(path: &[u8]) -> Vec<String> {
    let path = String::from_utf8_lossy(path).replace('\\', "/");
    // What follows ends a path for those that decode before they take it apart.
    let path = path.split(['?', '#', '\0']).next().unwrap();
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment.split(';').next().unwrap() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name.to_ascii_lowercase()),
        }
    }
    segments
}

/// What file systems take off the ends of a name.
fn strip(segment: &str) -> String {
    let ends = |letter: char| letter.is_whitespace() || letter.is_control();
    segment
        .trim_start_matches(ends)
        .trim_end_matches(|letter| ends(letter) || letter == '.')
        .to_owned()
}

fn unversioned(segments: &[String]) -> &[String] {
    match segments {
        [first, _, ..] if is_version(first) => &segments[1..],
        _ => segments,
    }
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A path of the rules, in lower case.
fn names(path: &str) -> Vec<String> {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.map(str::to_ascii_lowercase).collect()
}
