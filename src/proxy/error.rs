//! Everything the proxy answers on its own account: [`ProxyError`] is the only
//! error that becomes HTTP, under its [`Code`].

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;

use super::code::Code;
use crate::dqe::relay::InvalidBody;
use crate::upstream::UpstreamError;

/// A refusal or failure the caller is told about.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The target is not origin-form or could be read in two ways.
    #[error("the request target is not in a form that is forwarded")]
    TargetNotAllowed,
    /// The target is longer than the limit.
    #[error("the request target is too long")]
    TargetTooLong,
    /// The head is larger than the limit (RFC 6585 §5).
    #[error("the head of the request is too large")]
    FieldsTooLarge,
    /// No route has this path.
    #[error("no route has this path")]
    RouteNotFound,
    /// The route's scope is not in `dqe.scopes`.
    #[error("no token is kept for the scope of this path")]
    ScopeNotConfigured,
    /// There is not exactly one valid Host (RFC 9112 §3.2).
    #[error("there is not exactly one valid Host field")]
    HostInvalid,
    /// A transfer coding other than chunked (RFC 9112 §6.1).
    #[error("the body has a transfer coding other than chunked")]
    CodingNotSupported,
    /// CONNECT or TRACE.
    #[error("this method is never forwarded")]
    MethodNotAllowed,
    /// The Host name is not listed.
    #[error("this host name is not served")]
    HostNotAllowed,
    /// A browser call from another site.
    #[error("browser calls from other sites are refused")]
    CrossSiteRefused,
    /// Our own Via entry stands in the request.
    #[error("the request has already been through this proxy")]
    LoopDetected,
    /// The caller's body stopped coming.
    #[error("the request body stopped coming")]
    CallerTimeout,
    /// The caller's body is malformed or broke off.
    #[error("the request body broke off or is malformed")]
    CallerBody,
    /// A form has to be read whole to find a licence in it.
    #[error("the form is longer than the proxy reads")]
    FormTooLarge,
    /// Announced, or turned out, to be longer than the limit of its route.
    #[error("the request body is too long")]
    BodyTooLarge,
    /// `listener.max_requests` are being answered.
    #[error("too many requests are being answered at the same time")]
    TooManyRequests,
    /// The process has reached `listener.max_memory`.
    #[error("memory is short")]
    MemoryShort,
    /// A relay path takes POST alone.
    #[error("a relay path is posted to")]
    RelayMethod,
    /// The body of a relayed call names no URL.
    #[error("the body of the relayed call names no URL: {0}")]
    RelayBody(InvalidBody),
    /// The URL of a relayed call leads elsewhere than to the DQE server.
    #[error("the URL of the relayed call is not called: {why}")]
    RelayUrl {
        /// What is wrong with it.
        why: &'static str,
    },
    /// No usable token.
    #[error("no usable token: {sentence}")]
    TokenUnavailable {
        /// Why, without secrets.
        sentence: &'static str,
        /// When it makes sense to come back, in seconds.
        retry_after: u64,
    },
    /// A 401 for our own credential that cannot be hidden.
    #[error("DQE refused the proxy's credential with status {status}")]
    CredentialRejected {
        /// DQE's status.
        status: u16,
        /// Whether a newer token is there or on its way.
        renewing: bool,
    },
    /// The attempt failed on the wire.
    #[error(transparent)]
    Upstream(UpstreamError),
    /// A redirect that leads back to where this call has been (RFC 9110 §15.4).
    #[error("DQE redirects the call to where it has been")]
    RedirectLoop,
    /// An error answer that cannot be looked into for the credential.
    #[error("an answer with status {status} has a content coding nobody asked for")]
    AnswerCoded {
        /// DQE's status.
        status: u16,
    },
    /// Connecting took longer than `upstream.connect_timeout`.
    #[error("connecting to the server took too long")]
    ConnectTimeout,
    /// The head of the answer took longer than `upstream.first_byte_timeout`.
    #[error("the server did not begin to answer in time")]
    AnswerTimeout,
    /// The whole took longer than `upstream.total_timeout`.
    #[error("the request took too long in all")]
    TotalTimeout,
}

/// How an error looks to a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appearance {
    /// Status of the answer.
    pub status: StatusCode,
    /// The stable word.
    pub code: Code,
    /// Error type registered by RFC 9209 §2.3.
    pub proxy_status: &'static str,
    /// What the caller may read: a fixed sentence that says what happened and whose
    /// side it is on, and where there is more to say of this one, that behind it.
    pub detail: Cow<'static, str>,
    /// Seconds for `Retry-After`, where coming back makes sense.
    pub retry_after: Option<u64>,
}

impl Appearance {
    fn new(
        status: StatusCode,
        code: Code,
        proxy_status: &'static str,
        sentence: &'static str,
    ) -> Self {
        Self {
            status,
            code,
            proxy_status,
            detail: sentence.into(),
            retry_after: None,
        }
    }

    fn because(self, reason: fmt::Arguments<'_>) -> Self {
        Self {
            detail: format!("{} {reason}", self.detail).into(),
            ..self
        }
    }

    fn retry_after(self, retry_after: Option<u64>) -> Self {
        Self {
            retry_after,
            ..self
        }
    }
}

impl ProxyError {
    /// How a caller sees it. The cause behind it goes to the log only.
    #[must_use]
    pub fn appearance(&self) -> Appearance {
        match self {
            Self::TargetNotAllowed => Appearance::new(
                StatusCode::BAD_REQUEST,
                Code::TargetNotAllowed,
                "http_request_error",
                "The path is written in a way that is not forwarded: dot segments, empty segments, backslashes, semicolons and encoded slashes or dots are refused.",
            ),
            Self::TargetTooLong => Appearance::new(
                StatusCode::URI_TOO_LONG,
                Code::TargetTooLong,
                "http_request_error",
                "The request target is longer than 8000 bytes.",
            ),
            Self::FieldsTooLarge => Appearance::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                Code::FieldsTooLarge,
                "http_request_error",
                "The head of the request is larger, or has more fields, than the proxy accepts (listener.max_head, listener.max_fields).",
            ),
            Self::RouteNotFound => Appearance::new(
                StatusCode::NOT_FOUND,
                Code::RouteNotFound,
                "http_request_denied",
                "This proxy forwards known DQE paths only, and this is not one of them. Check the spelling, or add a [[route]] to its settings.",
            ),
            Self::ScopeNotConfigured => Appearance::new(
                StatusCode::NOT_FOUND,
                Code::ScopeNotConfigured,
                "http_request_denied",
                "This DQE path is known, but its scope is not in dqe.scopes of the proxy's settings.",
            ),
            Self::HostInvalid => Appearance::new(
                StatusCode::BAD_REQUEST,
                Code::HostInvalid,
                "http_request_error",
                "An HTTP/1.1 request has exactly one Host field, with a host name in it.",
            ),
            Self::CodingNotSupported => Appearance::new(
                StatusCode::NOT_IMPLEMENTED,
                Code::CodingNotSupported,
                "http_request_error",
                "The body's Transfer-Encoding is not chunked alone.",
            ),
            Self::MethodNotAllowed => Appearance::new(
                StatusCode::METHOD_NOT_ALLOWED,
                Code::MethodNotAllowed,
                "http_request_denied",
                "CONNECT and TRACE are not forwarded.",
            ),
            Self::HostNotAllowed => Appearance::new(
                StatusCode::MISDIRECTED_REQUEST,
                Code::HostNotAllowed,
                "http_request_denied",
                "This Host name is not in listener.hosts of the proxy's settings.",
            ),
            Self::CrossSiteRefused => Appearance::new(
                StatusCode::FORBIDDEN,
                Code::CrossSiteRefused,
                "http_request_denied",
                "A web page of another site may call this proxy only when its origin is in cors.origins of the proxy's settings.",
            ),
            Self::LoopDetected => Appearance::new(
                StatusCode::LOOP_DETECTED,
                Code::LoopDetected,
                "proxy_loop_detected",
                "The request has already been through this proxy: its server address leads back to itself.",
            ),
            Self::CallerTimeout => Appearance::new(
                StatusCode::REQUEST_TIMEOUT,
                Code::CallerTimeout,
                "http_request_error",
                "The body of the request stopped coming.",
            ),
            Self::CallerBody => Appearance::new(
                StatusCode::BAD_REQUEST,
                Code::CallerBody,
                "http_request_error",
                "The body of the request broke off or is not framed as HTTP demands.",
            ),
            Self::FormTooLarge => Appearance::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                Code::FormTooLarge,
                "http_request_error",
                "A form is read whole on its way to DQE and may have 65536 bytes at most.",
            ),
            Self::RelayMethod => Appearance::new(
                StatusCode::METHOD_NOT_ALLOWED,
                Code::MethodNotAllowed,
                "http_request_denied",
                "This is a relay path: the URL of a DQE call is posted to it.",
            ),
            Self::RelayBody(why) => Appearance::new(
                StatusCode::BAD_REQUEST,
                Code::RelayBodyInvalid,
                "http_request_error",
                "The body of a relayed call is a form with the field \"url\", or the JSON {\"url\": …}.",
            )
            .because(format_args!("What is wrong: {why}.")),
            Self::RelayUrl { why } => Appearance::new(
                StatusCode::BAD_REQUEST,
                Code::RelayUrlNotAllowed,
                "http_request_denied",
                "A relayed call is one of a known DQE path, on the DQE server of the proxy's settings or without a server.",
            )
            .because(format_args!("What is wrong: {why}.")),
            Self::BodyTooLarge => Appearance::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                Code::BodyTooLarge,
                "http_request_error",
                "The body of the request is longer than the proxy accepts on this path (listener.max_body, or max_body of its route).",
            ),
            Self::TooManyRequests => Appearance::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::TooManyRequests,
                "connection_limit_reached",
                "As many requests are being answered as the proxy takes at the same time (listener.max_requests).",
            )
            .retry_after(Some(1)),
            Self::MemoryShort => Appearance::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::MemoryShort,
                "proxy_internal_error",
                "The proxy is short of memory and answers fewer requests at the same time (listener.max_memory).",
            )
            .retry_after(Some(1)),
            Self::TokenUnavailable {
                sentence: why,
                retry_after,
            } => Appearance::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::TokenUnavailable,
                "proxy_internal_error",
                "The proxy has no usable token for this path at the moment.",
            )
            .because(format_args!("Reason: {why}."))
            .retry_after(Some(*retry_after)),
            Self::CredentialRejected { status, renewing } => Appearance::new(
                StatusCode::BAD_GATEWAY,
                Code::CredentialRejected,
                "http_request_denied",
                "DQE refused the credential that the proxy put on the call. The caller's request is not at fault.",
            )
            .because(format_args!("Its status was {status}."))
            .retry_after(renewing.then_some(1)),
            Self::Upstream(error) => upstream_appearance(error),
            Self::RedirectLoop => Appearance::new(
                StatusCode::BAD_GATEWAY,
                Code::RedirectLoop,
                "http_protocol_error",
                "The DQE server redirects this call in a circle.",
            ),
            Self::AnswerCoded { status } => Appearance::new(
                StatusCode::BAD_GATEWAY,
                Code::AnswerCoded,
                "http_response_content_coding_error",
                "The DQE server answered in a content coding that it was asked not to use.",
            )
            .because(format_args!("Its status was {status}.")),
            Self::ConnectTimeout => Appearance::new(
                StatusCode::GATEWAY_TIMEOUT,
                Code::ConnectTimeout,
                "connection_timeout",
                "Connecting to the DQE server took too long.",
            ),
            Self::AnswerTimeout => Appearance::new(
                StatusCode::GATEWAY_TIMEOUT,
                Code::AnswerTimeout,
                "http_response_timeout",
                "The DQE server did not begin to answer in time.",
            ),
            Self::TotalTimeout => Appearance::new(
                StatusCode::GATEWAY_TIMEOUT,
                Code::TotalTimeout,
                "http_response_timeout",
                "The request took longer in all than the proxy allows.",
            ),
        }
    }
}

fn upstream_appearance(error: &UpstreamError) -> Appearance {
    match error {
        UpstreamError::Full => Appearance::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::UpstreamFull,
            "connection_limit_reached",
            "As many requests are at the DQE server as the proxy sends at the same time (upstream.max_requests).",
        )
        .retry_after(Some(1)),
        UpstreamError::NoSocket(_) => Appearance::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::OutOfSockets,
            "proxy_internal_error",
            "The proxy has no file descriptor left for a connection to the DQE server (the limit of open files).",
        )
        .retry_after(Some(1)),
        UpstreamError::Resolve(_) => Appearance::new(
            StatusCode::BAD_GATEWAY,
            Code::UpstreamUnreachable,
            "dns_error",
            "The name of the DQE server cannot be resolved from the proxy.",
        ),
        UpstreamError::Connect(_) => Appearance::new(
            StatusCode::BAD_GATEWAY,
            Code::UpstreamUnreachable,
            "destination_unavailable",
            "The DQE server does not accept connections from the proxy.",
        ),
        UpstreamError::Tls(_) => Appearance::new(
            StatusCode::BAD_GATEWAY,
            Code::UpstreamTls,
            "tls_protocol_error",
            "The TLS handshake with the DQE server failed; its certificate may not be trusted here.",
        ),
        UpstreamError::NeverSent(_) | UpstreamError::Broken { .. } => Appearance::new(
            StatusCode::BAD_GATEWAY,
            Code::UpstreamBroken,
            "connection_terminated",
            "The DQE server closed the connection before it answered.",
        ),
        UpstreamError::Invalid(_) | UpstreamError::SwitchedProtocols => Appearance::new(
            StatusCode::BAD_GATEWAY,
            Code::UpstreamInvalid,
            "http_protocol_error",
            "What the DQE server sent is not a valid HTTP answer.",
        ),
        UpstreamError::CallerBody => ProxyError::CallerBody.appearance(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_with_our_own_credential_is_never_a_401_403_or_407() {
        let unavailable = ProxyError::TokenUnavailable {
            sentence: "x",
            retry_after: 3,
        };
        let rejected = ProxyError::CredentialRejected {
            status: 401,
            renewing: true,
        };
        assert_eq!(
            unavailable.appearance().status,
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(unavailable.appearance().retry_after, Some(3));
        assert_eq!(rejected.appearance().status, StatusCode::BAD_GATEWAY);
        assert_eq!(rejected.appearance().retry_after, Some(1));
    }

    #[test]
    fn what_is_known_of_this_one_stands_behind_its_sentence() {
        let unavailable = ProxyError::TokenUnavailable {
            sentence: "the secret was refused",
            retry_after: 3,
        };
        for (error, end) in [
            (unavailable, " Reason: the secret was refused."),
            (ProxyError::RelayUrl { why: "x" }, " What is wrong: x."),
            (
                ProxyError::AnswerCoded { status: 500 },
                " Its status was 500.",
            ),
            (
                ProxyError::Upstream(UpstreamError::Full),
                "(upstream.max_requests).",
            ),
        ] {
            let detail = error.appearance().detail;
            assert!(detail.ends_with(end), "{detail}");
        }
    }
}
