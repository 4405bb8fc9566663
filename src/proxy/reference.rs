//! A reference as it stands in a `Location`, and where it leads (RFC 3986):
//! surely to the server, or elsewhere. Pure; knows no routes and no tokens.

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;

use super::gate::LONGEST_TARGET;
use crate::upstream::Server;

/// The request target that `reference`, found in an answer to `base`, leads to
/// on `server`; `None` when it leads elsewhere or is none that is sent.
pub(super) fn target_on(server: &Server, reference: &[u8], base: &Uri) -> Option<Uri> {
    let target = match Reference::read(reference, server) {
        Reference::Own(rest) if rest.first() == Some(&b'/') => resolved(rest, base),
        Reference::Own(rest) => resolved(&[b"/", rest].concat(), base),
        Reference::Relative(rest) => resolved(rest, base),
        Reference::OwnInClear(_) | Reference::Elsewhere => return None,
    };
    if target.len() > LONGEST_TARGET {
        return None;
    }
    let target = PathAndQuery::from_maybe_shared(Bytes::from(target));
    target.ok().map(Uri::from)
}

/// A reference, as far as it tells which server it leads to.
pub(super) enum Reference<'a> {
    /// The server's own authority stands in it; this follows.
    Own(&'a [u8]),
    /// The server's own name over plain HTTP, at the usual port: what a server
    /// writes that does not know of the TLS in front of it.
    OwnInClear(&'a [u8]),
    /// A path, a query, or nothing: the server the answer came from.
    Relative(&'a [u8]),
    /// Another scheme, host or port, a user name, or not understood.
    Elsewhere,
}

impl<'a> Reference<'a> {
    /// Takes a reference apart (RFC 3986 §4.1, §4.2).
    pub(super) fn read(reference: &'a [u8], server: &Server) -> Self {
        let end = reference
            .iter()
            .position(|byte| matches!(byte, b'?' | b'#'));
        let is_unclear = |byte: &u8| matches!(byte, 0..=b' ' | b'\\' | 0x7f);
        if reference[..end.unwrap_or(reference.len())]
            .iter()
            .any(is_unclear)
        {
            // Browsers take a backslash for a slash and tabs for nothing.
            return Self::Elsewhere;
        }
        let colon = reference
            .iter()
            .position(|byte| matches!(byte, b':' | b'/' | b'?' | b'#'))
            .filter(|at| reference[*at] == b':');
        let (scheme, rest) = match colon {
            Some(at) => (Some(&reference[..at]), &reference[at + 1..]),
            None => (None, reference),
        };
        let Some(rest) = rest.strip_prefix(b"//") else {
            // A scheme without an authority is read in more than one way.
            return match scheme {
                Some(_) => Self::Elsewhere,
                None => Self::Relative(rest),
            };
        };
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
        let (authority, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let Some(port) = port_on(server, authority) else {
            return Self::Elsewhere;
        };
        let is = |name: &str| scheme.is_some_and(|it| it.eq_ignore_ascii_case(name.as_bytes()));
        let (own, default_port) = match server.tls_name() {
            Some(_) => ("https", 443),
            None => ("http", 80),
        };
        if (scheme.is_none() || is(own)) && port.unwrap_or(default_port) == server.port() {
            Self::Own(rest)
        } else if own == "https" && server.port() == 443 && is("http") && port.unwrap_or(80) == 80 {
            Self::OwnInClear(rest)
        } else {
            Self::Elsewhere
        }
    }
}

/// The port in `authority`, if it names one; `None` when it is another host
/// than that of `server`, has a user name or is no authority.
fn port_on(server: &Server, authority: &[u8]) -> Option<Option<u16>> {
    let authority = std::str::from_utf8(authority).ok()?;
    let (host, port) = match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => authority.split_at(colon),
        Some(_) | None => (authority, ""),
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if !host.eq_ignore_ascii_case(server.host()) {
        return None;
    }
    match port {
        "" | ":" => Some(None),
        _ if port[1..].bytes().all(|byte| byte.is_ascii_digit()) => {
            port[1..].parse().ok().map(Some)
        }
        _ => None,
    }
}

/// Path and query that a relative reference, or one that begins with a slash,
/// leads to from `base` (RFC 3986 §5.2.2); its fragment is left out.
pub(super) fn resolved(reference: &[u8], base: &Uri) -> Vec<u8> {
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
    use proptest::prelude::*;

    use super::*;

    fn server() -> Server {
        Server::parse("https://dqe.example").unwrap()
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
            // Read by some as another host.
            ("/\\evil.example/", None),
            ("\\\\evil.example/", None),
            ("\\/../TEL/", None),
            ("\t/../TEL/", None),
            ("/TEL/?a=\\", Some("/TEL/?a=\\")),
            ("/TEL/?a b", None),
            ("https://evil.example/TEL/", None),
            ("https://dqe.example.evil.example/TEL/", None),
            ("https://dqe.example./TEL/", None),
            ("https://dqe.example:8443/TEL/", None),
            ("https://dqe.example:+443/TEL/", None),
            ("https://dqe.example:443:443/TEL/", None),
            ("http://dqe.example/TEL/", None),
            ("http://dqe.example:80/TEL/", None),
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

    /// What references are made of, and what readers of them differ about.
    fn piece() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(
            &[
                "/",
                "//",
                "\\",
                ":",
                "@",
                "?",
                "#",
                ".",
                "..",
                "/../",
                "/./",
                "http",
                "https",
                "HTTPS",
                "https://",
                "https://dqe.example",
                "//dqe.example",
                "dqe.example",
                "DQE.example",
                "evil.example",
                ":443",
                ":80",
                ":8443",
                ":0443",
                "TEL",
                "TEL/",
                "oauth",
                "a=b",
                "&",
                "\t",
                " ",
                "%2f",
                "%2e",
                "[",
                "]",
                "[::1]",
                ";",
                "user",
                "-",
                "é",
            ][..],
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 20_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// The oracle is the parser that browsers' URL standard describes: what
        /// it takes for another host is never ours, and where both go, both go
        /// to the same place.
        #[test]
        fn no_reference_is_ours_that_a_browser_takes_elsewhere(
            pieces in proptest::collection::vec(piece(), 0..7),
        ) {
            let reference = pieces.concat();
            let base = Uri::from_static("/v1/TEL?Tel=1");
            let Some(target) = target_on(&server(), reference.as_bytes(), &base) else {
                return Ok(());
            };
            prop_assert!(target.path().starts_with('/'));
            let url = reqwest::Url::parse("https://dqe.example/v1/TEL?Tel=1").unwrap();
            let url = url.join(&reference);
            let url = url.map_err(|error| TestCaseError::fail(format!("{reference:?}: {error}")))?;
            prop_assert_eq!(url.origin().ascii_serialization(), "https://dqe.example");
            prop_assert!(url.username().is_empty() && url.password().is_none());
            let is_plain = !reference.contains(['%', 'é']);
            if is_plain {
                let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
                prop_assert_eq!(target.to_string(), format!("{}{query}", url.path()));
            }
        }
    }
}
