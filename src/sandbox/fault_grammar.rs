//! Faults as they are written.
//!
//! Grammar, the same everywhere: `[target:]kind[=value][,option=value…]`
//!
//! - target: `token`, `business`, `any`, `path=/TEL/`, `scope=client_b2b`, or several joined by
//!   `&` that must all hold. Without a target: `business`; for `refuse` and `refuse-scope`: `token`.
//! - kind: see [`KINDS`].
//! - `any-of=KIND|KIND…` draws one of several kinds for each request it hits; a kind that is
//!   written twice is twice as likely.
//! - options: `times=N` (the next N only), `after=N` (let N pass first), `probability=0.1`
//!   (seeded), `retry-after=SECONDS` (with `status`).
//!
//! Examples: `token:status=503,retry-after=2,times=3` · `business:slow=200ms` ·
//! `any:redirect=https://elsewhere.example/` (with its target, since the first colon ends one) ·
//! `path=/TEL/:reset` · `scope=client_email:unauthorized,probability=0.5` ·
//! `token:any-of=status=500|reset|hang|html-200|empty-200,probability=0.3`.

use super::fault::{Fault, Kind, Loss, Target};
use super::scope::Scope;
use super::switches::parse_duration;
use super::token_endpoint::Outcome;

/// Every kind of fault, with what it does.
pub const KINDS: [(&str, &str); 21] = [
    ("slow=DURATION", "answers after this long"),
    ("hang", "never answers, until the connection closes"),
    ("reset", "sends a TCP reset before any answer byte"),
    (
        "reset-after-head",
        "sends a TCP reset in the middle of the body",
    ),
    ("cut-body", "promises more bytes than it sends, then closes"),
    (
        "status=CODE",
        "answers this status; with retry-after=SECONDS",
    ),
    ("redirect=URL", "answers 302 with this Location"),
    ("garbage", "answers bytes that are no HTTP, then closes"),
    ("html-200", "answers 200 with a page of HTML"),
    ("empty-200", "answers 200 with nothing"),
    (
        "truncated-json",
        "answers half of the JSON, correctly framed",
    ),
    (
        "revoke[=all|SCOPE]",
        "revokes tokens before the request is judged",
    ),
    (
        "refuse-scope=SCOPE",
        "the token endpoint does not grant this scope",
    ),
    (
        "refuse=ERROR",
        "the token endpoint refuses with a documented error",
    ),
    (
        "wrong-content-length=large|small",
        "announces a length that is not the body's",
    ),
    ("unauthorized", "answers 401 whatever the credential"),
    ("wrong-answer", "answers well-formed but wrong data"),
    ("early-answer", "answers before it has read the body"),
    (
        "close-after-answer",
        "answers as if the connection stayed open, then closes",
    ),
    (
        "lose-reply[=reset|stall|empty|html|500]",
        "does what was asked, issues the token, loses the reply",
    ),
    (
        "any-of=KIND|KIND…",
        "draws one of these kinds for each request it hits",
    ),
];

/// Why a fault's text is refused; the sentence says what exists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct FaultError {
    sentence: String,
}

/// Whether `text` is a fault, without setting it.
///
/// # Errors
/// When it is none: what there is.
pub fn check(text: &str) -> Result<(), FaultError> {
    parse(text).map(|_| ())
}

/// Reads one fault.
pub(crate) fn parse(text: &str) -> Result<Fault, FaultError> {
    let text = text.trim();
    let (targets, what) = match text.split_once(':') {
        Some((targets, what)) => (
            targets
                .split('&')
                .map(|target| parse_target(target.trim()))
                .collect::<Result<Vec<_>, _>>()?,
            what,
        ),
        None => (Vec::new(), text),
    };
    let mut parts = what.split(',').map(str::trim);
    let kind_text = parts.next().unwrap_or_default();
    let kind = match kind_text.strip_prefix("any-of=") {
        Some(kinds) => parse_alternatives(kinds)?,
        None => parse_kind(kind_text)?,
    };
    let mut fault = Fault {
        targets,
        kind,
        times: None,
        after: 0,
        probability: 1.0,
    };
    if fault.targets.is_empty() {
        let endpoint = if is_of_the_token_endpoint(&fault.kind) {
            Target::Token
        } else {
            Target::Business
        };
        fault.targets.push(endpoint);
    }
    let aims_there = |target: &Target| matches!(target, Target::Token | Target::Path(_));
    if is_of_the_token_endpoint(&fault.kind) && !fault.targets.iter().any(aims_there) {
        return Err(refuse(
            "refuse and refuse-scope are for the token endpoint: token:refuse=invalid_client"
                .to_owned(),
        ));
    }
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let number = || {
            value
                .parse()
                .map_err(|_| refuse(format!("option {name} takes a whole number, not {value:?}")))
        };
        match name {
            "times" => fault.times = Some(number()?),
            "after" => fault.after = number()?,
            "retry-after" => {
                let seconds = number()?;
                if !set_retry_after(&mut fault.kind, seconds) {
                    return Err(refuse(
                        "option retry-after goes with status=CODE only".to_owned(),
                    ));
                }
            }
            "probability" => {
                fault.probability = value
                    .parse()
                    .ok()
                    .filter(|probability| (0.0..=1.0).contains(probability))
                    .ok_or_else(|| {
                        refuse(format!("option probability takes 0 to 1, not {value:?}"))
                    })?;
            }
            other => {
                return Err(refuse(format!(
                    "there is no option {other:?}; there are times, after, probability, retry-after"
                )));
            }
        }
    }
    Ok(fault)
}

fn is_of_the_token_endpoint(kind: &Kind) -> bool {
    match kind {
        Kind::RefuseScope(_) | Kind::Refuse(_) => true,
        Kind::AnyOf(kinds) => kinds.iter().any(is_of_the_token_endpoint),
        _ => false,
    }
}

/// `early-answer` has no place among alternatives: it is decided before the body is read.
fn parse_alternatives(text: &str) -> Result<Kind, FaultError> {
    let mut kinds = Vec::new();
    for word in text.split('|') {
        let kind = parse_kind(word.trim())?;
        if kind == Kind::EarlyAnswer {
            return Err(refuse(
                "early-answer cannot be one of any-of: it is decided before the others".to_owned(),
            ));
        }
        kinds.push(kind);
    }
    Ok(Kind::AnyOf(kinds))
}

/// Whether there was a status to say it with.
fn set_retry_after(kind: &mut Kind, seconds: u64) -> bool {
    match kind {
        Kind::Status { retry_after, .. } => {
            *retry_after = Some(seconds);
            true
        }
        Kind::AnyOf(kinds) => {
            let set = kinds
                .iter_mut()
                .filter_map(|kind| set_retry_after(kind, seconds).then_some(()));
            set.count() > 0
        }
        _ => false,
    }
}

fn parse_target(text: &str) -> Result<Target, FaultError> {
    match text.split_once('=') {
        None if text == "token" => Ok(Target::Token),
        None if text == "business" => Ok(Target::Business),
        None if text == "any" => Ok(Target::Any),
        Some(("path", path)) if path.starts_with('/') => Ok(Target::Path(path.to_owned())),
        Some(("scope", scope)) => parse_scope(scope).map(Target::Scope),
        Some(_) | None => Err(refuse(format!(
            "there is no target {text:?}; there are token, business, any, path=/TEL/, scope=client_b2b, joined by &"
        ))),
    }
}

fn parse_kind(text: &str) -> Result<Kind, FaultError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let kind = match (name, value) {
        ("slow", Some(value)) => Kind::Slow(parse_duration(value).ok_or_else(|| {
            refuse(format!(
                "slow takes a duration such as 200ms or 2s, not {value:?}"
            ))
        })?),
        ("hang", None) => Kind::Hang,
        ("reset", None) => Kind::Reset,
        ("reset-after-head", None) => Kind::ResetAfterHead,
        ("cut-body", None) => Kind::CutBody,
        ("status", Some(value)) => Kind::Status {
            code: value
                .parse()
                .ok()
                .filter(|code| (200..=599).contains(code))
                .ok_or_else(|| {
                    refuse(format!(
                        "status takes a code from 200 to 599, not {value:?}"
                    ))
                })?,
            retry_after: None,
        },
        ("redirect", Some(place)) if is_location(place) => Kind::Redirect(place.to_owned()),
        ("garbage", None) => Kind::Garbage,
        ("html-200", None) => Kind::Html200,
        ("empty-200", None) => Kind::Empty200,
        ("truncated-json", None) => Kind::TruncatedJson,
        ("revoke", None | Some("all")) => Kind::Revoke(None),
        ("revoke", Some(scope)) => Kind::Revoke(Some(parse_scope(scope)?)),
        ("refuse-scope", Some(scope)) => Kind::RefuseScope(parse_scope(scope)?),
        ("refuse", Some(error)) => Kind::Refuse(parse_refusal(error)?),
        ("wrong-content-length", Some("large")) => Kind::WrongContentLength { larger: true },
        ("wrong-content-length", Some("small")) => Kind::WrongContentLength { larger: false },
        ("unauthorized", None) => Kind::Unauthorized,
        ("wrong-answer", None) => Kind::WrongAnswer,
        ("early-answer", None) => Kind::EarlyAnswer,
        ("close-after-answer", None) => Kind::CloseAfterAnswer,
        ("lose-reply", None | Some("reset")) => Kind::LoseReply(Loss::Reset),
        ("lose-reply", Some("stall")) => Kind::LoseReply(Loss::Stall),
        ("lose-reply", Some("empty")) => Kind::LoseReply(Loss::Empty),
        ("lose-reply", Some("html")) => Kind::LoseReply(Loss::Html),
        ("lose-reply", Some("500")) => Kind::LoseReply(Loss::Status500),
        _ => {
            let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
            return Err(refuse(format!(
                "there is no fault {text:?}; there are {}",
                known.join(", ")
            )));
        }
    };
    Ok(kind)
}

/// Visible ASCII: it stands in a header as it is.
fn is_location(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn parse_refusal(text: &str) -> Result<Outcome, FaultError> {
    match text {
        "invalid_request" => Ok(Outcome::InvalidRequest),
        "invalid_client" => Ok(Outcome::InvalidClient),
        "unauthorized_client" => Ok(Outcome::UnauthorizedClient),
        "unsupported_grant_type" => Ok(Outcome::UnsupportedGrantType),
        _ => Err(refuse(format!(
            "refuse takes invalid_request, invalid_client, unauthorized_client or \
             unsupported_grant_type, not {text:?}"
        ))),
    }
}

fn parse_scope(text: &str) -> Result<Scope, FaultError> {
    Scope::from_name(text).ok_or_else(|| {
        let known: Vec<&str> = Scope::OAUTH.iter().map(|scope| scope.name()).collect();
        refuse(format!(
            "there is no scope {text:?}; there are {}, client_idmobile",
            known.join(", ")
        ))
    })
}

fn refuse(sentence: String) -> FaultError {
    FaultError { sentence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_kind_is_understood() {
        for (kind, _) in KINDS {
            let text = kind
                .replace("DURATION", "1s")
                .replace("CODE", "503")
                .replace("ERROR", "invalid_client")
                .replace("URL", "/elsewhere")
                .replace("[=all|SCOPE]", "=client_b2b")
                .replace("SCOPE", "client_b2b")
                .replace("large|small", "small")
                .replace("[=reset|stall|empty|html|500]", "=stall")
                .replace("KIND|KIND…", "reset|status=500|revoke=all");
            assert!(parse(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_what_exists() {
        for (text, told) in [
            ("explode", "wrong-answer"),
            ("server:reset", "business, any"),
            ("slow=soon", "200ms"),
            ("status=99", "200 to 599"),
            ("reset,often=3", "times, after"),
            ("reset,times=x", "whole number"),
            ("reset,retry-after=1", "status=CODE"),
            ("reset,probability=2", "0 to 1"),
            ("scope=phone:reset", "client_phone"),
            ("", "there is no fault"),
            ("business:redirect=", "redirect=URL"),
            ("refuse=invalid", "unsupported_grant_type"),
            ("business:refuse=invalid_client", "token endpoint"),
            ("any:any-of=reset|refuse=invalid_client", "token endpoint"),
            ("scope=client_b2b:refuse-scope=client_b2b", "token endpoint"),
            ("lose-reply=fire", "lose-reply[=reset|stall"),
            ("any-of=reset|explode", "wrong-answer"),
            ("any-of=reset|early-answer", "before the others"),
            ("any-of=reset|any-of=hang", "there is no fault"),
            ("any-of=reset|hang,retry-after=1", "status=CODE"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
