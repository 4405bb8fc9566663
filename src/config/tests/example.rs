//! `config.example.toml` says what the code does.

use super::*;
use crate::config::keys::{KEYS, Key, ROUTE_KEYS};

const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// One commented-out key of the example.
struct Stated<'a> {
    section: &'a str,
    name: &'a str,
    value: &'a str,
    why: &'a str,
    is_alternative: bool,
}

fn stated() -> Vec<Stated<'static>> {
    let mut section = "";
    let mut found = Vec::new();
    for line in EXAMPLE.lines() {
        let uncommented = line.strip_prefix("# ").unwrap_or(line);
        if let Some(header) = uncommented.strip_prefix('[')
            && let Some((name, "")) = header
                .trim_start_matches('[')
                .split_once(']')
                .map(|(name, rest)| (name, rest.trim_matches(']')))
        {
            section = name;
            continue;
        }
        let is_alternative = uncommented.starts_with("or: ");
        let assignment = uncommented.strip_prefix("or: ").unwrap_or(uncommented);
        let Some((name, rest)) = assignment.split_once(" = ") else {
            continue;
        };
        assert!(line.starts_with("# "), "not commented out: {line}");
        let (value, why) = rest.split_once("  # ").unwrap_or((rest, ""));
        found.push(Stated {
            section,
            name,
            value,
            why,
            is_alternative,
        });
    }
    found
}

fn key(stated: &Stated<'_>) -> Option<&'static Key> {
    KEYS.into_iter()
        .chain(ROUTE_KEYS)
        .find(|key| key.section == stated.section && key.name == stated.name)
}

/// The example with everything uncommented, alternatives left out.
fn uncommented() -> String {
    let lines = EXAMPLE.lines().map(|line| {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let is_setting = bare.starts_with("[[") || bare.contains(" = ") && !bare.starts_with("or:");
        if is_setting { bare } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_as_it_stands_changes_nothing() {
    let config = with_minimum(EXAMPLE).unwrap();
    assert!(
        config.summary.as_slice().iter().all(
            |setting| setting.origin == "default" || setting.origin.starts_with("environment ")
        ),
        "{}",
        config.summary
    );
}

#[test]
fn the_example_uncommented_is_valid() {
    let config = Written::new(&uncommented()).load(&[]).unwrap();
    assert_eq!(
        config.proxy.routes.last().unwrap().scope,
        crate::dqe::Scope::General
    );
}

#[test]
fn every_alternative_of_the_example_is_valid() {
    let alternatives = stated();
    let alternatives = alternatives.iter().filter(|stated| stated.is_alternative);
    for stated in alternatives {
        let file = Written::new(&format!(
            "[{}]\n{} = {}\n",
            stated.section, stated.name, stated.value
        ));
        let folder = file.folder.path().to_str().unwrap();
        let mut environment = vec![
            ("MY_SECRET", "hunter2"),
            ("MY_NEXT_SECRET", "hunter3"),
            ("MY_MOBILE_SECRET", "hunter4"),
            MINIMUM[0],
            ("CREDENTIALS_DIRECTORY", folder),
        ];
        if stated.name.contains("_next_") || stated.section == "id_mobile" {
            environment.push(MINIMUM[1]);
        }
        file.load(&environment).unwrap();
    }
}

#[test]
fn every_key_of_the_example_is_known_and_has_a_reason() {
    for stated in stated() {
        let name = format!("{}.{}", stated.section, stated.name);
        assert!(key(&stated).is_some(), "unknown: {name}");
        assert!(!stated.why.trim().is_empty(), "no reason: {name}");
    }
}

#[test]
fn every_key_of_the_code_is_in_the_example_with_its_default() {
    let stated = stated();
    for key in KEYS.into_iter().chain(ROUTE_KEYS) {
        let of_key: Vec<_> = stated
            .iter()
            .filter(|stated| stated.section == key.section && stated.name == key.name)
            .collect();
        assert_eq!(of_key.len(), 1, "{key}");
        if let Some(default) = key.default {
            assert_eq!(of_key[0].value, default, "{key}");
        }
    }
}

#[test]
fn the_keys_stand_in_the_order_of_the_table() {
    let found: Vec<_> = stated()
        .iter()
        .filter_map(key)
        .map(Key::to_string)
        .collect();
    let table: Vec<_> = KEYS
        .into_iter()
        .chain(ROUTE_KEYS)
        .map(Key::to_string)
        .collect();
    assert_eq!(found, table);
}

#[test]
fn every_default_of_the_table_reaches_the_settings() {
    let defaults = with_minimum("").unwrap();
    let mut spelled_out = String::new();
    for key in KEYS {
        if let Some(default) = key.default {
            spelled_out.push_str(&format!("{key} = {default}\n"));
        }
    }
    let stated = with_minimum(&spelled_out).unwrap();
    let parts = |config: &Config| {
        format!(
            "{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
            config.listener,
            config.admin,
            config.proxy,
            config.upstream,
            config.egress,
            config.token,
            config.log
        )
    };
    assert_eq!(parts(&defaults), parts(&stated));
    let shown = defaults.summary.as_slice();
    for key in KEYS.iter().filter(|key| key.default.is_some()) {
        assert!(
            shown
                .iter()
                .any(|setting| setting.section == key.section && setting.name == key.name),
            "the default of {key} cannot be read"
        );
    }
}
