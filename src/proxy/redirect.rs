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
use http::{HeaderValue, Method, StatusCode, Uri};
use http_body::Body;

use super::Call;
use super::carry::Payload;
use super::error::ProxyError;
use super::inspect::Answered;
use super::reference::{Reference, resolved, target_on};
use crate::dqe::{catalogue, licence};
use crate::http1::{Fields, name};
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
        if !is_simple || !may_be_followed(&self.head.method, answer.head.status) {
            return Ok(false);
        }
        let server = &self.worker.client.settings().server;
        let mut lines = answer.head.fields.get_all(name::LOCATION);
        let (Some(location), None) = (lines.next(), lines.next()) else {
            return Ok(false);
        };
        let Some(target) = target_on(server, location, &self.head.uri) else {
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
        let has_been_there = |been: &Uri| is_same(been, &target, route.parameter);
        if has_been_there(&self.head.uri) || self.redirected.iter().any(has_been_there) {
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

/// Drops an answer that is not passed on. What has come of its body is read, unless
/// it is long, which mostly is all, so that its connection carries the next request.
pub(super) fn leave(mut answer: Answered) {
    if answer.body.size_hint().lower() > MOST_DROPPED as u64 {
        return;
    }
    let mut context = Context::from_waker(Waker::noop());
    let mut dropped = 0;
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut answer.body).poll_frame(&mut context) {
        dropped += frame.data_ref().map_or(0, Bytes::len);
        if dropped > MOST_DROPPED {
            return;
        }
    }
}

/// Keeps the caller on the proxy, where a redirect to the server itself would
/// lead it past: the reference becomes a path. The parameter `licence` in it is
/// the proxy's and goes. `base` is what a relative reference is
/// relative to, when that is not what the caller has asked for.
pub(super) fn keep_on_the_proxy(
    fields: &mut Fields,
    server: &Server,
    licence: &str,
    base: Option<&Uri>,
) {
    let Some(location) = fields.get(name::LOCATION) else {
        return;
    };
    let mut kept = Cow::Borrowed(location);
    if let Some(path) = as_path(&kept, server, base) {
        kept = Cow::Owned(path);
    }
    // ID Mobile sends people back to a partner with a `token` of the partner's.
    let is_elsewhere = matches!(Reference::read(&kept, server), Reference::Elsewhere);
    let licence = if is_elsewhere {
        catalogue::LICENCE
    } else {
        licence
    };
    if let Some(without) = without_licence(&kept, licence) {
        kept = Cow::Owned(without);
    }
    if let Cow::Owned(kept) = kept
        && let Ok(kept) = HeaderValue::from_maybe_shared(Bytes::from(kept))
    {
        fields.insert(name::LOCATION, &kept);
    }
}

/// The reference as a path on the proxy, when it leads to the server and is not
/// one already.
fn as_path(reference: &[u8], server: &Server, base: Option<&Uri>) -> Option<Vec<u8>> {
    let path = match (Reference::read(reference, server), base) {
        (Reference::Own(rest) | Reference::OwnInClear(rest), _) => {
            let root = if rest.starts_with(b"/") { "" } else { "/" };
            [root.as_bytes(), rest].concat()
        }
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
            // A server that does not know of its own TLS.
            ("http://dqe.example/TEL/?Tel=1", "/TEL/?Tel=1"),
            ("http://dqe.example:80/TEL/", "/TEL/"),
            ("http://dqe.example:8080/", "http://dqe.example:8080/"),
            ("http://dqe.example:443/", "http://dqe.example:443/"),
            ("http://evil.example/", "http://evil.example/"),
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
            let mut fields = Fields::from_iter([("location", location.as_bytes())]);
            keep_on_the_proxy(&mut fields, &server(), "Licence", None);
            let kept = fields.get("location").map(String::from_utf8_lossy);
            assert_eq!(kept.as_deref(), Some(expected), "{location}");
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
            let mut fields = Fields::from_iter([("location", location.as_bytes())]);
            keep_on_the_proxy(&mut fields, &server(), "Licence", Some(&base));
            let kept = fields.get("location").map(String::from_utf8_lossy);
            assert_eq!(kept.as_deref(), Some(expected), "{location}");
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
