//! The two probes. A restart cures no token trouble, so liveness asks for
//! none; readiness takes one usable token for enough, because a scope that is
//! refused must not take the others down with it.

use std::fmt::Write;

use http::StatusCode;

use super::source::{TokenView, is_ready};
use super::{Answer, Source};
use crate::token::TokenState;

pub(super) fn live() -> Answer {
    Answer::text(StatusCode::OK, "ok\n")
}

pub(super) fn ready(source: &dyn Source, is_verbose: bool) -> Answer {
    let (is_draining, tokens) = (source.is_draining(), source.tokens());
    let is_ready = is_ready(is_draining, &tokens);
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    // Whoever reads a failure wants to know what failed.
    let body = if is_ready && !is_verbose {
        "ok\n".to_owned()
    } else {
        report(is_ready, is_draining, &tokens)
    };
    Answer::text(status, body)
}

/// One line per check, as Kubernetes writes them.
fn report(is_ready: bool, is_draining: bool, tokens: &[TokenView]) -> String {
    let mut text = String::new();
    text.push_str(if is_draining {
        "[-]accepting failed: draining\n"
    } else {
        "[+]accepting ok\n"
    });
    for token in tokens {
        push_token(&mut text, token);
    }
    text.push_str(if is_ready {
        "readyz check passed\n"
    } else {
        "readyz check failed\n"
    });
    text
}

fn push_token(text: &mut String, token: &TokenView) {
    let (mark, verdict) = if token.state.is_usable() {
        ('+', "ok")
    } else {
        ('-', "failed")
    };
    let (scope, state) = (token.scope, token.state.as_str());
    // Writing to a String cannot fail.
    let _ = write!(text, "[{mark}]token {scope} {verdict}: {state}");
    if let Some(seconds) = token.seconds_to_expiry {
        let _ = write!(text, ", {seconds:.1} s to expiry");
    }
    if let Some(reason) = reason(token) {
        text.push_str(", ");
        text.push_str(reason);
    }
    text.push('\n');
}

/// Why the token is not as it should be.
fn reason(token: &TokenView) -> Option<&'static str> {
    let error = token.last_error.map(|error| error.sentence);
    error.or(match token.state {
        TokenState::Waiting => Some("the first one has been asked for"),
        TokenState::Expired => Some("a new one has been asked for"),
        TokenState::Fresh | TokenState::Stale | TokenState::Refused => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{LastError, testing};
    use super::*;

    fn token(state: TokenState, seconds: Option<f64>, sentence: Option<&'static str>) -> TokenView {
        let code = "a_word";
        TokenView {
            last_error: sentence.map(|sentence| LastError { code, sentence }),
            ..testing::token("client_phone", state, seconds)
        }
    }

    #[test]
    fn ready_means_not_draining_and_one_usable_token() {
        for state in TokenState::ALL {
            let tokens = [
                token(TokenState::Refused, None, None),
                token(state, None, None),
            ];
            assert_eq!(is_ready(false, &tokens), state.is_usable(), "{state:?}");
            assert!(!is_ready(true, &tokens), "{state:?} while draining");
        }
        assert!(!is_ready(false, &[]));
    }

    #[test]
    fn each_scope_tells_how_its_token_stands() {
        let tokens = [
            token(TokenState::Fresh, Some(142.96), None),
            token(
                TokenState::Stale,
                Some(60.0),
                Some("the endpoint answers 500"),
            ),
            token(TokenState::Expired, None, None),
            token(TokenState::Expired, None, Some("the endpoint answers 503")),
            token(TokenState::Waiting, None, None),
            token(TokenState::Refused, None, Some("unknown scope")),
        ];
        let expected = "\
[+]accepting ok
[+]token client_phone ok: fresh, 143.0 s to expiry
[+]token client_phone ok: stale, 60.0 s to expiry, the endpoint answers 500
[-]token client_phone failed: expired, a new one has been asked for
[-]token client_phone failed: expired, the endpoint answers 503
[-]token client_phone failed: waiting, the first one has been asked for
[-]token client_phone failed: refused, unknown scope
readyz check passed
";
        assert_eq!(report(true, false, &tokens), expected);
        assert!(report(false, true, &[]).starts_with("[-]accepting failed: draining\n"));
    }
}
