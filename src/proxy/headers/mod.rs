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
    /// `Via`: replaced by ours, after it was searched for a loop.
    Via,
    /// `X-Request-Id`: the caller's own is kept when it is harmless.
    RequestId,
    /// Tells which page has sent a browser: looked at by the gate, and no more DQE's
    /// business than `Referer`.
    Browser,
    /// `Accept-Encoding`: `identity` takes its place.
    Accepts,
    /// `Max-Forwards`: counted down where it means something.
    MaxForwards,
    /// A cookie of DQE: stays outside.
    SetCookie,
    /// `Location`: must not lead past the proxy.
    Location,
    /// Everything else: end-to-end (RFC 9110 §7.6.1).
    EndToEnd,
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
            | Self::EndToEnd => false,
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
            _ => Kind::EndToEnd,
        },
        7 => match name {
            b"cookie2" | b"referer" => Kind::Inside,
            b"trailer" | b"upgrade" => Kind::HopByHop,
            _ => Kind::EndToEnd,
        },
        8 if name == b"location" => Kind::Location,
        9 if matches!(name, b"forwarded" | b"x-real-ip" | b"client-ip") => Kind::Inside,
        10 => match name {
            b"connection" => Kind::Connection,
            b"keep-alive" => Kind::HopByHop,
            b"set-cookie" => Kind::SetCookie,
            _ => Kind::EndToEnd,
        },
        11 if name == b"set-cookie2" => Kind::SetCookie,
        12 => match name {
            b"x-request-id" => Kind::RequestId,
            b"max-forwards" => Kind::MaxForwards,
            _ => Kind::EndToEnd,
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
        _ => Kind::EndToEnd,
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
    if inside { Kind::Inside } else { Kind::EndToEnd }
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
                Kind::EndToEnd
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
        Kind::EndToEnd | Kind::MaxForwards | Kind::SetCookie | Kind::Location => {
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
    // A number that does not fit counts as the largest that does.
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
mod tests;
