//! Pages of other sites that may call, and what a browser has to be told so
//! that it lets them read the answer (the CORS protocol, Fetch §3.2).
//!
//! DQE says `*` or nothing. The proxy names the listed origins alone, never allows
//! the browser's credentials (cookies, HTTP passwords), and answers preflights
//! itself: they cost no token and no call.

use bytes::Bytes;
use http::{HeaderValue, Method};

use super::headers::Noted;
use crate::http1::{Fields, RequestHead, name};

/// Fields of an answer that a page may read besides those it always may.
const EXPOSED: HeaderValue = HeaderValue::from_static("X-Request-Id, Proxy-Status, Retry-After");

/// For how long a browser need not ask again, in seconds: the most that
/// Chromium keeps. An origin that is no longer listed is refused at its call.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// What the answer to a preflight depends on.
const PREFLIGHT: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network",
);

/// What every answer depends on where origins are listed.
const ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// Longest list of field names that is granted, in bytes.
const LONGEST_LIST: usize = 2048;

/// The origins whose pages may call.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(Vec<HeaderValue>);

impl Origins {
    /// `names` as browsers write them, in lower case.
    #[must_use]
    pub(super) fn new(names: &[String]) -> Self {
        let values = names.iter();
        // Settings hold host names only, which always are legal values.
        let values = values.filter_map(|name| HeaderValue::from_str(name).ok());
        Self(values.collect())
    }

    /// The listed origin that `claimed` is.
    #[must_use]
    pub(super) fn find(&self, claimed: &[u8]) -> Option<&HeaderValue> {
        let mut listed = self.0.iter();
        listed.find(|listed| listed.as_bytes().eq_ignore_ascii_case(claimed))
    }

    /// Who reads the answer to a request with these fields.
    #[must_use]
    pub(super) fn reader(&self, fields: &Fields, noted: Noted) -> Reader {
        if self.0.is_empty() {
            return Reader::Unnamed;
        }
        let claimed = if noted.browser {
            fields.get(name::ORIGIN)
        } else {
            None
        };
        let listed = claimed.and_then(|claimed| self.find(claimed));
        listed.map_or(Reader::OtherThanPages, |origin| {
            Reader::Page(origin.clone())
        })
    }
}

/// Who reads an answer, as far as browsers need to be told.
#[derive(Clone, Debug, Default)]
pub(super) enum Reader {
    /// No origin is listed: nothing is said, and what DQE says stays.
    #[default]
    Unnamed,
    /// No page of a listed origin; but the same URL might be called by one.
    OtherThanPages,
    /// A page of this origin.
    Page(HeaderValue),
}

impl Reader {
    /// Whether the request is the preflight of a page of a listed origin (Fetch §3.2.2).
    #[must_use]
    pub(super) fn is_preflight(&self, request: &RequestHead) -> bool {
        matches!(self, Self::Page(_))
            && request.method == Method::OPTIONS
            && request.fields.contains(name::ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// Names the reader in the fields of an answer, in place of whom DQE has named.
    pub(super) fn name_in(&self, fields: &mut Fields) {
        match self {
            Self::Unnamed => return,
            Self::OtherThanPages => {}
            Self::Page(origin) => {
                fields.insert(name::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                fields.remove(name::ACCESS_CONTROL_ALLOW_CREDENTIALS);
                fields.append(name::ACCESS_CONTROL_EXPOSE_HEADERS, &EXPOSED);
            }
        }
        vary_by_origin(fields);
    }

    /// Adds the fields that answer a preflight, whose own fields are `asked`.
    pub(super) fn grant(&self, asked: &Fields, methods: &HeaderValue, fields: &mut Fields) {
        let Self::Page(origin) = self else {
            return;
        };
        fields.insert(name::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        fields.insert(name::ACCESS_CONTROL_ALLOW_METHODS, methods);
        if let Some(names) = asked
            .get(name::ACCESS_CONTROL_REQUEST_HEADERS)
            .filter(|names| is_list_of_names(names))
            .and_then(|names| HeaderValue::from_bytes(names).ok())
        {
            fields.insert(name::ACCESS_CONTROL_ALLOW_HEADERS, &names);
        }
        fields.insert(name::ACCESS_CONTROL_MAX_AGE, &MAX_AGE);
        // A page on the internet that calls an address inside (Private Network Access).
        if asked
            .get(name::ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK)
            .is_some_and(|asked| asked == b"true")
        {
            let allowed = HeaderValue::from_static("true");
            fields.insert(name::ACCESS_CONTROL_ALLOW_PRIVATE_NETWORK, &allowed);
        }
        fields.insert(name::VARY, &PREFLIGHT);
    }
}

/// Whether these are field names (RFC 9110 §5.1) with commas between them. What
/// a page may send is what any caller may; the credential among it stays here.
fn is_list_of_names(text: &[u8]) -> bool {
    let is_listed =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, \t".contains(byte);
    text.len() <= LONGEST_LIST && text.iter().all(is_listed)
}

/// Adds `Origin` to what the answer varies by (RFC 9110 §12.5.5), in one line,
/// since some caches read the first only.
fn vary_by_origin(fields: &mut Fields) {
    if !fields.contains(name::VARY) {
        return fields.append(name::VARY, &ORIGIN);
    }
    let mut merged: Vec<u8> = Vec::new();
    for line in fields.get_all(name::VARY) {
        let mut names = line.split(|byte| *byte == b',');
        let covers = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"origin");
        if names.any(|name| covers(name.trim_ascii())) {
            return;
        }
        let line = line.trim_ascii();
        if !line.is_empty() {
            merged.extend_from_slice(line);
            merged.extend_from_slice(b", ");
        }
    }
    merged.extend_from_slice(b"Origin");
    // Of legal values and a comma comes a legal value.
    if let Ok(merged) = HeaderValue::from_maybe_shared(Bytes::from(merged)) {
        fields.insert(name::VARY, &merged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> Fields {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect()
    }

    fn reader(origins: &Origins, asked: &[(&'static str, &'static str)]) -> Reader {
        let asked = map(asked);
        origins.reader(&asked, Noted::in_request(&asked))
    }

    fn lines(fields: &Fields) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let line = |(name, value)| format!("{}: {}", text(name), text(value));
        fields.iter().map(line).collect()
    }

    #[test]
    fn an_answer_names_the_page_alone_whatever_dqe_says() {
        let origins = Origins::new(&["https://intranet.example".to_owned()]);
        let page = reader(&origins, &[("origin", "https://intranet.example")]);
        for (said, named) in [
            (&[][..], "Origin"),
            (&[("vary", "accept-encoding")], "accept-encoding, Origin"),
            (&[("vary", "a"), ("vary", "b , c")], "a, b , c, Origin"),
            (&[("vary", "accept, ORIGIN")], "accept, ORIGIN"),
            (&[("vary", "*")], "*"),
            (&[("vary", "")], "Origin"),
            (&[("vary", "x-origin")], "x-origin, Origin"),
        ] {
            let named_by_dqe = [
                ("access-control-allow-origin", "*"),
                ("access-control-allow-credentials", "true"),
                ("access-control-allow-origin", "https://other.example"),
            ];
            let mut fields = map(&[said, &named_by_dqe].concat());
            page.name_in(&mut fields);
            let mut found = lines(&fields);
            found.sort();
            assert_eq!(
                found,
                [
                    "access-control-allow-origin: https://intranet.example".to_owned(),
                    "access-control-expose-headers: X-Request-Id, Proxy-Status, Retry-After"
                        .to_owned(),
                    format!("vary: {named}"),
                ]
            );
        }
    }

    #[test]
    fn only_a_page_of_a_listed_origin_is_named_and_nothing_is_said_without_a_list() {
        let listed = Origins::new(&["https://intranet.example".to_owned()]);
        let nothing = Origins::default();
        for (origins, origin, expected) in [
            (
                &listed,
                Some("https://intranet.example"),
                &[
                    "access-control-allow-origin: https://intranet.example",
                    "vary: Origin",
                ][..],
            ),
            (
                &listed,
                Some("HTTPS://Intranet.example"),
                &[
                    "access-control-allow-origin: https://intranet.example",
                    "vary: Origin",
                ],
            ),
            (
                &listed,
                Some("https://intranet.example:8443"),
                &["access-control-allow-origin: *", "vary: Origin"],
            ),
            (
                &listed,
                Some("https://intranet.example.evil"),
                &["access-control-allow-origin: *", "vary: Origin"],
            ),
            (
                &listed,
                Some("null"),
                &["access-control-allow-origin: *", "vary: Origin"],
            ),
            (
                &listed,
                None,
                &["access-control-allow-origin: *", "vary: Origin"],
            ),
            (
                &nothing,
                Some("https://intranet.example"),
                &["access-control-allow-origin: *"],
            ),
            (&nothing, None, &["access-control-allow-origin: *"]),
        ] {
            let asked: Vec<_> = origin
                .map(|origin| ("origin", origin))
                .into_iter()
                .collect();
            let mut fields = map(&[("access-control-allow-origin", "*")]);
            reader(origins, &asked).name_in(&mut fields);
            fields.remove(name::ACCESS_CONTROL_EXPOSE_HEADERS);
            assert_eq!(lines(&fields), expected, "{origin:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_names_is_not_granted() {
        for (names, expected) in [
            ("content-type", true),
            ("content-type,x-app", true),
            ("Content-Type , X-App", true),
            ("", true),
            ("content-type;x", false),
            ("<script>", false),
            ("x\u{e9}", false),
        ] {
            assert_eq!(is_list_of_names(names.as_bytes()), expected, "{names}");
        }
        assert!(!is_list_of_names("x".repeat(LONGEST_LIST + 1).as_bytes()));
    }
}
