//! How a request ended, in one stable word: the same in the problem body, in
//! `Proxy-Status`, in the metrics, in the log and in the documentation.

use http::StatusCode;

/// How a request ended: an answer of the server by class, or a stable error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Code {
    /// The server answered with a 1xx or 2xx status.
    Ok2xx,
    /// The server answered with a 3xx status.
    Ok3xx,
    /// The server answered with a 4xx status.
    Ok4xx,
    /// The server answered with a 5xx status.
    Ok5xx,
    /// The caller left before its answer was complete.
    CallerGone,
    /// The server's answer broke off after its head had been passed on.
    AnswerCut,
    /// The answer's body stood still, or the whole took too long, after the head.
    AnswerStalled,
    /// The request target is not in a form that is forwarded.
    TargetNotAllowed,
    /// The request target is longer than the proxy accepts.
    TargetTooLong,
    /// The head is larger than the proxy accepts.
    FieldsTooLarge,
    /// No route has this path.
    RouteNotFound,
    /// The path is known but no token of its scope is kept.
    ScopeNotConfigured,
    /// There is not exactly one valid Host.
    HostInvalid,
    /// The body has a transfer coding other than chunked.
    CodingNotSupported,
    /// The method is never forwarded.
    MethodNotAllowed,
    /// The Host name is not one the operator listed.
    HostNotAllowed,
    /// A page of another site made a browser call the proxy.
    CrossSiteRefused,
    /// The request has been through this proxy already.
    LoopDetected,
    /// The caller's body stopped coming.
    CallerTimeout,
    /// The caller's body broke off or is malformed.
    CallerBody,
    /// The form is longer than the proxy reads.
    FormTooLarge,
    /// The body is longer than its route allows.
    BodyTooLarge,
    /// As many requests are being answered as the settings allow.
    TooManyRequests,
    /// The process has less memory left than many requests take.
    MemoryShort,
    /// The body of a relayed call names no URL.
    RelayBodyInvalid,
    /// The URL of a relayed call is not one that is called.
    RelayUrlNotAllowed,
    /// There is no usable token of the scope.
    TokenUnavailable,
    /// DQE refuses the proxy's credential, a new token included.
    CredentialRejected,
    /// As many requests are at the server as the settings allow.
    UpstreamFull,
    /// The system gives no descriptor for a connection.
    OutOfSockets,
    /// No connection to the server can be made.
    UpstreamUnreachable,
    /// The TLS handshake with the server failed.
    UpstreamTls,
    /// The connection broke before an answer.
    UpstreamBroken,
    /// The answer is not valid HTTP.
    UpstreamInvalid,
    /// DQE redirects the call to where it has been.
    RedirectLoop,
    /// An error of DQE came in a content coding nobody had asked for.
    AnswerCoded,
    /// Making the connection took too long.
    ConnectTimeout,
    /// The answer took too long to begin.
    AnswerTimeout,
    /// The request took too long in all.
    TotalTimeout,
}

impl Code {
    /// The word of each code, in the order of the enum.
    pub const NAMES: &[&str] = &[
        "2xx",
        "3xx",
        "4xx",
        "5xx",
        "caller_gone",
        "answer_cut",
        "answer_stalled",
        "target_not_allowed",
        "target_too_long",
        "fields_too_large",
        "route_not_found",
        "scope_not_configured",
        "host_invalid",
        "coding_not_supported",
        "method_not_allowed",
        "host_not_allowed",
        "cross_site_refused",
        "loop_detected",
        "caller_timeout",
        "caller_body",
        "form_too_large",
        "body_too_large",
        "too_many_requests",
        "memory_short",
        "relay_body_invalid",
        "relay_url_not_allowed",
        "token_unavailable",
        "credential_rejected",
        "upstream_full",
        "out_of_sockets",
        "upstream_unreachable",
        "upstream_tls",
        "upstream_broken",
        "upstream_invalid",
        "redirect_loop",
        "answer_coded",
        "connect_timeout",
        "answer_timeout",
        "total_timeout",
    ];

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The code of an answer of the server that was passed on.
    #[must_use]
    pub fn of_answer(status: StatusCode) -> Self {
        match status.as_u16() {
            300..400 => Self::Ok3xx,
            400..500 => Self::Ok4xx,
            500.. => Self::Ok5xx,
            0..300 => Self::Ok2xx,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_word() {
        assert_eq!(Code::NAMES.len(), Code::TotalTimeout as usize + 1);
        assert_eq!(Code::CredentialRejected.as_str(), "credential_rejected");
        assert_eq!(Code::AnswerStalled.as_str(), "answer_stalled");
        assert_eq!(Code::UpstreamInvalid.as_str(), "upstream_invalid");
        let mut names = Code::NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::NAMES.len());
    }
}
