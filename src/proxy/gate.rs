//! Refuses what must not be forwarded before any route is looked at: methods,
//! foreign host names, and browsers that a page of another site has sent.

use http::uri::PathAndQuery;
use http::{Method, Uri, Version};

use super::cors::{Origins, Reader};
use super::error::ProxyError;
use super::headers::{self, Noted};
use super::host::host_name;
use crate::http1::{Fields, RequestHead, name};

/// Longest request target, in bytes (RFC 9112 §3 asks for 8000 at least).
pub(super) const LONGEST_TARGET: usize = 8000;

/// The head's size in bytes, as it would be written without optional white space. It
/// is checked here since reading lets a head exceed the limit by what one read brings.
fn head_size(request: &RequestHead, noted: Noted) -> usize {
    let uri = &request.uri;
    let target = uri.path_and_query().map_or(0, |path| path.as_str().len())
        + uri
            .authority()
            .map_or(0, |authority| authority.as_str().len());
    request.method.as_str().len() + target + "  HTTP/1.1\r\n\r\n".len() + noted.size
}

/// What becomes of a request that is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It goes to its route.
    GoesOn,
    /// It may not be forwarded any further, so the proxy answers it (OPTIONS with
    /// `Max-Forwards: 0`, RFC 9110 §7.6.2).
    EndsHere,
    /// It is a browser's preflight, which the proxy answers.
    Preflight,
}

/// Whom the operator lets in by name.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    hosts: Vec<String>,
    origins: Origins,
    head: HeadLimits,
}

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    /// Most bytes.
    pub(super) bytes: usize,
    /// Most fields.
    pub(super) fields: usize,
}

impl Gate {
    /// `hosts` without port, `origins` as browsers write them; both in lower
    /// case. No hosts means any.
    #[must_use]
    pub(super) fn new(hosts: Vec<String>, origins: &[String], head: HeadLimits) -> Self {
        let origins = Origins::new(origins);
        Self {
            hosts,
            origins,
            head,
        }
    }

    /// Who reads the answer to a request with these fields.
    #[must_use]
    pub(super) fn reader(&self, fields: &Fields, noted: Noted) -> Reader {
        self.origins.reader(fields, noted)
    }

    /// Lets the request pass or names the reason why not.
    ///
    /// # Errors
    /// The refusals of [`ProxyError`] that need no route.
    #[inline(always)]
    pub(super) fn check(
        &self,
        request: &RequestHead,
        noted: Noted,
        reader: &Reader,
    ) -> Result<Passage, ProxyError> {
        let (method, uri, fields) = (&request.method, &request.uri, &request.fields);
        let target = uri
            .path_and_query()
            .map_or(0, |target| target.as_str().len());
        if target > LONGEST_TARGET {
            return Err(ProxyError::TargetTooLong);
        }
        if head_size(request, noted) > self.head.bytes || fields.len() > self.head.fields {
            return Err(ProxyError::FieldsTooLarge);
        }
        // TRACE would send the credential back to the caller (RFC 9110 §9.3.8).
        if matches!(*method, Method::CONNECT | Method::TRACE) {
            return Err(ProxyError::MethodNotAllowed);
        }
        check_form(method, uri)?;
        if noted.coded && !is_chunked_alone(fields) {
            return Err(ProxyError::CodingNotSupported);
        }
        let host = one_host(request.version, fields)?;
        self.check_host(match uri.authority() {
            None => host,
            // The target names it, whatever `Host` says (RFC 9112 §3.2.2).
            Some(authority) => {
                host_name(authority.as_str().as_bytes()).ok_or(ProxyError::HostInvalid)?
            }
        })?;
        if noted.browser {
            self.check_site(fields)?;
        }
        if noted.via && headers::has_been_here(fields) {
            return Err(ProxyError::LoopDetected);
        }
        if reader.is_preflight(request) {
            return Ok(Passage::Preflight);
        }
        if noted.max_forwards && headers::forwards_left(method, fields) == Some(0) {
            return Ok(Passage::EndsHere);
        }
        Ok(Passage::GoesOn)
    }

    /// Whether requests for this name, which has no port, are answered.
    fn check_host(&self, host: &[u8]) -> Result<(), ProxyError> {
        let mut listed = self.hosts.iter().map(String::as_bytes);
        // Nearly every program writes it as it is listed.
        let is_listed = listed.clone().any(|name| name == host)
            || listed.any(|name| name.eq_ignore_ascii_case(host));
        if (is_listed && !host.is_empty()) || self.hosts.is_empty() {
            Ok(())
        } else {
            Err(ProxyError::HostNotAllowed)
        }
    }

    /// Programs send neither `Origin` nor `Sec-Fetch-Site`; browsers send them
    /// and pages cannot forge them.
    fn check_site(&self, fields: &Fields) -> Result<(), ProxyError> {
        let origin = fields.get(name::ORIGIN);
        let cross_site = fields
            .get(name::SEC_FETCH_SITE)
            .is_some_and(|site| site == b"cross-site");
        if origin.is_none() && !cross_site {
            return Ok(());
        }
        let claimed = match origin {
            Some(origin) => std::str::from_utf8(origin).ok(),
            // A script element (JSONP) sends no Origin; its Referer names the page.
            None => fields
                .get(name::REFERER)
                .and_then(|page| std::str::from_utf8(page).ok())
                .and_then(origin_of),
        };
        let Some(claimed) = claimed else {
            return Err(ProxyError::CrossSiteRefused);
        };
        let is_listed = self.origins.find(claimed.as_bytes()).is_some();
        if is_listed || (!cross_site && is_own_origin(claimed, fields)) {
            Ok(())
        } else {
            Err(ProxyError::CrossSiteRefused)
        }
    }
}

/// Whether the body is coded in chunks and in nothing else. The chunks only are
/// taken off, so any other coding would be lost on the way (RFC 9112 §6.1).
fn is_chunked_alone(fields: &Fields) -> bool {
    let mut lines = fields.get_all(name::TRANSFER_ENCODING);
    let first = lines.next().map(<[u8]>::trim_ascii);
    first.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) && lines.next().is_none()
}

/// RFC 9112 §3.2: one valid `Host` field in HTTP/1.1, at most one in HTTP/1.0.
/// Returns its name without the port; empty where there is none.
fn one_host(version: Version, fields: &Fields) -> Result<&[u8], ProxyError> {
    let mut hosts = fields.get_all(name::HOST);
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host_name(host),
        (None, _) => (version == Version::HTTP_10).then_some(&b""[..]),
        (Some(_), Some(_)) => None,
    };
    host.ok_or(ProxyError::HostInvalid)
}

/// RFC 9112 §3.2: origin-form, absolute-form of `http` and `https`, or `*` for
/// OPTIONS. A user name in the target is how a link lies about where it leads.
fn check_form(method: &Method, uri: &Uri) -> Result<(), ProxyError> {
    let scheme = uri.scheme_str().unwrap_or("http");
    let is_known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let has_user = uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'));
    let is_path = match uri.path_and_query().map(PathAndQuery::as_str) {
        Some("*") => *method == Method::OPTIONS,
        Some(_) => true,
        None => false,
    };
    if is_known && !has_user && is_path {
        Ok(())
    } else {
        Err(ProxyError::TargetNotAllowed)
    }
}

/// Whether the page came from the very host name it calls.
fn is_own_origin(origin: &str, fields: &Fields) -> bool {
    let Some((_, authority)) = origin.split_once("://") else {
        return false;
    };
    fields
        .get(name::HOST)
        .is_some_and(|host| host.eq_ignore_ascii_case(authority.as_bytes()))
}

/// `https://page.example:8443/x?y` → `https://page.example:8443`.
fn origin_of(url: &str) -> Option<&str> {
    let start = url.find("://")? + "://".len();
    let length = url[start..].find(['/', '?', '#']);
    Some(length.map_or(url, |length| &url[..start + length]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: HeadLimits = HeadLimits {
        bytes: 65_536,
        fields: 100,
    };

    fn verdict(gate: &Gate, method: &str, fields: &[(&str, &str)]) -> &'static str {
        let fields = fields.iter();
        let request = RequestHead {
            method: method.parse().unwrap(),
            uri: Uri::from_static("/TEL/"),
            version: Version::HTTP_11,
            fields: fields
                .map(|(name, value)| (*name, value.as_bytes()))
                .collect(),
        };
        let noted = Noted::in_request(&request.fields);
        let reader = gate.reader(&request.fields, noted);
        match gate.check(&request, noted, &reader) {
            Ok(Passage::GoesOn) => "passes",
            Ok(Passage::Preflight) => "preflight",
            Ok(Passage::EndsHere) => "ends here",
            Err(error) => error.appearance().code.as_str(),
        }
    }

    #[test]
    fn only_listed_host_names_are_served_when_there_is_a_list() {
        let open = Gate::new(vec![], &[], HEAD);
        let hosts = ["proxy.internal", "[::1]", ""].map(Into::into);
        let closed = Gate::new(hosts.into(), &[], HEAD);
        for (gate, host, expected) in [
            (&open, "whatever", "passes"),
            (&closed, "proxy.internal", "passes"),
            (&closed, "PROXY.internal:8080", "passes"),
            (&closed, "[::1]:8080", "passes"),
            (&closed, "evil.example", "host_not_allowed"),
            (&closed, "proxy.internal.evil.example", "host_not_allowed"),
            (&closed, "proxy.internal:", "passes"),
            (&closed, "[::1]", "passes"),
            (&closed, "[::2]", "host_not_allowed"),
            (&closed, "", "host_not_allowed"),
            (&closed, ":8080", "host_not_allowed"),
        ] {
            assert_eq!(verdict(gate, "GET", &[("host", host)]), expected, "{host}");
        }
        assert_eq!(verdict(&closed, "GET", &[]), "host_invalid");
    }

    #[test]
    fn a_browser_is_let_in_for_listed_and_own_origins_only() {
        let gate = Gate::new(vec![], &["https://intranet.example".into()], HEAD);
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
    fn a_browser_asks_first_for_listed_origins_only() {
        let gate = Gate::new(
            vec!["proxy.internal".into()],
            &["https://intranet.example".into()],
            HEAD,
        );
        let host = ("host", "proxy.internal");
        let page = ("origin", "https://intranet.example");
        let asks = ("access-control-request-method", "POST");
        for (method, fields, expected) in [
            ("OPTIONS", &[host, page, asks][..], "preflight"),
            (
                "OPTIONS",
                &[host, page, asks, ("max-forwards", "0")],
                "preflight",
            ),
            ("OPTIONS", &[host, page], "passes"),
            ("OPTIONS", &[host, asks], "passes"),
            ("GET", &[host, page, asks], "passes"),
            (
                "OPTIONS",
                &[("host", "evil.example"), page, asks],
                "host_not_allowed",
            ),
            (
                "OPTIONS",
                &[host, ("origin", "https://evil.example"), asks],
                "cross_site_refused",
            ),
            (
                "OPTIONS",
                &[host, ("origin", "http://proxy.internal"), asks],
                "passes",
            ),
        ] {
            assert_eq!(verdict(&gate, method, fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn methods_that_would_show_or_tunnel_are_refused_and_loops_broken() {
        let gate = Gate::new(vec![], &[], HEAD);
        let host = ("host", "x");
        assert_eq!(verdict(&gate, "TRACE", &[host]), "method_not_allowed");
        assert_eq!(verdict(&gate, "CONNECT", &[host]), "method_not_allowed");
        assert_eq!(verdict(&gate, "DELETE", &[host]), "passes");
        assert_eq!(
            verdict(&gate, "GET", &[host, ("via", "1.1 dqe-proxy")]),
            "loop_detected"
        );
    }

    #[test]
    fn a_body_is_coded_in_chunks_or_not_at_all_and_the_host_is_one() {
        let gate = Gate::new(vec![], &[], HEAD);
        let host = ("host", "x");
        let coding = |value: &'static str| ("transfer-encoding", value);
        for (fields, expected) in [
            (&[host, coding("chunked")][..], "passes"),
            (&[host, coding("Chunked ")], "passes"),
            (&[host, coding("gzip, chunked")], "coding_not_supported"),
            (&[host, coding("chunked, chunked")], "coding_not_supported"),
            (
                &[host, coding("chunked"), coding("chunked")],
                "coding_not_supported",
            ),
            (&[host, coding("identity")], "coding_not_supported"),
            (&[], "host_invalid"),
            (&[host, host], "host_invalid"),
            (&[("host", "a b")], "host_invalid"),
            (&[("host", "user@a")], "host_invalid"),
            (&[("host", "a/b")], "host_invalid"),
            (&[("host", "[::1]:8080")], "passes"),
            (&[("host", "")], "passes"),
            (&[("host", "a:")], "passes"),
            (&[("host", "h%C3%B4te:65535")], "passes"),
            (&[("host", "a:65536")], "host_invalid"),
            (&[("host", "a:65540")], "host_invalid"),
            (&[("host", "a:00080")], "passes"),
            (&[("host", "a:+80")], "host_invalid"),
            (&[("host", "a%4")], "host_invalid"),
            (&[("host", "[::1")], "host_invalid"),
            (&[("host", "[name]")], "host_invalid"),
            (&[("host", "::1")], "host_invalid"),
        ] {
            assert_eq!(verdict(&gate, "POST", fields), expected, "{fields:?}");
        }
    }
}
