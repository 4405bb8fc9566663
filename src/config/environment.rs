//! The environment: `DQE_PROXY_<SECTION>_<KEY>` for every key, three short names,
//! the name of the file, and what to say about names that are nearly one of these.

use super::keys::{self, Key};
use super::problem::{Place, Problem};
use super::value::{self, Entries};

/// Names the settings file.
pub(super) const CONFIG: &str = "DQE_PROXY_CONFIG";

/// Short names, for the settings everybody needs.
pub(super) const SHORT: [(&str, &Key); 3] = [
    ("DQE_LICENCE", &keys::DQE_LICENCE),
    ("DQE_CLIENT_SECRET", &keys::DQE_CLIENT_SECRET),
    ("DQE_SERVER", &keys::DQE_SERVERS),
];

/// Looks a variable up.
pub(super) fn variable<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    variables
        .iter()
        .find(|(other, _)| other == name)
        .map(|(_, value)| value.as_str())
}

/// Reads the variables that set a key into `entries`.
pub(super) fn read(
    variables: &[(String, String)],
    entries: &mut Entries,
    problems: &mut Vec<Problem>,
) {
    let long = keys::KEYS.iter().map(|key| (key.variable(), *key));
    let short = SHORT.iter().map(|(name, key)| ((*name).to_owned(), *key));
    let older = keys::OLDER_NAMES.iter();
    let older = older.map(|older| (older.variable(), older.key));
    let mut seen: Vec<(&Key, String)> = Vec::new();
    for (name, key) in long.chain(short).chain(older) {
        let Some(text) = variable(variables, &name) else {
            continue;
        };
        let place = Place::Environment(name.clone());
        if let Some((_, twin)) = seen.iter().find(|(other, _)| *other == key) {
            problems.push(
                Problem::new(&place, key, format!("{twin} sets the same key"))
                    .hint("unset one of the two"),
            );
            continue;
        }
        seen.push((key, name));
        if text.contains(char::REPLACEMENT_CHARACTER) {
            problems.push(Problem::new(&place, key, "holds bytes that are not UTF-8"));
            entries.mark_reported(key);
            continue;
        }
        match value::from_text(key, text, &place, problems) {
            Some(value) => entries.push(key, value, place),
            None => entries.mark_reported(key),
        }
    }
}

/// Reports variables that look like ours and are not. `spared` are names the
/// settings themselves mention (`client_secret_env`).
pub(super) fn report_unknown(
    variables: &[(String, String)],
    spared: &[&str],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    let long: Vec<String> = keys::KEYS.iter().map(|key| key.variable()).collect();
    let older = keys::OLDER_NAMES.map(|older| older.variable());
    let known = || {
        long.iter()
            .chain(&older)
            .map(String::as_str)
            .chain(SHORT.iter().map(|(name, _)| *name))
            .chain([CONFIG])
    };
    for (name, value) in variables {
        if spared.contains(&name.as_str()) || known().any(|other| other == name) {
            continue;
        }
        let place = Place::Environment(name.clone());
        if let Some(rest) = name.strip_prefix(keys::PREFIX) {
            if is_service_link(rest, value) {
                continue;
            }
            let hint = if rest == "DQE_CLIENT_SECRET" {
                "the variable that holds the secret is DQE_CLIENT_SECRET".to_owned()
            } else if rest.starts_with("ROUTE_") {
                "routes are written in the settings file only".to_owned()
            } else {
                let names = long
                    .iter()
                    .filter_map(|name| name.strip_prefix(keys::PREFIX));
                match keys::nearest(rest, names) {
                    Some(near) => format!("did you mean {}{near}?", keys::PREFIX),
                    None => format!("a key is named {}<SECTION>_<KEY>", keys::PREFIX),
                }
            };
            problems.push(Problem::without_key(&place, "no setting has this name").hint(hint));
        } else if let Some(rest) = name.strip_prefix("DQE_") {
            let meant = format!("{}DQE_{rest}", keys::PREFIX);
            let near = long
                .iter()
                .find(|other| **other == meant)
                .map(String::as_str);
            let near = near.or_else(|| near_short(name));
            if let Some(near) = near {
                warnings.push(
                    Problem::without_key(&place, "is not read by dqe-proxy")
                        .hint(format!("did you mean {near}?")),
                );
            }
        }
    }
}

/// A short name that `name` is a slip of. Other programs have variables that
/// begin with `DQE_` as well, so only one or two wrong letters count.
fn near_short(name: &str) -> Option<&'static str> {
    SHORT
        .iter()
        .map(|(short, _)| *short)
        .find(|short| strsim::damerau_levenshtein(name, short) <= 2)
}

/// Kubernetes puts variables for every service of the namespace into every
/// pod. A service named `dqe-proxy` or `dqe-proxy-…` yields
/// `DQE_PROXY_SERVICE_HOST`, `DQE_PROXY_PORT=tcp://…`,
/// `DQE_PROXY_PORT_8080_TCP_ADDR` and so on, which nobody wrote.
fn is_service_link(rest: &str, value: &str) -> bool {
    let rest = format!("_{rest}");
    if rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_SERVICE_PORT")
        || rest.contains("_SERVICE_PORT_")
    {
        return true;
    }
    let is_link = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    if rest.ends_with("_PORT") && is_link {
        return true;
    }
    let Some((_, port)) = rest.rsplit_once("_PORT_") else {
        return false;
    };
    let mut words = port.split('_');
    let digits = words.next().unwrap_or_default();
    let protocol = words.next().unwrap_or_default();
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && matches!(protocol, "TCP" | "UDP" | "SCTP")
        && matches!(words.next(), None | Some("PROTO" | "PORT" | "ADDR"))
}
