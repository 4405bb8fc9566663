//! Redirects of DQE to itself: followed here for a caller that only reads, and
//! otherwise told in a `Location` that keeps the caller on the proxy, since it
//! has no credential anywhere else.
//!
//! Many callers follow nothing: a path without its slash, answered with a
//! redirect, would be the end for them. Followed is what says "the same thing
//! is over there" (301, 302, 307, 308). A 303 says that something else is over
//! there (RFC 9110 §15.4.4), so whether to go is the caller's to know.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::LOCATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body::Body;

use super::Call;
use super::carry::Payload;
use super::error::ProxyError;
use super::gate::LONGEST_TARGET;
use super::inspect::Answered;
use crate::dqe::licence;
use crate::upstream::Server;

/// Most redirects followed for one call. DQE is expected to need one; a caller
/// that gets the next one can go on by itself.
const MOST_FOLLOWED: usize = 3;

/// Most bytes of a redirect's body that are read and dropped to keep its
/// connection.
const MOST_DROPPED: usize = 16 * 1024;

impl Call {
    /// Turns the call to where `answer` redirects it, when that may be followed
    /// here; false: the answer is the caller's. Never for a route with side
    /// effects, to one, or to a route of another scope, whose token this call
    /// does not have.
    ///
    /// # Errors
    /// [`ProxyError::RedirectLoop`]: it leads to where the call has been, so
    /// the caller would not get anywhere either.
    pub(super) fn turns_to(&mut self, answer: &Answered) -> Result<bool, ProxyError> {
        let is_simple = matches!(self.payload, Payload::Empty) && !self.route().side_effects;
        if !is_simple || !may_be_followed(&self.head.method, answer.status()) {
            return Ok(false);
        }
        let server = &self.worker.client.settings().server;
        let mut lines = answer.headers().get_all(LOCATION).iter();
        let (Some(location), None) = (lines.next(), lines.next()) else {
            return Ok(false);
        };
        let Some(target) = target_on(server, location.as_bytes(), &self.head.uri) else {
            return Ok(false);
        };
        let routes = &self.worker.routes;
        let Ok(index) = routes.find(target.path()) else {
            return Ok(false);
        };
        let route = routes.route(index);
        if route.side_effects || route.scope != self.route().scope {
            return Ok(false);
        }
        let been = self.redirected.iter().chain([&self.head.uri]);
        if been
            .into_iter()
            .any(|been| is_same(been, &target, route.parameter))
        {
            return Err(ProxyError::RedirectLoop);
        }
        if self.redirected.len() == MOST_FOLLOWED {
            return Ok(false);
        }
        let left = std::mem::replace(&mut self.head.uri, target);
        self.redirected.push(left);
        self.route = index;
        self.exchange.follows_redirect();
        self.settle()?;
        Ok(true)
    }
}

/// Whether the status says that the same thing is elsewhere, to a method that
/// changes nothing.
fn may_be_followed(method: &Method, status: StatusCode) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        && matches!(
            status,
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        )
}

/// Drops an answer that is not passed on. What has come of its body is read,
/// which mostly is all, so that its connection carries the next request.
pub(super) fn leave(mut answer: Answered) {
    let mut context = Context::from_waker(Waker::noop());
    let mut dropped = 0;
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(answer.body_mut()).poll_frame(&mut context) {
        dropped += frame.data_ref().map_or(0, Bytes::len);
        if dropped > MOST_DROPPED {
            return;
        }
    }
}

/// Keeps the caller on the proxy, where a redirect to the server itself would
/// lead it past: the reference becomes a path. The licence parameter in it,
/// `name`, is the proxy's and goes. `base` is what a relative reference is
/// relative to, when that is not what the caller has asked for.
pub(super) fn keep_on_the_proxy(
    fields: &mut HeaderMap,
    server: &Server,
    name: &str,
    base: Option<&Uri>,
) {
    let Some(location) = fields.get(LOCATION) else {
        return;
    };
    let mut kept = Cow::Borrowed(location.as_bytes());
    if let Some(path) = as_path(&kept, server, base) {
        kept = Cow::Owned(path);
    }
    if let Some(without) = without_licence(&kept, name) {
        kept = Cow::Owned(without);
    }
    if let Cow::Owned(kept) = kept
        && let Ok(kept) = HeaderValue::from_maybe_shared(Bytes::from(kept))
    {
        fields.insert(LOCATION, kept);
    }
}

/// The reference as a path on the proxy, when it leads to the server and is not
/// one already.
fn as_path(reference: &[u8], server: &Server, base: Option<&Uri>) -> Option<Vec<u8>> {
    let path = match (Reference::read(reference, server), base) {
        (Reference::Own(rest), _) if rest.first() == Some(&b'/') => rest.to_vec(),
        (Reference::Own(rest), _) => [b"/", rest].concat(),
        (Reference::Relative(rest), Some(base)) => {
            let fragment = rest.iter().position(|byte| *byte == b'#');
            let fragment = &rest[fragment.unwrap_or(rest.len())..];
            [&resolved(rest, base)[..], fragment].concat()
        }
        (Reference::Relative(_), None) | (Reference::Elsewhere, _) => return None,
    };
    // Two slashes would be read as another host.
    (!path.starts_with(b"//")).then_some(path)
}

/// The reference without the licence parameter in its query; `None` when there
/// is none in it.
fn without_licence(reference: &[u8], name: &str) -> Option<Vec<u8>> {
    let end = reference.iter().position(|byte| *byte == b'#');
    let (text, fragment) = reference.split_at(end.unwrap_or(reference.len()));
    let start = text.iter().position(|byte| *byte == b'?')?;
    let (path, query) = (&text[..start], &text[start + 1..]);
    if !licence::is_in(query, name) {
        return None;
    }
    let query = licence::without(query, name);
    let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    Some([path, mark, &query, fragment].concat())
}

/// Whether two targets ask for the same, whatever the licence in them.
fn is_same(one: &Uri, other: &Uri, name: &str) -> bool {
    let query = |target: &Uri| {
        let query = target.query().unwrap_or_default().as_bytes();
        licence::without(query, name).into_owned()
    };
    one.path() == other.path() && query(one) == query(other)
}

/// The request target that `reference`, found in an answer to `base`, leads to
/// on `server`; `None` when it leads elsewhere or is none that is sent.
fn target_on(server: &Server, reference: &[u8], base: &Uri) -> Option<Uri> {
    let target = match Reference::read(reference, server) {
        Reference::Own(rest) if rest.first() == Some(&b'/') => resolved(rest, base),
        Reference::Own(rest) => resolved(&[b"/", rest].concat(), base),
        Reference::Relative(rest) => resolved(rest, base),
        Reference::Elsewhere => return None,
    };
    if target.len() > LONGEST_TARGET {
        return None;
    }
    let target = PathAndQuery::from_maybe_shared(Bytes::from(target));
    target.ok().map(Uri::from)
}

/// A reference, as far as it tells which server it leads to.
enum Reference<'a> {
    /// The server's own authority stands in it; this follows.
    Own(&'a [u8]),
    /// A path, a query, or nothing: the server the answer came from.
    Relative(&'a [u8]),
    /// Another scheme, host or port, a user name, or not understood.
    Elsewhere,
}

impl<'a> Reference<'a> {
    /// Takes a reference apart (RFC 3986 §4.1, §4.2).
    fn read(reference: &'a [u8], server: &Server) -> Self {
        let is_https = server.tls_name().is_some();
        let scheme = if is_https { "https" } else { "http" };
        let colon = reference
            .iter()
            .position(|byte| matches!(byte, b':' | b'/' | b'?' | b'#'))
            .filter(|at| reference[*at] == b':');
        let rest = match colon {
            Some(at) if !reference[..at].eq_ignore_ascii_case(scheme.as_bytes()) => {
                return Self::Elsewhere;
            }
            Some(at) => &reference[at + 1..],
            None => reference,
        };
        let Some(rest) = rest.strip_prefix(b"//") else {
            // A scheme without an authority is read in more than one way.
            return if colon.is_some() {
                Self::Elsewhere
            } else {
                Self::Relative(rest)
            };
        };
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
        let (authority, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let default_port = if is_https { 443 } else { 80 };
        if is_authority_of(server, authority, default_port) {
            Self::Own(rest)
        } else {
            Self::Elsewhere
        }
    }
}

/// Whether `authority` is that of `server`: the same host and port, and no
/// user name.
fn is_authority_of(server: &Server, authority: &[u8], default_port: u16) -> bool {
    let Ok(authority) = std::str::from_utf8(authority) else {
        return false;
    };
    let (host, port) = match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => authority.split_at(colon),
        Some(_) | None => (authority, ""),
    };
    let port = match port {
        "" | ":" => Some(default_port),
        _ if port[1..].bytes().all(|byte| byte.is_ascii_digit()) => port[1..].parse().ok(),
        _ => None,
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    port == Some(server.port()) && host.eq_ignore_ascii_case(server.host())
}

/// Path and query that a relative reference, or one that begins with a slash,
/// leads to from `base` (RFC 3986 §5.2.2); its fragment is left out.
fn resolved(reference: &[u8], base: &Uri) -> Vec<u8> {
    let end = reference.iter().position(|byte| *byte == b'#');
    let reference = &reference[..end.unwrap_or(reference.len())];
    let mark = reference.iter().position(|byte| *byte == b'?');
    let (path, query) = reference.split_at(mark.unwrap_or(reference.len()));
    let base_path = base.path().as_bytes();
    let folder = base_path.iter().rposition(|byte| *byte == b'/');
    match path {
        [] if query.is_empty() => match base.query() {
            Some(query) => [base_path, b"?", query.as_bytes()].concat(),
            None => base_path.to_vec(),
        },
        [] => [base_path, query].concat(),
        [b'/', ..] => [&without_dots(path)[..], query].concat(),
        _ => {
            let merged = [&base_path[..folder.map_or(0, |at| at + 1)], path].concat();
            [&without_dots(&merged)[..], query].concat()
        }
    }
}

/// A path without its `.` and `..` segments (RFC 3986 §5.2.4).
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." => {}
            b".." => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push(b"");
        }
    }
    let mut path = vec![b'/'];
    path.extend_from_slice(&kept.join(&b'/'));
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server::parse("https://dqe.example").unwrap()
    }

    #[test]
    fn a_redirect_to_the_server_itself_stays_on_the_proxy() {
        for (location, expected) in [
            ("https://dqe.example/TEL/?Tel=1", "/TEL/?Tel=1"),
            ("HTTPS://DQE.example/TEL/", "/TEL/"),
            ("https://dqe.example:443/TEL/", "/TEL/"),
            ("https://dqe.example:/TEL/", "/TEL/"),
            ("//dqe.example/TEL/", "/TEL/"),
            ("https://dqe.example", "/"),
            ("https://dqe.example?Tel=1", "/?Tel=1"),
            ("https://dqe.example#end", "/#end"),
            (
                "https://dqe.example//evil.example/",
                "https://dqe.example//evil.example/",
            ),
            (
                "https://dqe.example.evil.example/",
                "https://dqe.example.evil.example/",
            ),
            (
                "https://dqe.example@evil.example/",
                "https://dqe.example@evil.example/",
            ),
            ("https://dqe.example:8443/", "https://dqe.example:8443/"),
            ("http://dqe.example/", "http://dqe.example/"),
            ("//evil.example/", "//evil.example/"),
            ("/TEL/", "/TEL/"),
            ("../TEL/", "../TEL/"),
            ("https://dqe.example/TEL/?Licence=TK", "/TEL/"),
            ("/TEL/?Tel=1&l%69cence=TK#end", "/TEL/?Tel=1#end"),
            (
                "https://other.example/?Licence=TK&x=1",
                "https://other.example/?x=1",
            ),
            ("/TEL/#?Licence=TK", "/TEL/#?Licence=TK"),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(LOCATION, HeaderValue::from_static(location));
            keep_on_the_proxy(&mut fields, &server(), "Licence", None);
            assert_eq!(fields[LOCATION], expected, "{location}");
        }
    }

    #[test]
    fn after_a_redirect_was_followed_a_relative_one_is_told_from_the_root() {
        let base = Uri::from_static("/v1/x/TEL?Tel=1&Licence=OLD");
        for (location, expected) in [
            ("../single/?a=1", "/v1/single/?a=1"),
            ("TEL/", "/v1/x/TEL/"),
            ("?a=1&Licence=TK#end", "/v1/x/TEL?a=1#end"),
            ("#end", "/v1/x/TEL?Tel=1#end"),
            ("/TEL/", "/TEL/"),
            ("https://other.example/x", "https://other.example/x"),
            ("//other.example/x", "//other.example/x"),
            // No path on the proxy can be written for this one.
            (".//other.example/x", "/v1/x//other.example/x"),
            ("/.//other.example/x", "/.//other.example/x"),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(LOCATION, HeaderValue::from_static(location));
            keep_on_the_proxy(&mut fields, &server(), "Licence", Some(&base));
            assert_eq!(fields[LOCATION], expected, "{location}");
        }
    }

    #[test]
    fn only_what_is_surely_the_servers_own_becomes_a_target() {
        let base = Uri::from_static("/v1/TEL?Tel=1");
        for (location, expected) in [
            ("https://dqe.example/TEL/?Tel=1", Some("/TEL/?Tel=1")),
            ("HTTPS://DQE.EXAMPLE:443/TEL/", Some("/TEL/")),
            ("//dqe.example/TEL/", Some("/TEL/")),
            ("https://dqe.example?x", Some("/?x")),
            ("/TEL/?a=1#fragment", Some("/TEL/?a=1")),
            ("/TEL/#a?b", Some("/TEL/")),
            ("TEL/?a=1", Some("/v1/TEL/?a=1")),
            ("./TEL/", Some("/v1/TEL/")),
            ("../TEL/.", Some("/TEL/")),
            ("../../../TEL/x/..", Some("/TEL/")),
            ("?Tel=2", Some("/v1/TEL?Tel=2")),
            ("", Some("/v1/TEL?Tel=1")),
            ("#x", Some("/v1/TEL?Tel=1")),
            ("/x/../oauth/access_token/", Some("/oauth/access_token/")),
            (
                "/TEL/?u=http://x/../y&q=+1|2%7C",
                Some("/TEL/?u=http://x/../y&q=+1|2%7C"),
            ),
            // Read by some as another host; the route table refuses it.
            ("/\\evil.example/", Some("/\\evil.example/")),
            ("\\\\evil.example/", Some("/v1/\\\\evil.example/")),
            ("/TEL/?a b", None),
            ("https://evil.example/TEL/", None),
            ("https://dqe.example.evil.example/TEL/", None),
            ("https://dqe.example./TEL/", None),
            ("https://dqe.example:8443/TEL/", None),
            ("https://dqe.example:+443/TEL/", None),
            ("https://dqe.example:443:443/TEL/", None),
            ("http://dqe.example/TEL/", None),
            ("http://dqe.example:443/TEL/", None),
            ("ftp://dqe.example/TEL/", None),
            ("https://user@dqe.example/TEL/", None),
            ("https://user:pw@dqe.example/TEL/", None),
            ("https://dqe.example@evil.example/TEL/", None),
            ("https://evil.example\\@dqe.example/TEL/", None),
            ("https://dqe.example\\.evil.example/TEL/", None),
            ("//evil.example/TEL/", None),
            ("///evil.example/TEL/", None),
            ("https:/TEL/", None),
            ("https:TEL/", None),
            ("https:///TEL/", None),
            ("javascript:alert(1)", None),
        ] {
            let target = target_on(&server(), location.as_bytes(), &base);
            let target = target.map(|target| target.to_string());
            assert_eq!(target.as_deref(), expected, "{location}");
        }
        let long = format!("/TEL/?x={}", "1".repeat(LONGEST_TARGET));
        assert_eq!(target_on(&server(), long.as_bytes(), &base), None);
        assert_eq!(target_on(&server(), b"/TEL/?x=\xe9", &base), None);
        let raw = target_on(&server(), "/TEL/?x=é".as_bytes(), &base).unwrap();
        assert_eq!(raw.query(), Some("x=é"));
    }

    /// The examples of RFC 3986 §5.4.
    #[test]
    fn a_relative_reference_is_resolved_as_the_standard_has_it() {
        let base = Uri::from_static("/b/c/d;p?q");
        for (reference, expected) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            ("g?y#s", "/b/c/g?y"),
            (";x", "/b/c/;x"),
            ("g;x", "/b/c/g;x"),
            ("g;x?y#s", "/b/c/g;x?y"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("../../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            (".g", "/b/c/.g"),
            ("g..", "/b/c/g.."),
            ("..g", "/b/c/..g"),
            ("./../g", "/b/g"),
            ("./g/.", "/b/c/g/"),
            ("g/./h", "/b/c/g/h"),
            ("g/../h", "/b/c/h"),
            ("g;x=1/./y", "/b/c/g;x=1/y"),
            ("g;x=1/../y", "/b/c/y"),
            ("g?y/./x", "/b/c/g?y/./x"),
            ("g?y/../x", "/b/c/g?y/../x"),
            ("g#s/./x", "/b/c/g"),
            ("g#s/../x", "/b/c/g"),
        ] {
            let target = target_on(&server(), reference.as_bytes(), &base);
            let target = target.map(|target| target.to_string());
            assert_eq!(target.as_deref(), Some(expected), "{reference}");
        }
    }

    #[test]
    fn an_address_in_brackets_and_a_port_of_its_own_are_compared_whole() {
        for (origin, location, is_own) in [
            ("http://[::1]:8600", "http://[::1]:8600/TEL/", true),
            ("http://[::1]:8600", "http://[::1]/TEL/", false),
            ("http://[::1]:8600", "http://[::1]:8601/TEL/", false),
            ("http://127.0.0.1:80", "http://127.0.0.1/TEL/", true),
            (
                "http://127.0.0.1:8600",
                "https://127.0.0.1:8600/TEL/",
                false,
            ),
            ("http://127.0.0.1:8600", "http://localhost:8600/TEL/", false),
        ] {
            let server = Server::parse(origin).unwrap();
            let target = target_on(&server, location.as_bytes(), &Uri::from_static("/TEL"));
            assert_eq!(target.is_some(), is_own, "{origin} {location}");
        }
    }

    #[test]
    fn what_says_the_same_is_elsewhere_is_followed_for_those_who_only_read() {
        for (method, status, expected) in [
            (Method::GET, 301, true),
            (Method::GET, 302, true),
            (Method::GET, 307, true),
            (Method::GET, 308, true),
            (Method::HEAD, 301, true),
            (Method::GET, 303, false),
            (Method::GET, 300, false),
            (Method::GET, 304, false),
            (Method::GET, 305, false),
            (Method::GET, 200, false),
            (Method::GET, 201, false),
            (Method::POST, 301, false),
            (Method::POST, 307, false),
            (Method::OPTIONS, 301, false),
            (Method::DELETE, 308, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let followed = may_be_followed(&method, status);
            assert_eq!(followed, expected, "{method} {status}");
        }
    }
}
