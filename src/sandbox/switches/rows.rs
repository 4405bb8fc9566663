//! The table of the switches: name, values, meaning, and the field each one is.

use super::Switches;
use super::choice::{
    Carriage, ContentType, DURATION, ErrorBody, ExpiresIn, Nothing, TOKEN_REUSE, joined,
    parse_duration, pick, read_reuse, word, written_duration, written_reuse,
};

/// One switch.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// One line for people.
    pub(super) does: &'static str,
    /// Whether it can be set for one family.
    pub(super) by_family: bool,
    /// What it takes, for people.
    pub(super) takes: fn() -> String,
    /// Sets the field; false when the value is none of those it takes.
    pub(super) read: fn(&mut Switches, &str) -> bool,
    /// The field's value, as `read` takes it.
    pub(super) write: fn(&Switches) -> String,
}

const ON_OFF: &[(&str, bool)] = &[("on", true), ("off", false)];
const REFUSALS: &[(&str, u16)] = &[("200", 200), ("400", 400), ("401", 401)];
const RENEWAL_REFUSALS: &[(&str, u16)] = &[("400", 400), ("401", 401)];
const CHARACTERS: &[(&str, bool)] = &[("plain", false), ("special", true)];
const GEOCODING: &[(&str, bool)] = &[("address", true), ("general", false)];
const REUSE_TELLS: &[(&str, bool)] = &[("rest", false), ("life", true)];
const HEADER: &[(&str, bool)] = &[("read", false), ("ignored", true)];

/// Puts a value that could be read into its field.
fn put<Value>(field: &mut Value, read: Option<Value>) -> bool {
    let is_known = read.is_some();
    if let Some(value) = read {
        *field = value;
    }
    is_known
}

macro_rules! row {
    ($name:literal, $field:ident, words $words:expr, $does:literal) => {
        Row {
            name: $name,
            does: $does,
            by_family: true,
            takes: || joined($words),
            read: |switches, value| put(&mut switches.$field, pick($words, value)),
            write: |switches| word($words, switches.$field),
        }
    };
    ($name:literal, $field:ident, duration, $does:literal) => {
        Row {
            name: $name,
            does: $does,
            by_family: true,
            takes: || DURATION.to_owned(),
            read: |switches, value| put(&mut switches.$field, parse_duration(value)),
            write: |switches| written_duration(switches.$field),
        }
    };
}

/// For everybody alike: at that point no family is known, or only one is concerned.
const fn for_all(row: Row) -> Row {
    Row {
        by_family: false,
        ..row
    }
}

/// Every switch.
pub(super) const ROWS: &[Row] = &[
    row!(
        "token-life",
        token_life,
        duration,
        "how long the next tokens live"
    ),
    row!("expires-in", expires_in, words ExpiresIn::WORDS, "how the token's life is told"),
    Row {
        name: "token-reuse",
        does: "a live token is given again",
        by_family: true,
        takes: || TOKEN_REUSE.to_owned(),
        read: |switches, value| put(&mut switches.token_reuse, read_reuse(value)),
        write: |switches| written_reuse(switches.token_reuse),
    },
    row!(
        "token-reuse-tells", token_reuse_tells_life, words REUSE_TELLS,
        "the life told of a token given again"
    ),
    row!("one-token", one_token, words ON_OFF, "a new token revokes the earlier ones of its scope"),
    row!("token-characters", special_tokens, words CHARACTERS, "special ones are + / = * ~ %"),
    row!("token-errors", token_errors, words ErrorBody::WORDS, "format of the token endpoint's errors"),
    row!(
        "token-latency",
        token_latency,
        duration,
        "delay of every token answer"
    ),
    for_all(row!(
        "renewal-refusal", renewal_refusal, words RENEWAL_REFUSALS,
        "status for a refresh token that is too old"
    )),
    for_all(row!(
        "date-ahead",
        date_ahead,
        duration,
        "the clock that dates answers runs ahead"
    )),
    row!(
        "clock-skew",
        clock_skew,
        duration,
        "tokens end this much earlier than announced"
    ),
    row!("carriage", carriage, words Carriage::WORDS, "how the credential must travel"),
    for_all(row!(
        "carriage.lookup", lookup_carriage, words Carriage::WORDS,
        "the same for /v1/email/lookup and /v1/phone/lookup"
    )),
    row!(
        "classic-header", classic_header_ignored, words HEADER,
        "whether classic paths look at Authorization"
    ),
    row!(
        "classic-refusal", classic_refusal, words REFUSALS,
        "status beside the body that refuses a credential"
    ),
    row!(
        "classic-nothing", classic_nothing, words Nothing::WORDS,
        "how a refusal without words is written"
    ),
    row!(
        "classic-content-type", classic_content_type, words ContentType::WORDS,
        "content type of classic JSON"
    ),
    row!("echo-credential", echo_credential, words ON_OFF, "RESTful refusals repeat what they refuse"),
    row!("licence-code", licence_code, words ON_OFF, "the plain licence code is taken for a token"),
    row!("scope-check", scope_check, words ON_OFF, "a token is good for its own family only"),
    for_all(row!(
        "geocoding-scope", geocoding_takes_address, words GEOCODING,
        "tokens that geocoding takes"
    )),
    row!(
        "slash-redirect", slash_redirect, words ON_OFF,
        "classic paths without a slash answer 301, absolute"
    ),
    row!("gzip", gzip, words ON_OFF, "business answers are compressed for who accepts it"),
    row!("chunked", chunked, words ON_OFF, "answers are chunked"),
    row!("keep-alive", keep_alive, words ON_OFF, "off closes after each answer"),
    for_all(row!(
        "idle-timeout",
        idle_timeout,
        duration,
        "idle connections are closed"
    )),
    row!(
        "latency",
        latency,
        duration,
        "delay of every business answer"
    ),
];
