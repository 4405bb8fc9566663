//! Which header fields cross the proxy, in both directions (RFC 9110 §7.6).

use http::{HeaderValue, Method, StatusCode, Version};

use crate::http1::{FieldValue, Fields, name};

/// Name of the request id, in both directions.
pub(super) const REQUEST_ID: &str = name::X_REQUEST_ID;

/// Our name in `Via` and `Proxy-Status`.
pub(super) const PSEUDONYM: &str = "dqe-proxy";

static VIA_11: HeaderValue = HeaderValue::from_static("1.1 dqe-proxy");
static VIA_20: HeaderValue = HeaderValue::from_static("2.0 dqe-proxy");
static VIA_10: HeaderValue = HeaderValue::from_static("1.0 dqe-proxy");

/// Answers are looked into and scrubbed, so DQE is asked not to code them.
static IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// What a field name means to the proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `Connection`: hop-by-hop, and it may name others that are.
    Connection,
    /// Concerns one connection only, whether `Connection` names it or not.
    HopByHop,
    /// `Transfer-Encoding`: hop-by-hop, and looked at by the gate.
    Coding,
    /// A caller's credential, or what tells of the network inside.
    Inside,
    /// Set by the proxy in place of what the caller sent.
    Ours,
    /// `Via`: ours replaces it, but it tells of loops.
    Via,
    /// `X-Request-Id`: the caller's own is kept when it is harmless.
    RequestId,
    /// Tells which page sends a browser: looked at by the gate, and as little
    /// for DQE to know as `Referer`.
    Browser,
    /// `Accept-Encoding`: `identity` takes its place.
    Accepts,
    /// `Max-Forwards`: counted down where it means something.
    MaxForwards,
    /// A cookie of DQE: stays outside.
    SetCookie,
    /// `Location`: must not lead past the proxy.
    Location,
    /// Everything else.
    End,
}

impl Kind {
    /// Whether a field of an answer stays behind; `Connection` goes with it.
    fn leaves_an_answer(self) -> bool {
        match self {
            Self::Connection | Self::HopByHop | Self::Coding | Self::SetCookie => true,
            Self::Inside
            | Self::Ours
            | Self::Accepts
            | Self::Via
            | Self::RequestId
            | Self::Browser
            | Self::MaxForwards
            | Self::Location
            | Self::End => false,
        }
    }
}

/// Told by length first: most names are like none of these.
fn kind(name: &[u8]) -> Kind {
    match name.len() {
        2 if name == b"te" => Kind::HopByHop,
        3 if name == b"via" => Kind::Via,
        4 if name == b"host" => Kind::Ours,
        6 => match name {
            b"cookie" | b"expect" => Kind::Inside,
            b"origin" => Kind::Browser,
            _ => Kind::End,
        },
        7 => match name {
            b"cookie2" | b"referer" => Kind::Inside,
            b"trailer" | b"upgrade" => Kind::HopByHop,
            _ => Kind::End,
        },
        8 if name == b"location" => Kind::Location,
        9 if matches!(name, b"forwarded" | b"x-real-ip" | b"client-ip") => Kind::Inside,
        10 => match name {
            b"connection" => Kind::Connection,
            b"keep-alive" => Kind::HopByHop,
            b"set-cookie" => Kind::SetCookie,
            _ => Kind::End,
        },
        11 if name == b"set-cookie2" => Kind::SetCookie,
        12 => match name {
            b"x-request-id" => Kind::RequestId,
            b"max-forwards" => Kind::MaxForwards,
            _ => Kind::End,
        },
        13 if name == b"authorization" => Kind::Ours,
        14 => match name {
            b"http2-settings" => Kind::HopByHop,
            b"sec-fetch-site" => Kind::Browser,
            b"true-client-ip" | b"x-original-url" | b"x-original-uri" => Kind::Inside,
            _ => forwarding(name),
        },
        15 if name == b"accept-encoding" => Kind::Accepts,
        16 if name == b"proxy-connection" => Kind::HopByHop,
        17 if name == b"transfer-encoding" => Kind::Coding,
        18 if name == b"proxy-authenticate" => Kind::HopByHop,
        19 if name == b"proxy-authorization" => Kind::HopByHop,
        25 if name == b"proxy-authentication-info" => Kind::HopByHop,
        11.. => forwarding(name),
        _ => Kind::End,
    }
}

fn forwarding(name: &[u8]) -> Kind {
    let inside = name.starts_with(b"x-forwarded")
        || matches!(
            name,
            b"x-client-ip"
                | b"x-cluster-client-ip"
                | b"x-originating-ip"
                | b"x-remote-addr"
                | b"x-remote-ip"
                | b"wl-proxy-client-ip"
                | b"proxy-client-ip"
                | b"x-original-forwarded-for"
                | b"x-original-host"
                | b"x-rewrite-url"
                | b"x-envoy-external-address"
        );
    if inside { Kind::Inside } else { Kind::End }
}

/// What one look over the caller's fields has found, so that nobody has to
/// look again for what is not there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noted {
    connection: bool,
    accepts: bool,
    /// There is a `Transfer-Encoding` field.
    pub(super) coded: bool,
    /// There is a `Via` field.
    pub(super) via: bool,
    /// There is an `X-Request-Id` field.
    pub(super) request_id: bool,
    /// There is an `Origin` or a `Sec-Fetch-Site` field.
    pub(super) browser: bool,
    /// There is a `Max-Forwards` field.
    pub(super) max_forwards: bool,
    /// Bytes of all fields, as they would be written without padding.
    pub(super) size: usize,
}

impl Noted {
    /// Looks over the fields of a request.
    #[inline(always)]
    pub(super) fn in_request(fields: &Fields) -> Self {
        let mut noted = Self::default();
        for (name, value) in fields.iter() {
            noted.size += name.len() + ": \r\n".len() + value.len();
            match kind(name) {
                Kind::End
                | Kind::Ours
                | Kind::SetCookie
                | Kind::Location
                | Kind::HopByHop
                | Kind::Inside => {}
                Kind::Connection => noted.connection = true,
                Kind::Accepts => noted.accepts = true,
                Kind::Coding => noted.coded = true,
                Kind::Via => noted.via = true,
                Kind::RequestId => noted.request_id = true,
                Kind::Browser => noted.browser = true,
                Kind::MaxForwards => noted.max_forwards = true,
            }
        }
        noted
    }
}

/// What the proxy itself has to say to DQE.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'a> {
    /// Our credential, where it travels in the header.
    pub(super) authorization: Option<&'a HeaderValue>,
    /// The length of a body the proxy has written, in place of the caller's.
    pub(super) length: Option<&'a HeaderValue>,
    pub(super) request_id: &'a [u8],
}

/// The fields that go to DQE: the caller's, byte for byte, but for what stays
/// inside; and the proxy's own `Authorization`, `Via` and request id. `Host`
/// is the client's to write. Fields named by `Connection` stay here too, except
/// those that the message needs (`Content-Length`).
pub(super) fn outgoing<'a>(
    received: &'a Fields,
    noted: Noted,
    version: Version,
    own: Own<'a>,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let nominated = if noted.connection {
        Nominated::by(received)
    } else {
        Nominated(Vec::new())
    };
    let kept = received.iter().filter(move |(name, _)| match kind(name) {
        Kind::End | Kind::MaxForwards | Kind::SetCookie | Kind::Location => {
            if *name == name::CONTENT_LENGTH.as_bytes() {
                own.length.is_none()
            } else {
                nominated.is_empty() || !nominated.contains(name)
            }
        }
        Kind::Connection
        | Kind::HopByHop
        | Kind::Coding
        | Kind::Inside
        | Kind::Browser
        | Kind::Ours
        | Kind::Accepts
        | Kind::Via
        | Kind::RequestId => false,
    });
    let via = match version {
        Version::HTTP_10 => &VIA_10,
        Version::HTTP_2 => &VIA_20,
        _ => &VIA_11,
    };
    let field = |name: &'static str, value: &'a HeaderValue| (name.as_bytes(), value.as_bytes());
    let credential = own
        .authorization
        .map(|value| field(name::AUTHORIZATION, value));
    let length = own.length.map(|value| field(name::CONTENT_LENGTH, value));
    let accepts = noted
        .accepts
        .then(|| field(name::ACCEPT_ENCODING, &IDENTITY));
    credential
        .into_iter()
        .chain(kept)
        .chain(length)
        .chain(accepts)
        .chain([
            field(name::VIA, via),
            (REQUEST_ID.as_bytes(), own.request_id),
        ])
}

/// Cleans the fields of an answer in place and adds `Via` and the request id.
/// DQE's cookies stay outside, as the callers' stay inside. Whether there is a
/// `Location` field.
pub(super) fn clean_answer(
    fields: &mut Fields,
    status: StatusCode,
    version: Version,
    request_id: &impl FieldValue,
) -> bool {
    let (mut removable, mut connection, mut location) = (false, false, false);
    for name in fields.names() {
        let kind = kind(name);
        connection |= kind == Kind::Connection;
        location |= kind == Kind::Location;
        removable |= kind.leaves_an_answer();
    }
    if removable {
        take_out(fields, connection, Kind::leaves_an_answer);
    }
    // A length beside "no content" would only confuse the caller (RFC 9110 §8.6).
    if status == StatusCode::NO_CONTENT {
        fields.remove(name::CONTENT_LENGTH);
    }
    let via = if version == Version::HTTP_10 {
        &VIA_10
    } else {
        &VIA_11
    };
    fields.append(name::VIA, via);
    fields.insert(REQUEST_ID, request_id);
    location
}

/// Takes out the fields of these kinds, and those that `Connection` names.
fn take_out(fields: &mut Fields, connection: bool, goes: impl Fn(Kind) -> bool) {
    let nominated = if connection {
        Nominated::by(fields).owned()
    } else {
        Vec::new()
    };
    fields.retain(|name, _| {
        let is_nominated = nominated.iter().any(|named| **named == *name);
        !goes(kind(name)) && (name == name::CONTENT_LENGTH.as_bytes() || !is_nominated)
    });
}

/// How many more times a request may be forwarded (RFC 9110 §7.6.2). The field
/// means something for OPTIONS and TRACE only, and only as one number.
#[must_use]
pub(super) fn forwards_left(method: &Method, fields: &Fields) -> Option<u8> {
    let mut lines = fields.get_all(name::MAX_FORWARDS);
    let (Some(digits), None) = (lines.next(), lines.next()) else {
        return None;
    };
    if *method != Method::OPTIONS || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().try_fold(0_u8, |number, digit| {
        number.checked_mul(10)?.checked_add(digit - b'0')
    });
    // What is more than we can count is our most.
    Some(number.unwrap_or(u8::MAX))
}

/// Counts `Max-Forwards` down, or takes it out where it means nothing. To be
/// called when the request goes on.
pub(super) fn count_down(method: &Method, fields: &mut Fields) {
    match forwards_left(method, fields) {
        Some(left) => {
            let left = u16::from(left.saturating_sub(1));
            fields.insert(name::MAX_FORWARDS, &HeaderValue::from(left));
        }
        None => {
            fields.remove(name::MAX_FORWARDS);
        }
    }
}

/// Whether our own `Via` entry is there: the request has been here before.
#[must_use]
pub(super) fn has_been_here(fields: &Fields) -> bool {
    fields.get_all(name::VIA).any(|line| {
        line.split(|byte| *byte == b',')
            .filter_map(|entry| std::str::from_utf8(entry).ok())
            .filter_map(|entry| entry.split_ascii_whitespace().nth(1))
            .any(|received_by| received_by.eq_ignore_ascii_case(PSEUDONYM))
    })
}

/// The field names that `Connection` lists, over all of its lines (RFC 9110 §5.2, §7.6.1).
struct Nominated<'a>(Vec<&'a [u8]>);

impl<'a> Nominated<'a> {
    fn by(fields: &'a Fields) -> Self {
        let lines = fields.get_all(name::CONNECTION);
        let names = lines
            .flat_map(|line| line.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|name| {
                !name.eq_ignore_ascii_case(b"keep-alive") && !name.eq_ignore_ascii_case(b"close")
            });
        Self(names.collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contains(&self, name: &[u8]) -> bool {
        self.0
            .iter()
            .any(|nominated| nominated.eq_ignore_ascii_case(name))
    }

    /// The names in lower case, to be looked for while the fields change.
    fn owned(&self) -> Vec<Vec<u8>> {
        self.0
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> Fields {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect()
    }

    fn line((name, value): (&[u8], &[u8])) -> String {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        format!("{}: {}", text(name), text(value))
    }

    fn names(fields: &Fields) -> Vec<String> {
        let mut names: Vec<String> = fields.iter().map(line).collect();
        names.sort();
        names
    }

    fn to_dqe(fields: &Fields, token: &HeaderValue, id: &HeaderValue) -> Fields {
        let noted = Noted::in_request(fields);
        let own = Own {
            authorization: Some(token),
            length: None,
            request_id: id.as_bytes(),
        };
        let sent = outgoing(fields, noted, Version::HTTP_11, own);
        sent.map(|(name, value)| (std::str::from_utf8(name).unwrap(), value))
            .collect()
    }

    fn sent(received: &[(&str, &str)]) -> Vec<String> {
        let token = HeaderValue::from_static("Bearer OURS");
        let id = HeaderValue::from_static("id1");
        let sent = to_dqe(&map(received), &token, &id);
        let ours = [
            "authorization: Bearer OURS",
            "via: 1.1 dqe-proxy",
            "x-request-id: id1",
        ];
        for field in ours {
            assert!(
                names(&sent).contains(&field.to_owned()),
                "{field} is missing"
            );
        }
        names(&sent)
            .into_iter()
            .filter(|field| !ours.contains(&field.as_str()))
            .collect()
    }

    #[test]
    fn max_forwards_counts_down_where_it_means_something() {
        for (method, value, expected) in [
            (Method::OPTIONS, "0", Some(0)),
            (Method::OPTIONS, "007", Some(7)),
            (Method::OPTIONS, "256", Some(255)),
            (Method::OPTIONS, "-1", None),
            (Method::OPTIONS, "", None),
            (Method::GET, "1", None),
        ] {
            let mut fields = map(&[("max-forwards", value)]);
            assert_eq!(
                forwards_left(&method, &fields),
                expected,
                "{method} {value}"
            );
            count_down(&method, &mut fields);
            let left = expected.map(|left| left.saturating_sub(1).to_string());
            let sent = fields.get(name::MAX_FORWARDS);
            assert_eq!(sent, left.as_deref().map(str::as_bytes), "{method} {value}");
        }
        let twice = map(&[("max-forwards", "1"), ("max-forwards", "2")]);
        assert_eq!(forwards_left(&Method::OPTIONS, &twice), None);
    }

    #[test]
    fn the_callers_credentials_and_traces_stay_inside() {
        let inside = [
            ("Authorization", "Bearer theirs"),
            ("Authorization", "Basic twice"),
            ("Cookie", "a=1"),
            ("Host", "proxy.internal:8080"),
            ("X-Forwarded-For", "10.1.2.3"),
            ("X-Forwarded-Proto", "http"),
            ("Forwarded", "for=10.1.2.3"),
            ("X-Real-IP", "10.1.2.3"),
            ("Via", "1.1 inner"),
            ("Proxy-Authorization", "Basic x"),
            ("Connection", "keep-alive"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("TE", "trailers"),
            ("Trailer", "x"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
            ("Transfer-Encoding", "chunked"),
            ("Expect", "100-continue"),
            ("X-Forwarded", "x"),
            ("X-Client-IP", "10.1.2.3"),
            ("X-Cluster-Client-IP", "10.1.2.3"),
            ("True-Client-IP", "10.1.2.3"),
            ("X-Original-Host", "inner"),
            ("X-Original-URL", "/x"),
            ("X-Rewrite-URL", "/x"),
            ("X-Envoy-External-Address", "10.1.2.3"),
            ("Cookie2", "x"),
            ("Referer", "http://intranet/form?name=x"),
            ("Origin", "http://intranet"),
            ("Sec-Fetch-Site", "same-site"),
            ("Client-IP", "10.1.2.3"),
            ("X-Originating-IP", "10.1.2.3"),
            ("X-Original-Forwarded-For", "10.1.2.3"),
            ("WL-Proxy-Client-IP", "10.1.2.3"),
        ];
        assert_eq!(sent(&inside), Vec::<String>::new());
    }

    #[test]
    fn everything_else_passes_in_order_and_as_received() {
        let received = [
            ("Accept", "*/*"),
            ("X-App", "a"),
            ("X-App", "b\u{e9}"),
            ("Content-Length", "3"),
        ];
        assert_eq!(
            sent(&received),
            [
                "accept: */*",
                "content-length: 3",
                "x-app: a",
                "x-app: b\u{e9}"
            ]
        );
        let raw = Fields::from_iter([("x-latin", &b"caf\xe9"[..])]);
        let token = HeaderValue::from_static("t");
        let sent = to_dqe(&raw, &token, &token);
        assert_eq!(sent.get("x-latin"), Some(&b"caf\xe9"[..]));
    }

    #[test]
    fn a_length_of_our_own_and_a_plain_answer_take_the_place_of_the_callers() {
        let received = map(&[("Content-Length", "3"), ("Accept-Encoding", "gzip, br")]);
        let (length, id) = (HeaderValue::from(57), HeaderValue::from_static("id1"));
        let own = Own {
            authorization: None,
            length: Some(&length),
            request_id: id.as_bytes(),
        };
        let noted = Noted::in_request(&received);
        let sent: Vec<String> = outgoing(&received, noted, Version::HTTP_11, own)
            .map(line)
            .collect();
        let expected = [
            "content-length: 57",
            "accept-encoding: identity",
            "via: 1.1 dqe-proxy",
            "x-request-id: id1",
        ];
        assert_eq!(sent, expected);
    }

    #[test]
    fn what_any_connection_line_names_is_dropped_but_never_what_the_message_needs() {
        let received = [
            ("Connection", "close, X-One"),
            (
                "Connection",
                "x-two , authorization, host, content-length, via, x-request-id",
            ),
            ("X-One", "1"),
            ("X-Two", "2"),
            ("X-Three", "3"),
            ("Content-Length", "3"),
        ];
        assert_eq!(sent(&received), ["content-length: 3", "x-three: 3"]);
    }

    #[test]
    fn an_answer_loses_its_hop_by_hop_fields_and_cookies_only() {
        let mut answer = map(&[
            ("Connection", "x-hop"),
            ("Connection", "close"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
            ("Transfer-Encoding", "chunked"),
            ("Content-Type", "application/json"),
            ("Vary", "accept"),
            ("Via", "1.1 dqe"),
        ]);
        clean_answer(
            &mut answer,
            StatusCode::OK,
            Version::HTTP_11,
            &HeaderValue::from_static("id1"),
        );
        assert_eq!(
            names(&answer),
            [
                "content-type: application/json",
                "vary: accept",
                "via: 1.1 dqe",
                "via: 1.1 dqe-proxy",
                "x-request-id: id1"
            ]
        );
    }

    #[test]
    fn our_own_via_entry_tells_a_loop() {
        for (via, expected) in [
            ("1.1 dqe-proxy", true),
            ("1.0 inner, 1.1 dqe-proxy (comment)", true),
            ("1.1 dqe-proxy-2", false),
            ("1.1 inner", false),
        ] {
            assert_eq!(
                has_been_here(&map(&[("Via", "1.1 first"), ("Via", via)])),
                expected,
                "{via}"
            );
        }
    }
}
