//! Relay paths: a page posts the DQE URL it wants, and gets what a call of that
//! URL through the proxy brings. What is decided here is whether the URL may be
//! called at all; after that it is a call like any other, a GET without body.
//!
//! The URL never chooses where a call goes: it has to name the DQE server of
//! the settings, or no server. What is not its path and query is left behind.

use std::rc::Rc;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, StatusCode, Uri};
use http_body::Body;

use super::Call;
use super::attempt::read_whole;
use super::carry::Payload;
use super::error::ProxyError;
use super::gate::LONGEST_TARGET;
use super::inspect::{self, Answered};
use super::upload::Upload;
use crate::dqe::relay::{self, InvalidBody, Wrapper};
use crate::http1::{Fields, Incoming, name};
use crate::upstream::Server;

/// The paths of the settings, which lead to no route.
#[derive(Debug)]
pub(super) struct Relays(Vec<Relay>);

#[derive(Debug)]
struct Relay {
    path: String,
    form: Form,
}

/// What the caller of a relay path gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// DQE's answer as it is.
    Plain,
    /// DQE's answer as text in the member `d` of a JSON document.
    Wrapped,
}

impl Relays {
    /// `paths` as the settings have them.
    pub(super) fn new(paths: &[String]) -> Self {
        let relay = |path: &String| Relay {
            path: trimmed(path).to_owned(),
            form: if relay::is_json_path(path) {
                Form::Wrapped
            } else {
                Form::Plain
            },
        };
        Self(paths.iter().map(relay).collect())
    }

    /// Whether the raw `path` is one of them, in any letter case and with or
    /// without a slash at its end, as routes are.
    pub(super) fn find(&self, path: &str) -> Option<Form> {
        let mut relays = self.0.iter();
        let found = relays.find(|relay| relay.path.eq_ignore_ascii_case(trimmed(path)));
        found.map(|relay| relay.form)
    }
}

fn trimmed(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// Fields of a request that speak of its body or its method and not of the
/// call it asks for.
const OF_THE_POST: [&str; 12] = [
    name::CONTENT_TYPE,
    name::CONTENT_LENGTH,
    name::CONTENT_ENCODING,
    name::CONTENT_LANGUAGE,
    name::CONTENT_LOCATION,
    name::IF_MATCH,
    name::IF_NONE_MATCH,
    name::IF_MODIFIED_SINCE,
    name::IF_UNMODIFIED_SINCE,
    name::IF_RANGE,
    name::RANGE,
    name::MAX_FORWARDS,
];

impl Call {
    /// The call is for a relay path; its body is read when it is sent.
    pub(super) fn enters_relay(
        &mut self,
        form: Form,
        incoming: Incoming,
    ) -> Result<(), ProxyError> {
        if self.head.method != Method::POST {
            return Err(ProxyError::RelayMethod);
        }
        self.enters()?;
        self.relay = Some(form);
        if !incoming.is_end_stream() {
            let most = self.worker.settings.max_body;
            self.payload = Payload::Streamed(self.upload(incoming, most)?);
        }
        Ok(())
    }

    /// Turns this call into the one that its body asks for.
    ///
    /// # Errors
    /// When the body cannot be read, names no URL, or one that is not called.
    pub(super) async fn becomes_relayed(&mut self) -> Result<(), ProxyError> {
        if self.head.fields.contains(name::CONTENT_ENCODING) {
            return Err(ProxyError::RelayBody(InvalidBody::Coded));
        }
        let body = match &self.payload {
            Payload::Streamed(upload) => {
                let upload: Rc<Upload> = Rc::clone(upload);
                read_whole(self, &upload).await?
            }
            Payload::Empty | Payload::Unread(..) | Payload::Form(_) => Bytes::new(),
        };
        // From here on it is a call without a body, whatever becomes of it.
        self.payload = Payload::Empty;
        let media_type = self.head.fields.get(name::CONTENT_TYPE);
        let url =
            relay::url(media_type.unwrap_or_default(), &body).map_err(ProxyError::RelayBody)?;
        let target = target(&url, &self.worker.client.settings().server)?;
        if target.as_str().len() > LONGEST_TARGET {
            return Err(ProxyError::TargetTooLong);
        }
        self.head.uri = Uri::from(target);
        self.head.method = Method::GET;
        for name in OF_THE_POST {
            self.head.fields.remove(name);
        }
        self.take_route()?;
        self.settle()
    }

    /// What writes the answer as the page expects it; `None` when it is passed
    /// on as it is, as every error is.
    pub(super) fn wrapper_of(&self, status: StatusCode, fields: &mut Fields) -> Option<Wrapper> {
        if !self.is_wrapped(status) {
            return None;
        }
        for name in [name::CONTENT_LENGTH, name::ETAG, name::ACCEPT_RANGES] {
            fields.remove(name);
        }
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        fields.insert(name::CONTENT_TYPE, &json);
        Some(Wrapper::default())
    }

    /// Whether an answer cannot be looked into that has to be.
    pub(super) fn is_unreadable(&self, answer: &Answered) -> bool {
        let status = answer.head.status;
        let has_to_be = !status.is_success() || self.is_wrapped(status);
        has_to_be && inspect::is_coded(&answer.head.fields) && !is_empty(answer)
    }

    fn is_wrapped(&self, status: StatusCode) -> bool {
        let has_body = !matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT
        );
        self.relay == Some(Form::Wrapped) && status.is_success() && has_body
    }
}

fn is_empty(answer: &Answered) -> bool {
    answer.body.is_end_stream()
}

/// The path and query of a URL of `server`, or of one that names no server
/// (`RNVP/?…`, with or without a slash in front). In the query, what HTTP does
/// not allow there is percent-encoded, as a browser does before it calls a URL;
/// every other byte stays.
///
/// # Errors
/// [`ProxyError::RelayUrl`] for everything else.
fn target(url: &[u8], server: &Server) -> Result<PathAndQuery, ProxyError> {
    let refused = |why| ProxyError::RelayUrl { why };
    if url.iter().any(u8::is_ascii_control) {
        return Err(refused("it has a control character in it"));
    }
    if url.contains(&b'#') {
        return Err(refused(
            "it has a \"#\" in it, which is written %23 in a value",
        ));
    }
    let (path, query) = match url.iter().position(|byte| *byte == b'?') {
        Some(at) => (&url[..at], Some(&url[at + 1..])),
        None => (url, None),
    };
    let path = std::str::from_utf8(path).unwrap_or_default();
    if path.is_empty() != url.starts_with(b"?") || !path.is_ascii() {
        return Err(refused("its path is not plain ASCII"));
    }
    let path = path_on(path, server).ok_or_else(|| {
        refused("it names another server than that of dqe.servers, or is no plain URL")
    })?;
    let mut written = Vec::with_capacity(url.len() + 16);
    if !path.starts_with('/') {
        written.push(b'/');
    }
    written.extend_from_slice(path.as_bytes());
    if let Some(query) = query {
        written.push(b'?');
        for byte in query {
            match byte {
                b' ' | b'"' | b'<' | b'>' | 0x80.. => {
                    written
                        .extend_from_slice(percent_encoding::percent_encode_byte(*byte).as_bytes());
                }
                other => written.push(*other),
            }
        }
    }
    PathAndQuery::from_maybe_shared(Bytes::from(written))
        .map_err(|_| refused("its path has a character that no path has"))
}

/// What follows the authority, where that is `server`'s; `None` when it is
/// another's. A URL for plain HTTP is taken for one for HTTPS: calls travel
/// encrypted whatever a page has written.
fn path_on<'a>(url: &'a str, server: &Server) -> Option<&'a str> {
    let first = url.split('/').next().unwrap_or_default();
    if !first.contains(':') {
        return (!url.starts_with("//")).then_some(url);
    }
    let (scheme, rest) = url.split_once("://")?;
    let https = scheme.eq_ignore_ascii_case("https");
    if !https && !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return None;
    }
    let parsed: Authority = authority.parse().ok()?;
    let host = parsed.host();
    let port: u16 = match authority.strip_prefix(host)? {
        "" if https => 443,
        "" => 80,
        port => {
            let digits = port.strip_prefix(':')?;
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_number)?
        }
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_https = server.tls_name().is_some();
    let is_its_port = (https, port) == (is_https, server.port());
    let is_upgraded = (https, port) == (false, 80) && (is_https, server.port()) == (true, 443);
    (bare.eq_ignore_ascii_case(server.host()) && (is_its_port || is_upgraded)).then_some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target_on(server: &str, url: &str) -> Result<String, String> {
        let server = Server::parse(server).unwrap();
        let target = target(url.as_bytes(), &server);
        target
            .map(|target| target.as_str().to_owned())
            .map_err(|error| error.appearance().code.as_str().to_owned())
    }

    const DQE: &str = "https://dqe.example";

    #[test]
    fn a_url_of_the_server_or_of_none_keeps_its_path_and_query() {
        for (url, expected) in [
            (
                "RNVP/?Adresse=%7C5%20rue&Licence=",
                "/RNVP/?Adresse=%7C5%20rue&Licence=",
            ),
            ("/RNVP/?a", "/RNVP/?a"),
            ("TEL", "/TEL"),
            (
                "v1/single/?x=http://a:b@c//d?e",
                "/v1/single/?x=http://a:b@c//d?e",
            ),
            (
                "https://dqe.example/TEL/?Tel=+33&x=%2540%E9|",
                "/TEL/?Tel=+33&x=%2540%E9|",
            ),
            ("HTTPS://DQE.example:443/TEL/", "/TEL/"),
            ("http://dqe.example/TEL/", "/TEL/"),
            ("https://dqe.example", "/"),
            ("https://dqe.example?x", "/?x"),
            (
                "TEL/?Tel=06 12&x=\"é<>",
                "/TEL/?Tel=06%2012&x=%22%C3%A9%3C%3E",
            ),
            ("?x", "/?x"),
            // What stays ambiguous is refused by the route table.
            ("../TEL/", "/../TEL/"),
            ("TEL\\..\\x", "/TEL\\..\\x"),
            ("/x//TEL/", "/x//TEL/"),
        ] {
            assert_eq!(target_on(DQE, url).as_deref(), Ok(expected), "{url}");
        }
        for (server, url) in [
            ("http://127.0.0.1:8600", "http://127.0.0.1:8600/TEL/"),
            ("http://[::1]:8600", "http://[::1]:8600/TEL/"),
            ("https://dqe.example:8443", "https://dqe.example:8443/TEL/"),
        ] {
            assert_eq!(target_on(server, url).as_deref(), Ok("/TEL/"), "{url}");
        }
    }

    #[test]
    fn every_other_url_is_refused() {
        for url in [
            "https://evil.example/TEL/",
            "https://dqe.example.evil.example/TEL/",
            "https://evil.example\\@dqe.example/TEL/",
            "https://evil.example#@dqe.example/TEL/",
            "https://evil.example?@dqe.example/TEL/",
            "https://user@dqe.example/TEL/",
            "https://dqe.example@evil.example/TEL/",
            "https://dqe.example:8443/TEL/",
            "https://dqe.example:443:443/TEL/",
            "https://dqe.example:/TEL/",
            "https://dqe.example:+443/TEL/",
            "http://dqe.example:443/TEL/",
            "https://dqe.example./TEL/",
            "https://dqe%2eexample/TEL/",
            "https:///TEL/",
            "https:/TEL/",
            "https:TEL/",
            "https:\\\\dqe.example\\TEL/",
            "//dqe.example/TEL/",
            "//evil.example/TEL/",
            "ftp://dqe.example/TEL/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:,x",
            " https://dqe.example/TEL/",
            "TEL/?x#y",
            "TEL/#",
            "TEL/?x=\r\nHost: evil.example",
            "TEL/?x=\0",
            "TEL/?x=\x7f",
            "TÉL/",
            "TEL /",
        ] {
            let code = target_on(DQE, url).unwrap_err();
            assert_eq!(code, "relay_url_not_allowed", "{url}");
        }
        let server = Server::parse(DQE).unwrap();
        assert!(target(b"T\xe9L/", &server).is_err());
        assert!(target_on("http://127.0.0.1:8600", "http://127.0.0.1/TEL/").is_err());
    }

    #[test]
    fn relay_paths_are_found_as_routes_are() {
        let relays = Relays::new(&["/dqe.php".to_owned(), "/s/Dqe.asmx/Call/".to_owned()]);
        for (path, expected) in [
            ("/dqe.php", Some(Form::Plain)),
            ("/DQE.php/", Some(Form::Plain)),
            ("/s/dqe.ASMX/call", Some(Form::Wrapped)),
            ("/dqe.php//", None),
            ("/dqe.php/x", None),
            ("/x/dqe.php", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(relays.find(path), expected, "{path}");
        }
        assert_eq!(Relays::new(&[]).find("/dqe.php"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is posted: what comes out is a path and query, nothing that
        /// HTTP could read as more, and never what an authority was.
        #[test]
        fn no_url_is_more_than_a_path_and_query(url in "(https?:)?/{0,3}[ -~é\\\\]{0,40}") {
            if let Ok(target) = target_on(DQE, &url) {
                prop_assert!(target.starts_with('/'), "{}", target);
                prop_assert!(!target.starts_with("//") || url.starts_with("https://dqe.example//"));
                prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(!target.contains('#'));
            }
        }
    }
}
