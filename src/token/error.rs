//! Why there is no token, in words that carry no secret.

use std::time::Duration;

use crate::dqe::token_reply::{Fault, Refusal};

/// Why a token call failed, or why a scope has no usable token. A closed list:
/// [`Self::as_str`] is stable (metrics, logs, documentation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The first attempt has not ended.
    Starting,
    /// A renewal that should be over soon is under way.
    Renewing,
    /// The client secret cannot be read.
    SecretUnreadable,
    /// No connection to the token endpoint: name, network, port or TLS.
    Unreachable,
    /// The token endpoint was silent for too long.
    TimedOut,
    /// The connection broke before the reply was complete.
    Broken,
    /// 429.
    Throttled,
    /// 500 after this scope has had a token.
    InternalError,
    /// 408, 425, or a 5xx other than 500.
    EndpointUnavailable,
    /// A reply larger than 64 KiB.
    TooLarge,
    /// A success without a body.
    EmptyReply,
    /// A web page where a token should be.
    HtmlReply,
    /// A success that is not the documented JSON.
    UnparsableReply,
    /// A success without `access_token`.
    NoAccessToken,
    /// An `access_token` that cannot stand in a header.
    IllegalAccessToken,
    /// A `token_type` other than Bearer; when read strictly, none as well.
    NotBearer,
    /// An `expires_in` that is missing or unreadable; only when read strictly.
    UnreadableLife,
    /// An `expires_in` of zero or less.
    NoLife,
    /// An `error` member in a success.
    ErrorMember,
    /// A 500 that has never been anything else with these settings.
    NeverWorked,
    /// Wrong licence code or secret, or an ended licence.
    InvalidClient,
    /// The licence is not entitled to the scope.
    UnauthorizedScope,
    /// The endpoint does not know the scope.
    UnsupportedScope,
    /// A parameter is missing or empty.
    InvalidRequest,
    /// Any other 4xx.
    ClientError,
    /// A redirect, which is never followed.
    Redirect,
}

impl Reason {
    /// Every reason a token call can fail for, in the order of the counters.
    pub const FAILURES: [Self; 24] = [
        Self::SecretUnreadable,
        Self::Unreachable,
        Self::TimedOut,
        Self::Broken,
        Self::Throttled,
        Self::InternalError,
        Self::EndpointUnavailable,
        Self::TooLarge,
        Self::EmptyReply,
        Self::HtmlReply,
        Self::UnparsableReply,
        Self::NoAccessToken,
        Self::IllegalAccessToken,
        Self::NotBearer,
        Self::UnreadableLife,
        Self::NoLife,
        Self::ErrorMember,
        Self::NeverWorked,
        Self::InvalidClient,
        Self::UnauthorizedScope,
        Self::UnsupportedScope,
        Self::InvalidRequest,
        Self::ClientError,
        Self::Redirect,
    ];

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Renewing => "renewing",
            Self::SecretUnreadable => "secret_unreadable",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::Throttled => "throttled",
            Self::InternalError => "internal_error",
            Self::EndpointUnavailable => "endpoint_unavailable",
            Self::TooLarge => "reply_too_large",
            Self::EmptyReply => "empty_reply",
            Self::HtmlReply => "html_reply",
            Self::UnparsableReply => "unparsable_reply",
            Self::NoAccessToken => "no_access_token",
            Self::IllegalAccessToken => "illegal_access_token",
            Self::NotBearer => "not_bearer",
            Self::UnreadableLife => "unreadable_life",
            Self::NoLife => "no_life",
            Self::ErrorMember => "error_member",
            Self::NeverWorked => "never_worked",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedScope => "unauthorized_scope",
            Self::UnsupportedScope => "unsupported_scope",
            Self::InvalidRequest => "invalid_request",
            Self::ClientError => "client_error",
            Self::Redirect => "redirect",
        }
    }

    /// A sentence fit for a caller and a log; where a person must act, it says
    /// what to fix.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Starting => "the first token has been asked for and is not there yet",
            Self::Renewing => "a new token has been asked for and is not there yet",
            Self::SecretUnreadable => {
                "the client secret cannot be read: check client_secret_file, client_secret_env or client_secret_credential"
            }
            Self::Unreachable => {
                "the token endpoint cannot be reached: check name resolution, network and TLS trust"
            }
            Self::TimedOut => "the token endpoint did not answer in time",
            Self::Broken => {
                "the token endpoint closed the connection before its reply was complete"
            }
            Self::Throttled => "the token endpoint asks for fewer calls (429)",
            Self::InternalError => "the token endpoint reports an error of its own (500)",
            Self::EndpointUnavailable => "the token endpoint is not available",
            Self::TooLarge => "the reply of the token endpoint is too large",
            Self::EmptyReply => "the token endpoint sent an empty reply",
            Self::HtmlReply => "the token endpoint sent a web page in place of a token",
            Self::UnparsableReply => "the reply of the token endpoint is not the documented JSON",
            Self::NoAccessToken => "the reply of the token endpoint holds no access_token",
            Self::IllegalAccessToken => "the access_token of the reply cannot be put into a header",
            Self::NotBearer => "the token endpoint sent a token_type other than Bearer, or none",
            Self::UnreadableLife => {
                "the reply of the token endpoint holds no expires_in that can be read"
            }
            Self::NoLife => "the token endpoint sent a token that has already expired",
            Self::ErrorMember => "the token endpoint reports an error inside a success",
            Self::NeverWorked => {
                "the token endpoint has answered nothing but 500 with these settings, as DQE does to a misspelt parameter: check the keys of [token], the licence code and the secret"
            }
            Self::InvalidClient => {
                "the token endpoint refuses the credential: check the licence code, the client secret and that the licence has not ended"
            }
            Self::UnauthorizedScope => {
                "the licence is not entitled to this scope: ask DQE for it, or take it out of dqe.scopes"
            }
            Self::UnsupportedScope => {
                "the token endpoint does not know this scope: check dqe.scopes and the token URL"
            }
            Self::InvalidRequest => {
                "the token endpoint misses a parameter: check the licence code and the client secret"
            }
            Self::ClientError => {
                "the token endpoint refuses the request: check the token URL, the licence code and the secret"
            }
            Self::Redirect => {
                "the token endpoint answers with a redirect, which is never followed: correct the token URL"
            }
        }
    }

    /// Whether waiting is of no use and a person must act.
    #[must_use]
    pub fn is_permanent(self) -> bool {
        match self {
            Self::NeverWorked
            | Self::InvalidClient
            | Self::UnauthorizedScope
            | Self::UnsupportedScope
            | Self::InvalidRequest
            | Self::ClientError
            | Self::Redirect => true,
            Self::Starting
            | Self::Renewing
            | Self::SecretUnreadable
            | Self::Unreachable
            | Self::TimedOut
            | Self::Broken
            | Self::Throttled
            | Self::InternalError
            | Self::EndpointUnavailable
            | Self::TooLarge
            | Self::EmptyReply
            | Self::HtmlReply
            | Self::UnparsableReply
            | Self::NoAccessToken
            | Self::IllegalAccessToken
            | Self::NotBearer
            | Self::UnreadableLife
            | Self::NoLife
            | Self::ErrorMember => false,
        }
    }

    /// Whether another secret could be granted what this one is refused: any
    /// refusal that speaks neither of the scope nor of the endpoint, since what
    /// a wrong secret is answered is not documented.
    pub(super) fn may_be_the_secret(self) -> bool {
        matches!(
            self,
            Self::InvalidClient | Self::InvalidRequest | Self::ClientError
        )
    }

    /// Whether it speaks of the scope alone, not of the credential.
    pub(super) fn is_scope_refusal(self) -> bool {
        matches!(self, Self::UnauthorizedScope | Self::UnsupportedScope)
    }

    /// Its place among the counters; `None` for what is no failed call.
    pub(super) fn index(self) -> Option<usize> {
        Self::FAILURES.iter().position(|reason| *reason == self)
    }
}

impl From<Fault> for Reason {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Throttled => Self::Throttled,
            Fault::InternalError => Self::InternalError,
            Fault::Unavailable => Self::EndpointUnavailable,
            Fault::Empty => Self::EmptyReply,
            Fault::Html => Self::HtmlReply,
            Fault::Unparsable => Self::UnparsableReply,
            Fault::NoAccessToken => Self::NoAccessToken,
            Fault::IllegalAccessToken => Self::IllegalAccessToken,
            Fault::NotBearer => Self::NotBearer,
            Fault::UnreadableLife => Self::UnreadableLife,
            Fault::NoLife => Self::NoLife,
            Fault::ErrorMember => Self::ErrorMember,
        }
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InvalidClient => Self::InvalidClient,
            Refusal::UnauthorizedScope => Self::UnauthorizedScope,
            Refusal::UnsupportedScope => Self::UnsupportedScope,
            Refusal::InvalidRequest => Self::InvalidRequest,
            Refusal::ClientError => Self::ClientError,
            Refusal::Redirect => Self::Redirect,
        }
    }
}

/// Why a scope has no usable token now, and when to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// Why.
    pub reason: Reason,
    /// When a new try is worth it: whole seconds, 1 to 60, fit for
    /// `Retry-After`.
    pub retry_after: Duration,
}

/// Why an engine cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The address of the token endpoint is no http or https URL.
    #[error("the token URL is not an http or https address")]
    Url,
    /// There is no scope to keep a token for.
    #[error("no scope is configured")]
    NoScopes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct_and_sentences_say_something() {
        for (index, reason) in Reason::FAILURES.into_iter().enumerate() {
            assert_eq!(reason.index(), Some(index), "{reason:?} is listed once");
            assert!(!reason.sentence().is_empty());
            let words = Reason::FAILURES.map(Reason::as_str);
            assert_eq!(
                words
                    .iter()
                    .filter(|word| **word == reason.as_str())
                    .count(),
                1
            );
        }
        assert_eq!(Reason::Starting.index(), None);
    }
}
