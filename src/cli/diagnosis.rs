//! A token call that brought nothing, in words: what was answered, what that
//! means, what to do, and on whose side it is. Pure; never a byte of a reply.

use dqe_proxy::token::{FetchError, Obstacle, Reason};

/// What a person is told about one failed token call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// What the endpoint answered, or that it did not.
    pub(crate) answered: String,
    /// What that means.
    pub(crate) means: &'static str,
    /// What to do about it.
    pub(crate) to_do: &'static str,
    /// Who has to do it.
    pub(crate) side: &'static str,
}

const HERE: &str = "these settings";
const DQE: &str = "DQE";
const WAY: &str = "the way to DQE: this machine, its network or a gateway";
const CONTRACT: &str = "the contract with DQE";
const HERE_OR_CONTRACT: &str = "these settings, or the contract with DQE";
const HERE_OR_WAY: &str = "these settings, or a gateway on the way to DQE";
const DQE_OR_WAY: &str = "DQE, or a gateway on the way to it";
const BY_ITSELF: &str =
    "nothing, if it passes: a running proxy tries again by itself; if it stays, tell DQE";

/// Words for `error`; `None` when no call was made.
pub(crate) fn diagnose(error: &FetchError) -> Option<Diagnosis> {
    let FetchError::Refused {
        reason,
        status,
        retry_after,
        word,
        obstacle,
        ..
    } = error
    else {
        return None;
    };
    let (means, to_do, side) = match obstacle {
        Some(obstacle) => of_obstacle(*obstacle),
        None => of_reason(*reason, *status),
    };
    let mut answered = match (status, word) {
        (Some(status), Some(word)) => {
            format!("status {status}, and the documented word \"{word}\"")
        }
        (Some(status), None) if reason.is_permanent() => {
            format!("status {status}, without a documented word")
        }
        (Some(status), None) => format!("status {status}"),
        (None, _) if obstacle.is_some() => "nothing: no connection came about".to_owned(),
        (None, _) => "nothing, or not to the end".to_owned(),
    };
    if let Some(wait) = retry_after {
        answered.push_str(&format!(", and to wait {} s", wait.as_secs()));
    }
    Some(Diagnosis {
        answered,
        means,
        to_do,
        side,
    })
}

/// Whether another secret may fare better: DQE documents no answer to a wrong
/// one, so every refusal that does not name another cause counts.
pub(crate) fn may_be_the_secret(error: &FetchError) -> bool {
    match error {
        FetchError::Secret(_) => true,
        FetchError::Refused { reason, .. } => {
            matches!(reason, Reason::InvalidClient | Reason::ClientError)
        }
        FetchError::Settings(_) => false,
    }
}

type Words = (&'static str, &'static str, &'static str);

fn of_obstacle(obstacle: Obstacle) -> Words {
    match obstacle {
        Obstacle::Name => (
            "the name of the token server has no address here",
            "check the name in dqe.servers and token.server, and name resolution on this machine",
            WAY,
        ),
        Obstacle::Refused => (
            "nothing accepts connections at the address of the token server",
            "check host and port in dqe.servers and token.server; if they are right, the server is down or a firewall refuses",
            "these settings, the way to DQE, or DQE",
        ),
        Obstacle::NoWay => (
            "no connection to the token server comes about: it is silent, or there is no way to it",
            "check that this machine may connect to it: firewall, routing, egress rules",
            WAY,
        ),
        Obstacle::Certificate => (
            "the certificate of the token server is not trusted: unknown authority, another name, or out of its dates",
            "if a gateway of yours opens TLS, put its authority into upstream.ca_files; otherwise check the name and the clock of this machine; verification cannot be switched off",
            WAY,
        ),
        Obstacle::Tls => (
            "the other side does not speak TLS 1.2 or 1.3, or ends the handshake",
            "check the port in dqe.servers and token.server, and gateways on the way",
            HERE_OR_WAY,
        ),
    }
}

fn of_reason(reason: Reason, status: Option<u16>) -> Words {
    match reason {
        Reason::InvalidRequest => (
            "the token endpoint misses client_id, client_secret or scope, or finds one of them empty",
            "the proxy sends all three, none of them empty: check token.method and token.scope_parameter, and that no gateway drops the body of the form",
            HERE_OR_WAY,
        ),
        Reason::InvalidClient => (
            "the licence code is unknown, has ended or is out of its contract; a wrong client secret may be answered the same way",
            "compare dqe.licence and the client secret with what DQE gave you, letter by letter; if both are right, ask DQE whether the licence is active",
            HERE_OR_CONTRACT,
        ),
        Reason::UnauthorizedScope => (
            "the licence is not entitled to this scope; other scopes are not concerned",
            "ask DQE to open the scope to the licence, or leave it out of dqe.scopes",
            CONTRACT,
        ),
        Reason::UnsupportedScope => (
            "the token endpoint does not know this scope, or reads it under another name",
            "check token.scope_parameter (older endpoints read grant_type), token.server and token.path",
            HERE,
        ),
        Reason::InternalError | Reason::NeverWorked => (
            "DQE answers 500 to a misspelt parameter; a failure of its own looks the same",
            "if it has never worked with these settings, check token.scope_parameter, token.extra_parameters, token.method and token.path; if it has, wait: a running proxy tries again by itself",
            "these settings if it has never worked, DQE if it has",
        ),
        Reason::Redirect => (
            "the token endpoint sends to another address; the secret is never sent after it",
            "put the right address into token.server and token.path: https, and the slash at the end",
            HERE_OR_WAY,
        ),
        Reason::ClientError => of_client_error(status),
        Reason::Throttled => (
            "the token endpoint asks for fewer calls",
            "wait a minute and try again; look for other programs that ask for tokens with this licence",
            "whoever calls too often with this licence, or DQE's limits",
        ),
        Reason::EndpointUnavailable => {
            ("the token endpoint is not available", BY_ITSELF, DQE_OR_WAY)
        }
        Reason::TimedOut => (
            "no whole reply has come in time",
            "try again; if it stays so, check the way to the server, then ask DQE",
            DQE_OR_WAY,
        ),
        Reason::Broken => (
            "the connection was closed before the reply was complete, or what came is no HTTP",
            "try again; if it stays so, check port and scheme in dqe.servers and token.server, then ask DQE",
            DQE_OR_WAY,
        ),
        Reason::Unreachable => (
            "no connection to the token server comes about",
            "check host and port in dqe.servers and token.server, and that this machine may connect to it",
            WAY,
        ),
        Reason::EmptyReply => ("a success without a body", BY_ITSELF, DQE_OR_WAY),
        Reason::HtmlReply => (
            "a web page came in place of a token: a maintenance page, a log-in page of a gateway, or another address than the token endpoint's",
            "check token.server and token.path, and whether a gateway answers in place of DQE",
            "these settings, a gateway on the way, or DQE",
        ),
        Reason::TooLarge => (
            "the reply is far larger than a token",
            "check token.server and token.path, and whether a gateway answers in place of DQE",
            HERE_OR_WAY,
        ),
        Reason::UnparsableReply => (
            "a success that is not the documented JSON",
            "check token.server and token.path; if they are right, tell DQE",
            "these settings, or DQE",
        ),
        Reason::NoAccessToken => (
            "a success without an access_token, or with an empty one",
            "check token.server and token.path; if they are right, tell DQE",
            "these settings, or DQE",
        ),
        Reason::IllegalAccessToken => (
            "the access_token holds characters that no header can carry, or is longer than 4096 bytes",
            "tell DQE",
            DQE,
        ),
        Reason::NotBearer => (
            "the reply does not say that the token is a Bearer token",
            "tell DQE; where the type is merely left out, token.reply = \"lenient\" takes it for granted",
            "DQE, or token.reply in these settings",
        ),
        Reason::UnreadableLife => (
            "the reply does not say in a readable way how long the token lives",
            "tell DQE; token.reply = \"lenient\" takes it to be 240 s",
            "DQE, or token.reply in these settings",
        ),
        Reason::NoLife => (
            "the token had already expired when it came",
            "tell DQE",
            DQE,
        ),
        Reason::ErrorMember => (
            "a success whose body reports an error that is not documented",
            BY_ITSELF,
            DQE,
        ),
        // None of these is the outcome of a call.
        Reason::Starting | Reason::Renewing | Reason::SecretUnreadable => {
            (reason.sentence(), "try again", HERE)
        }
    }
}

/// What DQE does not document at all: the status is all there is.
fn of_client_error(status: Option<u16>) -> Words {
    match status {
        Some(403) => (
            "the request is forbidden, for a reason that is not said",
            "ask DQE whether calls from the public address of this machine are allowed; check the client secret and gateways on the way",
            "the contract with DQE, or a gateway on the way to it",
        ),
        Some(404 | 410) => (
            "there is no token endpoint at this address",
            "check token.path, token.server and dqe.servers",
            HERE,
        ),
        Some(405) => (
            "the token endpoint does not take this method",
            "set token.method to the other of post and get; check token.path",
            HERE,
        ),
        Some(407) => (
            "a gateway on the way asks for a log-in of its own",
            "let this machine connect to the token server directly",
            WAY,
        ),
        _ => (
            "the request is refused, for a reason that is not said; a wrong client secret may be answered this way",
            "compare dqe.licence and the client secret with what DQE gave you, letter by letter; check token.path and token.method",
            HERE_OR_CONTRACT,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: Reason, status: Option<u16>, word: Option<&'static str>) -> FetchError {
        FetchError::Refused {
            reason,
            status,
            retry_after: None,
            word,
            obstacle: None,
            detail: None,
        }
    }

    #[test]
    fn every_failure_of_a_call_has_words_of_its_own() {
        let told: Vec<Diagnosis> = Reason::FAILURES
            .into_iter()
            .filter(|reason| *reason != Reason::SecretUnreadable)
            .map(|reason| diagnose(&refused(reason, None, None)).unwrap())
            .collect();
        for (index, diagnosis) in told.iter().enumerate() {
            for text in [diagnosis.means, diagnosis.to_do, diagnosis.side] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{diagnosis:?}");
            }
            let twins = told[..index]
                .iter()
                .filter(|other| other.means == diagnosis.means);
            // A 500 at the first try and one that never ended are one matter.
            let expected = usize::from(diagnosis.means.contains("500"));
            assert!(twins.count() <= expected, "{diagnosis:?}");
        }
    }

    #[test]
    fn the_answer_is_told_by_status_and_word() {
        for (error, expected) in [
            (
                refused(Reason::InvalidClient, Some(400), Some("invalid client")),
                "status 400, and the documented word \"invalid client\"",
            ),
            (
                refused(Reason::ClientError, Some(404), None),
                "status 404, without a documented word",
            ),
            (
                refused(Reason::InternalError, Some(500), None),
                "status 500",
            ),
            (
                refused(Reason::TimedOut, None, None),
                "nothing, or not to the end",
            ),
        ] {
            assert_eq!(diagnose(&error).unwrap().answered, expected);
        }
    }
}
