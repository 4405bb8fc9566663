//! What a reply of DQE's token endpoint means. What is asked is
//! `token_request`. Pure: bytes and times in, meaning out. It is close to
//! RFC 6749 §4.4 but not the same: `expires_in` is a string, errors are words.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

/// Life of a token whose reply does not say it, or says it unreadably.
pub const ASSUMED_LIFE: Duration = Duration::from_secs(240);
/// No token is trusted longer than this, whatever its reply says.
pub const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
/// A shorter life is no life: renewing it would be a loop.
pub const SHORTEST_LIFE: Duration = Duration::from_millis(100);
/// Longest access token accepted, in bytes: more does not fit into a header
/// that servers take.
const MAX_TOKEN_BYTES: usize = 4096;
/// How much of an error body is searched for the documented words.
const SEARCHED_BYTES: usize = 4096;

/// How closely a success has to look like the documented one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// What is missing or odd is made up for where that is safe: no
    /// `token_type` is Bearer, no readable `expires_in` is [`ASSUMED_LIFE`].
    #[default]
    Lenient,
    /// `token_type` has to say Bearer (in any letter case, RFC 6749 §5.1) and
    /// `expires_in` has to be a number, as text or not.
    Strict,
}

/// What the token endpoint granted.
#[derive(Debug)]
pub struct Grant {
    /// Visible ASCII, 1 to 4096 bytes: fit for a header as it is.
    pub access_token: SecretString,
    /// How long it lives from the moment it was asked for;
    /// [`SHORTEST_LIFE`] to [`LONGEST_LIFE`].
    pub life: Duration,
    /// The reply did not say a readable life: `life` is [`ASSUMED_LIFE`].
    pub life_was_assumed: bool,
}

/// A failure that may pass by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429.
    Throttled,
    /// Exactly 500, which DQE also answers to a misspelt parameter.
    InternalError,
    /// Any other 5xx, 408, 425, or a status outside 200–599.
    Unavailable,
    /// A success without a body.
    Empty,
    /// A success that carries a web page.
    Html,
    /// A success that is not a JSON object of the right shape.
    Unparsable,
    /// A success without `access_token`.
    NoAccessToken,
    /// An `access_token` that cannot stand in a header, or is absurdly long.
    IllegalAccessToken,
    /// A `token_type` other than Bearer; when read strictly, none as well.
    NotBearer,
    /// An `expires_in` that is missing or unreadable; only when read strictly.
    UnreadableLife,
    /// An `expires_in` of zero or less.
    NoLife,
    /// A success with an `error` member that is none of the documented words.
    ErrorMember,
}

/// A failure that waits for a person, here or at DQE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The licence code or the secret is wrong, or the licence has ended.
    InvalidClient,
    /// The licence is not entitled to this scope.
    UnauthorizedScope,
    /// The endpoint does not know this scope.
    UnsupportedScope,
    /// A parameter is missing or empty.
    InvalidRequest,
    /// Any other 4xx.
    ClientError,
    /// A 3xx: the settings name the wrong address. It is never followed.
    Redirect,
}

/// What a reply means.
#[derive(Debug)]
pub enum Reply {
    /// A token.
    Granted(Grant),
    /// Try again.
    Transient {
        /// What went wrong.
        fault: Fault,
        /// How long the server asks to be left alone (RFC 9110 §10.2.3).
        retry_after: Option<Duration>,
    },
    /// Trying again soon is of no use.
    Permanent {
        /// What is refused.
        refusal: Refusal,
        /// The documented word it was recognised by, in lower case; `None`
        /// when the status alone says it.
        word: Option<&'static str>,
    },
}

/// Reads a reply: its status, its `Retry-After` field and its body, received
/// at `wall`.
#[must_use]
pub fn read_reply(
    status: u16,
    retry_after: Option<&[u8]>,
    body: &[u8],
    wall: SystemTime,
    reading: Reading,
) -> Reply {
    let transient = |fault| Reply::Transient {
        fault,
        retry_after: retry_after.and_then(|value| read_retry_after(value, wall)),
    };
    let refused = |by_status| match documented_word(body) {
        Some((word, refusal)) => Reply::Permanent {
            refusal,
            word: Some(word),
        },
        None => Reply::Permanent {
            refusal: by_status,
            word: None,
        },
    };
    match status {
        200..=299 => match read_success(body, reading) {
            Ok(grant) => Reply::Granted(grant),
            // A documented word is as clear in a 200 as in a 400, and must not be hammered.
            Err(Fault::ErrorMember) => match documented_word(body) {
                Some((word, refusal)) => Reply::Permanent {
                    refusal,
                    word: Some(word),
                },
                None => transient(Fault::ErrorMember),
            },
            Err(fault) => transient(fault),
        },
        300..=399 => Reply::Permanent {
            refusal: Refusal::Redirect,
            word: None,
        },
        408 | 425 => transient(Fault::Unavailable),
        429 => transient(Fault::Throttled),
        401 => refused(Refusal::InvalidClient),
        400..=499 => refused(Refusal::ClientError),
        500 => transient(Fault::InternalError),
        _ => transient(Fault::Unavailable),
    }
}

/// The reply as written. `Value` keeps odd types from spoiling the rest.
#[derive(Deserialize)]
struct SuccessReply {
    access_token: Option<Value>,
    token_type: Option<Value>,
    expires_in: Option<Value>,
    error: Option<Value>,
    /// How older pages on ID Mobile tell an error, beside its words.
    error_id: Option<Value>,
}

fn read_success(body: &[u8], reading: Reading) -> Result<Grant, Fault> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body = body.trim_ascii();
    match body.first() {
        None => return Err(Fault::Empty),
        Some(b'<') => return Err(Fault::Html),
        Some(b'{') => {}
        Some(_) => return Err(Fault::Unparsable),
    }
    let reply: SuccessReply = serde_json::from_slice(body).map_err(|_| Fault::Unparsable)?;
    let errors = [reply.error, reply.error_id];
    if errors.iter().flatten().any(says_something) {
        return Err(Fault::ErrorMember);
    }
    let access_token = match reply.access_token {
        Some(Value::String(text)) if !text.is_empty() => SecretString::from(text),
        Some(_) | None => return Err(Fault::NoAccessToken),
    };
    if !is_legal_token(&access_token) {
        return Err(Fault::IllegalAccessToken);
    }
    if !is_bearer(reply.token_type.as_ref(), reading) {
        return Err(Fault::NotBearer);
    }
    let (life, life_was_assumed) = read_life(reply.expires_in.as_ref())?;
    if life_was_assumed && reading == Reading::Strict {
        return Err(Fault::UnreadableLife);
    }
    Ok(Grant {
        access_token,
        life,
        life_was_assumed,
    })
}

/// An `error` member that is there but says "none" is not an error.
fn says_something(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(true) | Value::Array(_) | Value::Object(_) => true,
    }
}

fn is_legal_token(token: &SecretString) -> bool {
    use secrecy::ExposeSecret;
    let token = token.expose_secret();
    token.len() <= MAX_TOKEN_BYTES && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_bearer(token_type: Option<&Value>, reading: Reading) -> bool {
    let is_lenient = reading == Reading::Lenient;
    match token_type {
        None | Some(Value::Null) => is_lenient,
        Some(Value::String(text)) if is_lenient => {
            text.trim().is_empty() || text.trim().eq_ignore_ascii_case("bearer")
        }
        Some(Value::String(text)) => text.eq_ignore_ascii_case("bearer"),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => false,
    }
}

/// The life, and whether it had to be assumed.
fn read_life(expires_in: Option<&Value>) -> Result<(Duration, bool), Fault> {
    let seconds = match expires_in {
        Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    };
    // "inf" and "NaN" parse as numbers, and a missing life is never an endless one.
    let Some(seconds) = seconds.filter(|seconds| seconds.is_finite()) else {
        return Ok((ASSUMED_LIFE, true));
    };
    if seconds < SHORTEST_LIFE.as_secs_f64() {
        return Err(Fault::NoLife);
    }
    let seconds = seconds.min(LONGEST_LIFE.as_secs_f64());
    Ok((Duration::from_secs_f64(seconds), false))
}

/// The documented words for an error, in plain text or JSON, in any letter
/// case, with spaces, underscores or hyphens.
fn documented_word(body: &[u8]) -> Option<(&'static str, Refusal)> {
    let searched = &body[..body.len().min(SEARCHED_BYTES)];
    let text: String = String::from_utf8_lossy(searched)
        .chars()
        .map(|letter| match letter {
            '_' | '-' | '+' => ' ',
            other => other.to_ascii_lowercase(),
        })
        .collect();
    const WORDS: [(&str, Refusal); 9] = [
        ("invalid client", Refusal::InvalidClient),
        ("unauthorized client", Refusal::UnauthorizedScope),
        ("unauthorised client", Refusal::UnauthorizedScope),
        ("invalid scope", Refusal::UnsupportedScope),
        ("unsupported scope", Refusal::UnsupportedScope),
        ("unknown scope", Refusal::UnsupportedScope),
        ("unsupported grant type", Refusal::UnsupportedScope),
        ("invalid grant", Refusal::InvalidClient),
        ("invalid request", Refusal::InvalidRequest),
    ];
    WORDS.into_iter().find(|(word, _)| text.contains(word))
}

/// `Retry-After`: seconds, or one of the three HTTP-dates (RFC 9110 §5.6.7)
/// relative to `wall`; a date that has passed is no wait. `None` when it is
/// neither.
#[must_use]
pub fn read_retry_after(value: &[u8], wall: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a u64 holds is "very long", as the server meant.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = read_http_date(text)?;
    Some(date.duration_since(wall).unwrap_or_default())
}

/// One of the three HTTP-dates (RFC 9110 §5.6.7). `None` when it is none.
#[must_use]
pub fn read_http_date(text: &str) -> Option<SystemTime> {
    const FORMATS: [&str; 3] = [
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    ];
    FORMATS.into_iter().find_map(|format| {
        let date = jiff::civil::DateTime::strptime(format, text).ok()?;
        let at = jiff::tz::Offset::UTC.to_timestamp(date).ok()?;
        let since_epoch = Duration::from_secs(u64::try_from(at.as_second()).ok()?);
        SystemTime::UNIX_EPOCH.checked_add(since_epoch)
    })
}

#[cfg(test)]
mod tests;
