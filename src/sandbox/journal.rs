//! What the sandbox received, request by request, byte for byte.
//!
//! Target, header names, header values and body are the bytes read from the socket. What cannot
//! be seen: white space around header values, the boundaries of chunks and of TCP segments, and
//! trailers. A bounded ring: the oldest requests are forgotten first.

use std::collections::VecDeque;
use std::time::SystemTime;

use bytes::Bytes;

use super::counters::Violation;
use super::credential::{Carrier, Kind, Presented};
use super::json::{Json, Object};
use super::message::{self, Version};
use super::route::Family;
use super::scope::Scope;
use super::token::Standing;

/// Most bytes of one body kept.
pub(crate) const BODY_KEPT: usize = 64 * 1024;
/// Most bytes kept in all; above it the ring is shorter than its settings say.
const BYTES_KEPT: usize = 64 * 1024 * 1024;

/// One request as received.
#[derive(Debug, Clone)]
pub struct Entry {
    /// 1 for the first request since the start.
    pub sequence: u64,
    /// When its head had arrived.
    pub at: SystemTime,
    /// Which connection it came on; the first is 1.
    pub connection: u64,
    /// The method.
    pub method: Bytes,
    /// The target, every byte of it.
    pub target: Bytes,
    /// The version.
    pub version: Version,
    /// Header names and values in the order and spelling received.
    pub headers: Vec<(Bytes, Bytes)>,
    /// The first 64 KiB of the body, without chunk framing.
    pub body: Bytes,
    /// The body's whole length in bytes.
    pub body_length: u64,
    /// The product family; none for an unknown path and for the token endpoint.
    pub family: Option<Family>,
    /// Whether it went to a token endpoint.
    pub token_endpoint: bool,
    /// The credentials it carried, judged when it arrived.
    pub credentials: Vec<Presented>,
    /// The scope a token request asks for, or the scope of the family.
    pub scope: Option<Scope>,
    /// What it did that it should not.
    pub violations: Vec<Violation>,
    /// The faults that hit it, as they were written.
    pub faults: Vec<String>,
    /// The status answered; none while it waits, or when no status was ever sent.
    pub status: Option<u16>,
    /// The caller closed the connection before it was answered, or before its body had arrived.
    pub abandoned: bool,
}

impl Entry {
    /// The path, every byte of it.
    pub fn path(&self) -> &[u8] {
        message::split_target(&self.target).0
    }

    /// The query without its `?`, every byte of it.
    pub fn query(&self) -> &[u8] {
        message::split_target(&self.target).1
    }

    /// The values of every header of this name, in order.
    pub fn header_values(&self, name: &str) -> Vec<&[u8]> {
        let named = self
            .headers
            .iter()
            .filter(|(received, _)| received.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value.as_ref()).collect()
    }

    /// Whether a credential came in `Authorization`.
    pub fn has_header_credential(&self) -> bool {
        self.credentials
            .iter()
            .any(|one| one.carrier == Carrier::Header)
    }

    /// Whether a credential came as a parameter.
    pub fn has_licence_parameter(&self) -> bool {
        self.credentials
            .iter()
            .any(|one| one.carrier != Carrier::Header)
    }

    /// The first live token's generation.
    pub fn generation(&self) -> Option<u64> {
        let live = |one: &&Presented| one.kind == Kind::Token(Standing::Live);
        self.credentials
            .iter()
            .find(live)
            .and_then(|one| one.generation)
    }

    /// Bytes it keeps alive, about: the texts, and what holds them.
    fn weight(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + size_of::<(Bytes, Bytes)>())
            .sum();
        let credentials: usize = self
            .credentials
            .iter()
            .map(|one| one.value.len() + size_of::<Presented>())
            .sum();
        let faults: usize = self.faults.iter().map(String::len).sum();
        size_of::<Self>() + self.target.len() + headers + self.body.len() + credentials + faults
    }

    /// The entry for people and scripts: secrets masked, tokens cut to their first 8 characters.
    pub(crate) fn shown(&self, mask: &Mask<'_>) -> Object {
        let text = |bytes: &[u8]| mask.apply(&String::from_utf8_lossy(bytes), &self.credentials);
        let milliseconds = self
            .at
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .and_then(|since| u64::try_from(since.as_millis()).ok())
            .unwrap_or_default();
        let headers: Vec<Json> = self
            .headers
            .iter()
            .map(|(name, value)| Json::from(vec![text(name), text(value)]))
            .collect();
        let credentials: Vec<Object> = self.credentials.iter().map(shown_credential).collect();
        let violations: Vec<&str> = self
            .violations
            .iter()
            .map(|violation| violation.name())
            .collect();
        Object::new()
            .with("sequence", self.sequence)
            .with("at_ms", milliseconds)
            .with("connection", self.connection)
            .with("method", text(&self.method))
            .with("target", text(&self.target))
            .with(
                "version",
                match self.version {
                    Version::Http10 => "HTTP/1.0",
                    Version::Http11 => "HTTP/1.1",
                },
            )
            .with("headers", Json::List(headers))
            .with("body", text(&self.body))
            .with("body_length", self.body_length)
            .with("family", self.family.map_or("", Family::name))
            .with("token_endpoint", self.token_endpoint)
            .with("scope", self.scope.map_or("", Scope::name))
            .with("credentials", credentials)
            .with("violations", violations)
            .with("faults", self.faults.clone())
            .with("status", self.status.map_or(0, i64::from))
            .with("abandoned", self.abandoned)
    }
}

fn shown_credential(one: &Presented) -> Object {
    let carrier = match one.carrier {
        Carrier::Header => "header",
        Carrier::Query => "query",
        Carrier::Body => "body",
    };
    let kind = match one.kind {
        Kind::Token(Standing::Live) => "live",
        Kind::Token(Standing::Expired) => "expired",
        Kind::Token(Standing::Revoked) => "revoked",
        Kind::Token(Standing::Unknown) => "unknown",
        Kind::LicenceCode => "licence code",
        Kind::Empty => "empty",
        Kind::OtherScheme => "other scheme",
    };
    Object::new()
        .with("carrier", carrier)
        .with("kind", kind)
        .with("scope", one.scope.map_or("", Scope::name))
        .with("generation", one.generation.unwrap_or_default())
        .with("wrong_scope", one.wrong_scope)
}

/// What must not be printed.
pub(crate) struct Mask<'state> {
    pub(crate) secrets: &'state [String],
}

impl Mask<'_> {
    fn apply(&self, text: &str, credentials: &[Presented]) -> String {
        let mut masked = text.to_owned();
        for name in ["client_secret", "access_token", "refresh_token"] {
            masked = hide_parameter(&masked, name);
        }
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            masked = hide(&masked, secret, "***");
        }
        for token in credentials
            .iter()
            .map(|one| one.value.as_str())
            .filter(|value| value.len() > 8)
        {
            let start: String = token.chars().take(8).collect();
            masked = hide(&masked, token, &format!("{start}…"));
        }
        masked
    }
}

/// Hides a value as it is and as it looks percent-encoded.
fn hide(text: &str, value: &str, by: &str) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let encoded = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    text.replace(value, by).replace(&encoded, by)
}

/// Hides the value of a parameter, right or wrong: a refused secret may be the right one elsewhere.
fn hide_parameter(text: &str, name: &str) -> String {
    let marker = format!("{name}=");
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&marker) {
        let (before, after) = rest.split_at(at + marker.len());
        masked.push_str(before);
        let end = after.find('&').unwrap_or(after.len());
        if end > 0 {
            masked.push_str("***");
        }
        rest = &after[end..];
    }
    masked + rest
}

/// The ring.
#[derive(Debug)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    size: usize,
    bytes: usize,
    last: u64,
}

impl Journal {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            size,
            bytes: 0,
            last: 0,
        }
    }

    /// Adds a request; answers its sequence number.
    pub(crate) fn push(&mut self, mut entry: Entry) -> u64 {
        self.last += 1;
        entry.sequence = self.last;
        self.bytes += entry.weight();
        self.entries.push_back(entry);
        while self.entries.len() > self.size
            || (self.bytes > BYTES_KEPT && !self.entries.is_empty())
        {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.weight();
        }
        self.last
    }

    /// Writes down how a request ended, unless it is already forgotten; a copy of the entry when
    /// asked for.
    pub(crate) fn ended(
        &mut self,
        sequence: u64,
        status: Option<u16>,
        abandoned: bool,
        copy: bool,
    ) -> Option<Entry> {
        // Sequence numbers in the ring follow each other, so the place can be computed.
        let first = self.entries.front()?.sequence;
        let at = usize::try_from(sequence.checked_sub(first)?).ok()?;
        let entry = self.entries.get_mut(at)?;
        entry.status = status;
        entry.abandoned = abandoned;
        copy.then(|| entry.clone())
    }

    /// The entries after this sequence number, oldest first.
    pub(crate) fn after(&self, sequence: u64) -> Vec<Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.sequence > sequence)
            .cloned()
            .collect()
    }

    /// Forgets the entries; sequence numbers go on.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(target: &str) -> Entry {
        Entry {
            sequence: 0,
            at: SystemTime::UNIX_EPOCH,
            connection: 1,
            method: Bytes::from_static(b"GET"),
            target: Bytes::from(target.to_owned()),
            version: Version::Http11,
            headers: Vec::new(),
            body: Bytes::new(),
            body_length: 0,
            family: None,
            token_endpoint: true,
            credentials: Vec::new(),
            scope: None,
            violations: Vec::new(),
            faults: Vec::new(),
            status: None,
            abandoned: false,
        }
    }

    #[test]
    fn the_ring_forgets_the_oldest_and_keeps_counting() {
        let mut journal = Journal::new(2);
        for _ in 0..3 {
            journal.push(entry("/"));
        }
        let left: Vec<u64> = journal
            .after(0)
            .iter()
            .map(|entry| entry.sequence)
            .collect();
        assert_eq!(left, [2, 3]);
        assert!(journal.ended(1, Some(200), false, true).is_none());
        assert_eq!(
            journal.ended(3, Some(200), false, true).unwrap().status,
            Some(200)
        );
        journal.clear();
        assert_eq!(journal.push(entry("/")), 4);
    }

    #[test]
    fn the_ring_is_bounded_in_bytes_too() {
        let mut journal = Journal::new(1_000_000);
        let long = "x".repeat(1024 * 1024);
        for _ in 0..70 {
            journal.push(entry(&long));
        }
        assert!((60..65).contains(&journal.after(0).len()));
    }

    #[test]
    fn secrets_and_tokens_are_not_printed() {
        let secrets = ["s3 cret".to_owned()];
        let mask = Mask { secrets: &secrets };
        let target =
            "/oauth/access_token/?client_secret=wrong&x=s3%20cret&access_token=TK12345678&scope=a";
        let shown = entry(target).shown(&mask).to_string();
        for hidden in ["wrong", "s3%20cret", "TK12345678"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
        assert!(
            shown.contains("client_secret=***&x=***&access_token=***&scope=a"),
            "{shown}"
        );
    }
}
