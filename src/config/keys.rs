//! The one table of keys: the file's walk, the environment, the nearest key,
//! the defaults and the test of the example file all read it.

use std::fmt;

use super::size::Range;

/// What a key's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text that is not empty.
    Text,
    /// A list of texts.
    List,
    /// `auto` or a list of texts.
    AutoOrList,
    /// A duration with its unit, more than nothing unless `zero`.
    Duration { zero: bool },
    /// A size with its unit.
    Size(Range),
    /// A whole number from `least` to `most`.
    Count { least: u64, most: u64 },
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// One key of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The default, as it would be written in the file; `None`: there is none.
    pub(super) default: Option<&'static str>,
    /// The value is a credential and is masked wherever settings are shown.
    pub(super) is_credential: bool,
}

impl Key {
    const fn new(section: &'static str, name: &'static str, kind: Kind) -> Self {
        Self {
            section,
            name,
            kind,
            default: None,
            is_credential: false,
        }
    }

    const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    const fn credential(mut self) -> Self {
        self.is_credential = true;
        self
    }

    /// The name of the environment variable that sets this key.
    pub(super) fn variable(&self) -> String {
        format!("{PREFIX}{}_{}", self.section, self.name).to_ascii_uppercase()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.section, self.name)
    }
}

/// How every environment variable that names a key begins.
pub(super) const PREFIX: &str = "DQE_PROXY_";

const TIMEOUT: Kind = Kind::Duration { zero: false };
const PAUSE: Kind = Kind::Duration { zero: true };
/// How many at the same time; 0 has a meaning of its own for each key.
const COUNT: Kind = Kind::Count {
    least: 0,
    most: 1_000_000,
};
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// A body's size; 0 is any.
const BODY: Kind = Kind::Size(Range {
    least: 1,
    most: 1024 * 1024 * MIB,
    zero: true,
});

pub(super) const LISTENER_ADDRESS: Key =
    Key::new("listener", "address", Kind::Text).default(r#""127.0.0.1:8080""#);
pub(super) const LISTENER_ALLOW: Key =
    Key::new("listener", "allow", Kind::List).default(r#"["loopback"]"#);
pub(super) const LISTENER_HOSTS: Key = Key::new("listener", "hosts", Kind::List).default("[]");
pub(super) const LISTENER_THREADS: Key = Key::new(
    "listener",
    "threads",
    Kind::Count {
        least: 0,
        most: 1024,
    },
)
.default("0");
pub(super) const LISTENER_MAX_CONNECTIONS: Key =
    Key::new("listener", "max_connections", COUNT).default("0");
pub(super) const LISTENER_MAX_CONNECTIONS_PER_CALLER: Key =
    Key::new("listener", "max_connections_per_caller", COUNT).default("0");
pub(super) const LISTENER_MAX_REQUESTS: Key =
    Key::new("listener", "max_requests", COUNT).default("0");
pub(super) const LISTENER_MAX_MEMORY: Key = Key::new(
    "listener",
    "max_memory",
    Kind::Size(Range {
        least: 16 * MIB,
        most: 1024 * 1024 * MIB,
        zero: true,
    }),
)
.default(r#""0""#);
pub(super) const LISTENER_MAX_HEAD: Key = Key::new(
    "listener",
    "max_head",
    Kind::Size(Range {
        least: KIB,
        most: MIB,
        zero: false,
    }),
)
.default(r#""64KiB""#);
pub(super) const LISTENER_MAX_FIELDS: Key = Key::new(
    "listener",
    "max_fields",
    Kind::Count {
        least: 1,
        most: 1000,
    },
)
.default("100");
pub(super) const LISTENER_MAX_BODY: Key =
    Key::new("listener", "max_body", BODY).default(r#""64MiB""#);
pub(super) const LISTENER_H2C: Key = Key::new("listener", "h2c", Kind::Switch).default("false");
pub(super) const LISTENER_HEADER_TIMEOUT: Key =
    Key::new("listener", "header_timeout", TIMEOUT).default(r#""10s""#);
pub(super) const LISTENER_IDLE_TIMEOUT: Key =
    Key::new("listener", "idle_timeout", TIMEOUT).default(r#""75s""#);

pub(super) const CORS_ORIGINS: Key = Key::new("cors", "origins", Kind::List).default("[]");

pub(super) const ADMIN_ADDRESS: Key =
    Key::new("admin", "address", Kind::Text).default(r#""127.0.0.1:9090""#);

pub(super) const DQE_SERVERS: Key =
    Key::new("dqe", "servers", Kind::List).default(r#"["https://prod2.dqe-software.com"]"#);
pub(super) const DQE_LICENCE: Key = Key::new("dqe", "licence", Kind::Text).credential();
pub(super) const DQE_CLIENT_SECRET_FILE: Key = Key::new("dqe", "client_secret_file", Kind::Text);
pub(super) const DQE_CLIENT_SECRET_ENV: Key = Key::new("dqe", "client_secret_env", Kind::Text);
pub(super) const DQE_CLIENT_SECRET_CREDENTIAL: Key =
    Key::new("dqe", "client_secret_credential", Kind::Text);
pub(super) const DQE_CLIENT_SECRET_NEXT_FILE: Key =
    Key::new("dqe", "client_secret_next_file", Kind::Text);
pub(super) const DQE_CLIENT_SECRET_NEXT_ENV: Key =
    Key::new("dqe", "client_secret_next_env", Kind::Text);
pub(super) const DQE_CLIENT_SECRET_NEXT_CREDENTIAL: Key =
    Key::new("dqe", "client_secret_next_credential", Kind::Text);
pub(super) const DQE_SCOPES: Key = Key::new("dqe", "scopes", Kind::AutoOrList).default(r#""auto""#);
pub(super) const DQE_CARRIAGE: Key = Key::new(
    "dqe",
    "carriage",
    Kind::Word(&["auto", "header", "licence", "both"]),
)
.default(r#""auto""#);
pub(super) const DQE_ENABLE: Key = Key::new("dqe", "enable", Kind::List).default("[]");

pub(super) const ID_MOBILE_CLIENT_SECRET_FILE: Key =
    Key::new("id_mobile", "client_secret_file", Kind::Text);
pub(super) const ID_MOBILE_CLIENT_SECRET_ENV: Key =
    Key::new("id_mobile", "client_secret_env", Kind::Text);
pub(super) const ID_MOBILE_CLIENT_SECRET_CREDENTIAL: Key =
    Key::new("id_mobile", "client_secret_credential", Kind::Text);

pub(super) const RELAY_PATHS: Key = Key::new("relay", "paths", Kind::List).default("[]");

pub(super) const UPSTREAM_CONNECT_TIMEOUT: Key =
    Key::new("upstream", "connect_timeout", TIMEOUT).default(r#""3s""#);
pub(super) const UPSTREAM_FIRST_BYTE_TIMEOUT: Key =
    Key::new("upstream", "first_byte_timeout", TIMEOUT).default(r#""30s""#);
pub(super) const UPSTREAM_BODY_IDLE_TIMEOUT: Key =
    Key::new("upstream", "body_idle_timeout", TIMEOUT).default(r#""30s""#);
pub(super) const UPSTREAM_TOTAL_TIMEOUT: Key =
    Key::new("upstream", "total_timeout", TIMEOUT).default(r#""5m""#);
pub(super) const UPSTREAM_IDLE_TIMEOUT: Key =
    Key::new("upstream", "idle_timeout", TIMEOUT).default(r#""15s""#);
pub(super) const UPSTREAM_MAX_IDLE: Key = Key::new(
    "upstream",
    "max_idle",
    Kind::Count {
        least: 0,
        most: 65_535,
    },
)
.default("1024");
pub(super) const UPSTREAM_MAX_LIFETIME: Key =
    Key::new("upstream", "max_lifetime", TIMEOUT).default(r#""5m""#);
pub(super) const UPSTREAM_MAX_REQUESTS: Key =
    Key::new("upstream", "max_requests", COUNT).default("1024");
pub(super) const UPSTREAM_CA_FILES: Key =
    Key::new("upstream", "ca_files", Kind::List).default("[]");

pub(super) const TOKEN_WAIT: Key = Key::new("token", "wait", PAUSE).default(r#""700ms""#);
pub(super) const TOKEN_SERVER: Key = Key::new("token", "server", Kind::Text);
pub(super) const TOKEN_PATH: Key =
    Key::new("token", "path", Kind::Text).default(r#""/oauth/access_token/""#);
pub(super) const TOKEN_METHOD: Key =
    Key::new("token", "method", Kind::Word(&["post", "get"])).default(r#""post""#);
pub(super) const TOKEN_SCOPE_PARAMETER: Key = Key::new(
    "token",
    "scope_parameter",
    Kind::Word(&["scope", "grant_type"]),
)
.default(r#""scope""#);
pub(super) const TOKEN_EXTRA_PARAMETERS: Key =
    Key::new("token", "extra_parameters", Kind::List).default("[]");
pub(super) const TOKEN_REPLY: Key =
    Key::new("token", "reply", Kind::Word(&["lenient", "strict"])).default(r#""lenient""#);

pub(super) const DRAIN_DELAY: Key = Key::new("drain", "delay", PAUSE).default(r#""2s""#);
pub(super) const DRAIN_TIMEOUT: Key = Key::new("drain", "timeout", PAUSE).default(r#""20s""#);

pub(super) const LOG_LEVEL: Key = Key::new(
    "log",
    "level",
    Kind::Word(&["error", "warn", "info", "debug", "trace"]),
)
.default(r#""info""#);
pub(super) const LOG_FORMAT: Key =
    Key::new("log", "format", Kind::Word(&["auto", "json", "text"])).default(r#""auto""#);
pub(super) const LOG_ACCESS: Key = Key::new("log", "access", Kind::Switch).default("true");

/// Keys that are set once: in the file, the environment or by a flag.
pub(super) const KEYS: [&Key; 52] = [
    &LISTENER_ADDRESS,
    &LISTENER_ALLOW,
    &LISTENER_HOSTS,
    &LISTENER_THREADS,
    &LISTENER_MAX_CONNECTIONS,
    &LISTENER_MAX_CONNECTIONS_PER_CALLER,
    &LISTENER_MAX_REQUESTS,
    &LISTENER_MAX_MEMORY,
    &LISTENER_MAX_HEAD,
    &LISTENER_MAX_FIELDS,
    &LISTENER_MAX_BODY,
    &LISTENER_H2C,
    &LISTENER_HEADER_TIMEOUT,
    &LISTENER_IDLE_TIMEOUT,
    &CORS_ORIGINS,
    &ADMIN_ADDRESS,
    &DQE_SERVERS,
    &DQE_LICENCE,
    &DQE_CLIENT_SECRET_FILE,
    &DQE_CLIENT_SECRET_ENV,
    &DQE_CLIENT_SECRET_CREDENTIAL,
    &DQE_CLIENT_SECRET_NEXT_FILE,
    &DQE_CLIENT_SECRET_NEXT_ENV,
    &DQE_CLIENT_SECRET_NEXT_CREDENTIAL,
    &DQE_SCOPES,
    &DQE_CARRIAGE,
    &DQE_ENABLE,
    &ID_MOBILE_CLIENT_SECRET_FILE,
    &ID_MOBILE_CLIENT_SECRET_ENV,
    &ID_MOBILE_CLIENT_SECRET_CREDENTIAL,
    &RELAY_PATHS,
    &UPSTREAM_CONNECT_TIMEOUT,
    &UPSTREAM_FIRST_BYTE_TIMEOUT,
    &UPSTREAM_BODY_IDLE_TIMEOUT,
    &UPSTREAM_TOTAL_TIMEOUT,
    &UPSTREAM_IDLE_TIMEOUT,
    &UPSTREAM_MAX_IDLE,
    &UPSTREAM_MAX_LIFETIME,
    &UPSTREAM_MAX_REQUESTS,
    &UPSTREAM_CA_FILES,
    &TOKEN_WAIT,
    &TOKEN_SERVER,
    &TOKEN_PATH,
    &TOKEN_METHOD,
    &TOKEN_SCOPE_PARAMETER,
    &TOKEN_EXTRA_PARAMETERS,
    &TOKEN_REPLY,
    &DRAIN_DELAY,
    &DRAIN_TIMEOUT,
    &LOG_LEVEL,
    &LOG_FORMAT,
    &LOG_ACCESS,
];

/// An older name of a key, which works as the present one does.
pub(super) struct OlderName {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    pub(super) key: &'static Key,
}

impl OlderName {
    /// The name of the environment variable that went with it.
    pub(super) fn variable(&self) -> String {
        format!("{PREFIX}{}_{}", self.section, self.name).to_ascii_uppercase()
    }
}

/// Keys under the names they had before.
pub(super) const OLDER_NAMES: [OlderName; 1] = [OlderName {
    section: "listener",
    name: "origins",
    key: &CORS_ORIGINS,
}];

/// The key that `name` in `section` sets, under its present name or an older one.
pub(super) fn find(section: &str, name: &str) -> Option<&'static Key> {
    let present = KEYS
        .into_iter()
        .find(|key| key.section == section && key.name == name);
    present.or_else(|| {
        let mut older = OLDER_NAMES.iter();
        let older = older.find(|older| older.section == section && older.name == name);
        older.map(|older| older.key)
    })
}

/// The section that may be written many times, `[[route]]`; only in the file.
pub(super) const ROUTE: &str = "route";
pub(super) const ROUTE_PATH: Key = Key::new(ROUTE, "path", Kind::Text);
pub(super) const ROUTE_SCOPE: Key = Key::new(ROUTE, "scope", Kind::Text);
pub(super) const ROUTE_CARRIAGE: Key = Key::new(
    ROUTE,
    "carriage",
    Kind::Word(&["auto", "header", "licence", "both"]),
)
.default(r#""auto""#);
pub(super) const ROUTE_SIDE_EFFECTS: Key =
    Key::new(ROUTE, "side_effects", Kind::Switch).default("false");
pub(super) const ROUTE_MAX_BODY: Key = Key::new(ROUTE, "max_body", BODY);

/// Keys of one `[[route]]`.
pub(super) const ROUTE_KEYS: [&Key; 5] = [
    &ROUTE_PATH,
    &ROUTE_SCOPE,
    &ROUTE_CARRIAGE,
    &ROUTE_SIDE_EFFECTS,
    &ROUTE_MAX_BODY,
];

/// The secret's own value. Never in a file or a flag, so it is not in [`KEYS`].
pub(super) const DQE_CLIENT_SECRET: Key = Key::new("dqe", "client_secret", Kind::Text).credential();

/// The names of the sections, in the order of the table.
pub(super) fn sections() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    KEYS.iter()
        .map(|key| key.section)
        .filter(move |section| std::mem::replace(&mut last, section) != *section)
        .chain([ROUTE])
}

/// The keys of one section; empty for an unknown one.
pub(super) fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.into_iter()
        .chain(ROUTE_KEYS)
        .filter(move |key| key.section == section)
}

/// The candidate that `word` is most likely a slip of, when one is near: a few
/// letters differ, or one is the beginning of the other.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    candidates
        .into_iter()
        .map(|candidate| {
            let other = plain(candidate);
            let mut likeness = strsim::normalized_damerau_levenshtein(&word, &other);
            let shorter = word.len().min(other.len());
            if shorter >= 4 && (word.starts_with(&other) || other.starts_with(&word)) {
                likeness = likeness.max(NEAR);
            }
            (likeness, candidate)
        })
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// From here on two names are near: two of five letters may differ.
const NEAR: f64 = 0.6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_or_none() {
        let names = || keys_of("upstream").map(|key| key.name);
        for (word, expected) in [
            ("conect_timeout", Some("connect_timeout")),
            ("connect-timeout", Some("connect_timeout")),
            ("IDLE_TIMEOUT", Some("idle_timeout")),
            ("first_byte", Some("first_byte_timeout")),
            ("max_idle_connections", Some("max_idle")),
            ("retries", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names()), expected, "{word}");
        }
    }

    #[test]
    fn no_key_is_listed_twice() {
        for (index, key) in KEYS.iter().enumerate() {
            let twin = KEYS[..index]
                .iter()
                .find(|other| other.variable() == key.variable());
            assert_eq!(twin, None, "{key}");
        }
    }
}
