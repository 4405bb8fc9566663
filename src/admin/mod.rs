//! The second listener, for operators. All it does is answer questions:
//!
//! - `/` — the list of these endpoints
//! - `/livez` (also `/healthz`) — 200 as long as the process runs, whatever the tokens are
//! - `/readyz` — 200 when calls can be served, else 503; `?verbose` lists each check
//! - `/metrics` — OpenMetrics
//! - `/status.json` — each scope's token and the last 50 token events, as JSON
//!
//! GET and HEAD only. Nothing here shows a token, a secret or a request, and
//! nothing changes the proxy.

mod health;
mod metrics;
mod server;
mod source;
mod status;
#[cfg(test)]
mod testing;

use std::net::SocketAddr;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};

use self::metrics::Exposition;
pub use self::server::serve;
pub use self::source::{LastError, Renewals, Source, TokenView};

/// Where operators connect.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Listening address; `None` switches the admin listener off.
    pub address: Option<SocketAddr>,
}

const INDEX: &str = "\
/livez           200 as long as the process runs (also /healthz)
/readyz          200 when calls can be served, else 503
/readyz?verbose  the same, with each check and each scope
/metrics         counters, for Prometheus (OpenMetrics)
/status.json     each scope's token and the last 50 token events
";

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Answers one request.
fn answer(request: &Request<Incoming>, source: &dyn Source, exposition: &Exposition) -> Answer {
    let answer = match request.uri().path() {
        "/" => Answer::text(StatusCode::OK, INDEX),
        "/livez" | "/healthz" => health::live(),
        "/readyz" => health::ready(source, is_verbose(request.uri().query())),
        "/metrics" => exposition.answer(),
        "/status.json" => status::answer(source),
        _ => {
            return Answer::text(
                StatusCode::NOT_FOUND,
                format!("not found; there are\n{INDEX}"),
            );
        }
    };
    match *request.method() {
        Method::GET | Method::HEAD => answer,
        _ => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n"),
    }
}

/// As in Kubernetes, the word alone counts, whatever its value.
fn is_verbose(query: Option<&str>) -> bool {
    let mut parts = query.unwrap_or_default().split('&');
    parts.any(|part| part.split('=').next() == Some("verbose"))
}

/// What is answered, before it becomes HTTP.
struct Answer {
    status: StatusCode,
    content_type: HeaderValue,
    body: Bytes,
}

impl Answer {
    fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type: TEXT,
            body: body.into(),
        }
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, self.content_type);
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbose_is_a_word_of_the_query() {
        for (query, expected) in [
            (None, false),
            (Some(""), false),
            (Some("verbose"), true),
            (Some("verbose="), true),
            (Some("a=b&verbose=1"), true),
            (Some("verbosely"), false),
            (Some("a=verbose"), false),
        ] {
            assert_eq!(is_verbose(query), expected, "{query:?}");
        }
    }
}
