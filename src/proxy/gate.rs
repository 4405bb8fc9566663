//! Refuses what must not be forwarded before any route is looked at: methods,
//! foreign host names, and browsers that a page of another site has sent.

use http::header::{HOST, HeaderMap, HeaderName, ORIGIN, REFERER};
use http::uri::Authority;
use http::{Method, Request};

use super::error::ProxyError;
use super::headers::{self, Noted};

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Longest request target, in bytes (RFC 9112 §3 asks for 8000 at least).
const LONGEST_TARGET: usize = 8000;

/// Whom the operator lets in by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Gate {
    /// `hosts` without port, `origins` as browsers write them; both in lower
    /// case. No hosts means any.
    #[must_use]
    pub(super) fn new(hosts: Vec<String>, origins: Vec<String>) -> Self {
        Self { hosts, origins }
    }

    /// Lets the request pass or names the reason why not.
    ///
    /// # Errors
    /// The refusals of [`ProxyError`] that need no route.
    pub(super) fn check<B>(&self, request: &Request<B>, noted: Noted) -> Result<(), ProxyError> {
        let uri = request.uri();
        let target = uri
            .path_and_query()
            .map_or(0, |target| target.as_str().len());
        if target > LONGEST_TARGET {
            return Err(ProxyError::TargetTooLong);
        }
        // TRACE would send the credential back to the caller (RFC 9110 §9.3.8).
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return Err(ProxyError::MethodNotAllowed);
        }
        let fields = request.headers();
        self.check_host(fields)?;
        if noted.browser {
            self.check_site(fields)?;
        }
        if noted.via && headers::has_been_here(fields) {
            return Err(ProxyError::LoopDetected);
        }
        Ok(())
    }

    fn check_host(&self, fields: &HeaderMap) -> Result<(), ProxyError> {
        if self.hosts.is_empty() {
            return Ok(());
        }
        let host = host_name(fields).ok_or(ProxyError::HostNotAllowed)?;
        let listed = self
            .hosts
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(host.host()));
        if listed {
            Ok(())
        } else {
            Err(ProxyError::HostNotAllowed)
        }
    }

    /// Programs send neither `Origin` nor `Sec-Fetch-Site`; browsers send them
    /// and pages cannot forge them.
    fn check_site(&self, fields: &HeaderMap) -> Result<(), ProxyError> {
        let origin = fields.get(ORIGIN);
        let cross_site = fields
            .get(&SEC_FETCH_SITE)
            .is_some_and(|site| site == "cross-site");
        if origin.is_none() && !cross_site {
            return Ok(());
        }
        let claimed = match origin {
            Some(origin) => origin.to_str().ok().map(str::to_owned),
            // A script element (JSONP) sends no Origin; its Referer names the page.
            None => fields
                .get(REFERER)
                .and_then(|page| page.to_str().ok())
                .and_then(origin_of),
        };
        let Some(claimed) = claimed else {
            return Err(ProxyError::CrossSiteRefused);
        };
        let listed = self
            .origins
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(&claimed));
        if listed || (!cross_site && is_own_origin(&claimed, fields)) {
            Ok(())
        } else {
            Err(ProxyError::CrossSiteRefused)
        }
    }
}

fn host_name(fields: &HeaderMap) -> Option<Authority> {
    fields.get(HOST)?.to_str().ok()?.parse().ok()
}

/// Whether the page came from the very host name it calls.
fn is_own_origin(origin: &str, fields: &HeaderMap) -> bool {
    let Some((_, authority)) = origin.split_once("://") else {
        return false;
    };
    fields
        .get(HOST)
        .is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))
}

/// `https://page.example:8443/x?y` → `https://page.example:8443`.
fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(gate: &Gate, method: &str, fields: &[(&str, &str)]) -> &'static str {
        let mut request = Request::builder().method(method).uri("/TEL/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        match gate.check(&request, Noted::in_request(request.headers())) {
            Ok(()) => "passes",
            Err(error) => error.appearance().code.as_str(),
        }
    }

    #[test]
    fn only_listed_host_names_are_served_when_there_is_a_list() {
        let open = Gate::default();
        let closed = Gate::new(vec!["proxy.internal".into(), "[::1]".into()], vec![]);
        for (gate, host, expected) in [
            (&open, "whatever", "passes"),
            (&closed, "proxy.internal", "passes"),
            (&closed, "PROXY.internal:8080", "passes"),
            (&closed, "[::1]:8080", "passes"),
            (&closed, "evil.example", "host_not_allowed"),
            (&closed, "proxy.internal.evil.example", "host_not_allowed"),
        ] {
            assert_eq!(verdict(gate, "GET", &[("host", host)]), expected, "{host}");
        }
        assert_eq!(verdict(&closed, "GET", &[]), "host_not_allowed");
    }

    #[test]
    fn a_browser_is_let_in_for_listed_and_own_origins_only() {
        let gate = Gate::new(vec![], vec!["https://intranet.example".into()]);
        let host = ("host", "proxy.internal:8080");
        for (fields, expected) in [
            (&[][..], "passes"),
            (&[("sec-fetch-site", "none")], "passes"),
            (&[("sec-fetch-site", "same-origin")], "passes"),
            (&[("sec-fetch-site", "same-site")], "passes"),
            (&[("sec-fetch-site", "cross-site")], "cross_site_refused"),
            (&[("origin", "https://evil.example")], "cross_site_refused"),
            (&[("origin", "null")], "cross_site_refused"),
            (&[("origin", "https://intranet.example")], "passes"),
            (
                &[("origin", "http://intranet.example")],
                "cross_site_refused",
            ),
            (
                &[
                    ("origin", "https://intranet.example"),
                    ("sec-fetch-site", "cross-site"),
                ],
                "passes",
            ),
            (&[("origin", "http://proxy.internal:8080")], "passes"),
            (
                &[
                    ("origin", "http://proxy.internal:8080"),
                    ("sec-fetch-site", "cross-site"),
                ],
                "cross_site_refused",
            ),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("referer", "https://intranet.example/form?x"),
                ],
                "passes",
            ),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("referer", "https://evil.example/https://intranet.example"),
                ],
                "cross_site_refused",
            ),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("referer", "https://intranet.example.evil.example/"),
                ],
                "cross_site_refused",
            ),
        ] {
            let fields: Vec<_> = fields.iter().copied().chain([host]).collect();
            assert_eq!(verdict(&gate, "GET", &fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn methods_that_would_show_or_tunnel_are_refused_and_loops_broken() {
        let gate = Gate::default();
        assert_eq!(verdict(&gate, "TRACE", &[]), "method_not_allowed");
        assert_eq!(verdict(&gate, "CONNECT", &[]), "method_not_allowed");
        assert_eq!(verdict(&gate, "DELETE", &[]), "passes");
        assert_eq!(
            verdict(&gate, "GET", &[("via", "1.1 dqe-proxy")]),
            "loop_detected"
        );
    }
}
