//! The dialect of DQE's token endpoint: what a reply means. What is asked is
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
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn meaning(status: u16, body: &[u8]) -> String {
        meaning_when(Reading::Lenient, status, body)
    }

    fn meaning_when(reading: Reading, status: u16, body: &[u8]) -> String {
        match read_reply(status, None, body, SystemTime::UNIX_EPOCH, reading) {
            Reply::Granted(grant) => format!(
                "{} {}{}",
                grant.access_token.expose_secret(),
                grant.life.as_secs_f64(),
                if grant.life_was_assumed { "?" } else { "" }
            ),
            Reply::Transient { fault, .. } => format!("{fault:?}"),
            Reply::Permanent { refusal, .. } => format!("! {refusal:?}"),
        }
    }

    #[test]
    fn a_success_means_what_its_members_say() {
        for (body, expected) in [
            // DQE's own example: a string.
            (
                r#"{"access_token":"TK94","token_type":"Bearer","expires_in":"300","refresh_token":"*TK9"}"#,
                "TK94 300",
            ),
            (r#"{"access_token":"t","expires_in":300}"#, "t 300"),
            (r#"{"access_token":"t","expires_in":" 300 "}"#, "t 300"),
            (r#"{"access_token":"t","expires_in":"299.5"}"#, "t 299.5"),
            (
                r#"{"access_token":"t","token_type":"bEARER","expires_in":2}"#,
                "t 2",
            ),
            (
                r#"{"access_token":"t","token_type":null,"expires_in":2}"#,
                "t 2",
            ),
            // Missing or unreadable: 240 s.
            (r#"{"access_token":"t"}"#, "t 240?"),
            (r#"{"access_token":"t","expires_in":null}"#, "t 240?"),
            (r#"{"access_token":"t","expires_in":""}"#, "t 240?"),
            (r#"{"access_token":"t","expires_in":"soon"}"#, "t 240?"),
            (r#"{"access_token":"t","expires_in":"inf"}"#, "t 240?"),
            (r#"{"access_token":"t","expires_in":"NaN"}"#, "t 240?"),
            (r#"{"access_token":"t","expires_in":{}}"#, "t 240?"),
            // Absurd: a day.
            (r#"{"access_token":"t","expires_in":1e30}"#, "t 86400"),
            (
                r#"{"access_token":"t","expires_in":"99999999999999999999"}"#,
                "t 86400",
            ),
            // Dead on arrival.
            (r#"{"access_token":"t","expires_in":0}"#, "NoLife"),
            (r#"{"access_token":"t","expires_in":"0"}"#, "NoLife"),
            (r#"{"access_token":"t","expires_in":-1}"#, "NoLife"),
            (r#"{"access_token":"t","expires_in":"-300"}"#, "NoLife"),
            (r#"{"access_token":"t","expires_in":0.001}"#, "NoLife"),
            // No token worth the name.
            ("", "Empty"),
            (" \r\n", "Empty"),
            ("<html><body>maintenance</body></html>", "Html"),
            ("\u{feff}<!doctype html>", "Html"),
            ("OK", "Unparsable"),
            ("[]", "Unparsable"),
            ("{", "Unparsable"),
            (
                r#"{"access_token":"t","expires_in":"300"} trailing"#,
                "Unparsable",
            ),
            ("{}", "NoAccessToken"),
            (r#"{"access_token":""}"#, "NoAccessToken"),
            (r#"{"access_token":null}"#, "NoAccessToken"),
            (r#"{"access_token":5}"#, "NoAccessToken"),
            (r#"{"access_token":"a b"}"#, "IllegalAccessToken"),
            (r#"{"access_token":"a\r\nX: y"}"#, "IllegalAccessToken"),
            (r#"{"access_token":"é"}"#, "IllegalAccessToken"),
            (r#"{"access_token":"t","token_type":"mac"}"#, "NotBearer"),
            (
                r#"{"access_token":"t","error":"server_error"}"#,
                "ErrorMember",
            ),
            (r#"{"error":"invalid_client"}"#, "! InvalidClient"),
            (r#"{"access_token":"t","error":"","expires_in":9}"#, "t 9"),
            (r#"{"access_token":"t","error":null,"expires_in":9}"#, "t 9"),
        ] {
            assert_eq!(meaning(200, body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_strict_reader_takes_the_documented_success_only_and_says_what_is_wrong() {
        for (body, expected) in [
            (
                r#"{"access_token":"TK94","token_type":"Bearer","expires_in":"300","refresh_token":"*TK9"}"#,
                "TK94 300",
            ),
            (
                r#"{"access_token":"t","token_type":"bearer","expires_in":300}"#,
                "t 300",
            ),
            (r#"{"access_token":"t","expires_in":"300"}"#, "NotBearer"),
            (
                r#"{"access_token":"t","token_type":null,"expires_in":"300"}"#,
                "NotBearer",
            ),
            (
                r#"{"access_token":"t","token_type":"","expires_in":"300"}"#,
                "NotBearer",
            ),
            (
                r#"{"access_token":"t","token_type":" Bearer","expires_in":"300"}"#,
                "NotBearer",
            ),
            (
                r#"{"access_token":"t","token_type":"mac","expires_in":"300"}"#,
                "NotBearer",
            ),
            (
                r#"{"access_token":"t","token_type":"Bearer"}"#,
                "UnreadableLife",
            ),
            (
                r#"{"access_token":"t","token_type":"Bearer","expires_in":null}"#,
                "UnreadableLife",
            ),
            (
                r#"{"access_token":"t","token_type":"Bearer","expires_in":"soon"}"#,
                "UnreadableLife",
            ),
            (
                r#"{"access_token":"t","token_type":"Bearer","expires_in":"0"}"#,
                "NoLife",
            ),
            (
                r#"{"access_token":"","token_type":"Bearer","expires_in":"300"}"#,
                "NoAccessToken",
            ),
            (
                r#"{"access_token":7,"token_type":"Bearer","expires_in":"300"}"#,
                "NoAccessToken",
            ),
            (
                r#"{"token_type":"Bearer","expires_in":"300"}"#,
                "NoAccessToken",
            ),
            ("<html>", "Html"),
            ("", "Empty"),
            ("TK94", "Unparsable"),
        ] {
            assert_eq!(
                meaning_when(Reading::Strict, 200, body.as_bytes()),
                expected,
                "{body}"
            );
        }
        // Of failures both readers say the same.
        assert_eq!(
            meaning_when(Reading::Strict, 400, b"Invalid Client"),
            "! InvalidClient"
        );
    }

    #[test]
    fn a_refusal_names_the_word_it_was_recognised_by() {
        for (status, body, expected) in [
            (400, "Error (Invalid Request)", Some("invalid request")),
            (400, "Error (Invalid Client)", Some("invalid client")),
            (
                400,
                "Error (Unauthorized Client)",
                Some("unauthorized client"),
            ),
            (
                400,
                "Error (Unsupported Grant Type)",
                Some("unsupported grant type"),
            ),
            (
                400,
                r#"{"error":"INVALID_CLIENT","secret":"hunter2"}"#,
                Some("invalid client"),
            ),
            (200, r#"{"error":"invalid_scope"}"#, Some("invalid scope")),
            (401, "", None),
            (403, "hunter2", None),
            (302, "Invalid Client", None),
        ] {
            let reply = read_reply(
                status,
                None,
                body.as_bytes(),
                SystemTime::UNIX_EPOCH,
                Reading::Lenient,
            );
            let Reply::Permanent { word, .. } = reply else {
                panic!("{status} {body}: {reply:?}");
            };
            assert_eq!(word, expected, "{status} {body}");
        }
    }

    #[test]
    fn a_token_too_long_for_a_header_is_refused() {
        let body = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(5000));
        assert_eq!(meaning(200, body.as_bytes()), "IllegalAccessToken");
    }

    #[test]
    fn a_failure_is_known_by_status_and_by_word_where_there_is_one() {
        for (status, body, expected) in [
            (400, "Invalid Client", "! InvalidClient"),
            (400, r#"{"error":"invalid_client"}"#, "! InvalidClient"),
            (400, "Error (Unauthorized Client)", "! UnauthorizedScope"),
            (
                400,
                r#"{"error":"UNAUTHORIZED_CLIENT"}"#,
                "! UnauthorizedScope",
            ),
            (400, "Unsupported Grant Type", "! UnsupportedScope"),
            (
                400,
                r#"{"error":"unsupported_grant_type"}"#,
                "! UnsupportedScope",
            ),
            (400, r#"{"error":"invalid_scope"}"#, "! UnsupportedScope"),
            (400, "<p>Invalid Request</p>", "! InvalidRequest"),
            (400, "", "! ClientError"),
            (400, "\u{0}\u{1}", "! ClientError"),
            (401, "", "! InvalidClient"),
            (401, "unauthorized_client", "! UnauthorizedScope"),
            (403, "forbidden", "! ClientError"),
            (404, "<html>", "! ClientError"),
            (408, "", "Unavailable"),
            (425, "", "Unavailable"),
            (429, "", "Throttled"),
            (500, "Invalid Client", "InternalError"),
            (502, "", "Unavailable"),
            (503, "", "Unavailable"),
            (301, "", "! Redirect"),
            (304, "", "! Redirect"),
            (204, "", "Empty"),
            (201, r#"{"access_token":"t","expires_in":9}"#, "t 9"),
            (999, "", "Unavailable"),
        ] {
            assert_eq!(
                meaning(status, body.as_bytes()),
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        // Sunday, 6 November 1994, 08:49:37 GMT, the example of RFC 9110.
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wall = date - Duration::from_secs(90);
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(90)),
            ("Sun Nov  6 08:49:37 1994", Some(90)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 66 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(
                read_retry_after(value.as_bytes(), wall),
                expected.map(Duration::from_secs),
                "{value}"
            );
        }
        assert_eq!(read_retry_after(b"\xff", wall), None);
    }

    #[test]
    fn a_grant_never_prints_its_token() {
        let reply = read_reply(
            200,
            None,
            br#"{"access_token":"hunter2"}"#,
            SystemTime::UNIX_EPOCH,
            Reading::Lenient,
        );
        assert!(!format!("{reply:?}").contains("hunter2"));
    }

    fn json_value() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("null".to_owned()),
            any::<f64>().prop_map(|number| format!("{number:e}")),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<i64>().prop_map(|number| format!("\"{number}\"")),
            "[ -~]{0,12}".prop_map(|text| Value::String(text).to_string()),
            Just("{}".to_owned()),
            Just("true".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            status in 0_u16..1000,
            body in proptest::collection::vec(any::<u8>(), 0..300),
            retry_after in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            for reading in [Reading::Lenient, Reading::Strict] {
                let _ = read_reply(status, Some(&retry_after), &body, SystemTime::now(), reading);
            }
        }

        #[test]
        fn a_granted_life_is_never_endless_and_never_nothing(
            life in json_value(),
            token in json_value(),
            kind in json_value(),
        ) {
            let body = format!(
                r#"{{"access_token":{token},"token_type":{kind},"expires_in":{life}}}"#
            );
            if let Reply::Granted(grant) =
                read_reply(200, None, body.as_bytes(), SystemTime::now(), Reading::Lenient)
            {
                prop_assert!(grant.life >= SHORTEST_LIFE && grant.life <= LONGEST_LIFE);
                prop_assert!(http::HeaderValue::from_str(
                    grant.access_token.expose_secret()).is_ok());
            }
        }
    }
}
