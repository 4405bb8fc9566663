//! The fields of a message's head, in the order in which they came.

use std::cell::RefCell;
use std::fmt;

use http::HeaderValue;

/// Names of fields, in lower case as everywhere here.
pub mod name {
    macro_rules! names {
        ($($constant:ident $text:literal)*) => {
            $(#[doc = concat!("`", $text, "`")] pub const $constant: &str = $text;)*
        };
    }

    names! {
        ACCEPT_ENCODING "accept-encoding"
        ACCEPT_RANGES "accept-ranges"
        ACCESS_CONTROL_ALLOW_CREDENTIALS "access-control-allow-credentials"
        ACCESS_CONTROL_ALLOW_HEADERS "access-control-allow-headers"
        ACCESS_CONTROL_ALLOW_METHODS "access-control-allow-methods"
        ACCESS_CONTROL_ALLOW_ORIGIN "access-control-allow-origin"
        ACCESS_CONTROL_ALLOW_PRIVATE_NETWORK "access-control-allow-private-network"
        ACCESS_CONTROL_EXPOSE_HEADERS "access-control-expose-headers"
        ACCESS_CONTROL_MAX_AGE "access-control-max-age"
        ACCESS_CONTROL_REQUEST_HEADERS "access-control-request-headers"
        ACCESS_CONTROL_REQUEST_METHOD "access-control-request-method"
        ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK "access-control-request-private-network"
        ALLOW "allow"
        AUTHORIZATION "authorization"
        CACHE_CONTROL "cache-control"
        CONNECTION "connection"
        CONTENT_ENCODING "content-encoding"
        CONTENT_LANGUAGE "content-language"
        CONTENT_LENGTH "content-length"
        CONTENT_LOCATION "content-location"
        CONTENT_TYPE "content-type"
        ETAG "etag"
        HOST "host"
        IF_MATCH "if-match"
        IF_MODIFIED_SINCE "if-modified-since"
        IF_NONE_MATCH "if-none-match"
        IF_RANGE "if-range"
        IF_UNMODIFIED_SINCE "if-unmodified-since"
        LOCATION "location"
        MAX_FORWARDS "max-forwards"
        ORIGIN "origin"
        PROXY_STATUS "proxy-status"
        RANGE "range"
        REFERER "referer"
        RETRY_AFTER "retry-after"
        SEC_FETCH_SITE "sec-fetch-site"
        TRANSFER_ENCODING "transfer-encoding"
        VARY "vary"
        VIA "via"
        X_CONTENT_TYPE_OPTIONS "x-content-type-options"
        X_REQUEST_ID "x-request-id"
    }
}

/// What is legal as the value of a field, by its type.
pub trait FieldValue {
    /// The value as it is written.
    fn as_bytes(&self) -> &[u8];
}

impl FieldValue for HeaderValue {
    fn as_bytes(&self) -> &[u8] {
        Self::as_bytes(self)
    }
}

/// Fields of a message. Names are in lower case, which they are made when they
/// are read; values are the bytes received, without the blanks around them.
#[derive(Clone, Default)]
pub struct Fields {
    /// What names and values are parts of.
    text: Vec<u8>,
    lines: Vec<Line>,
}

/// Where a field is in the text.
#[derive(Clone, Copy)]
struct Line {
    name: Span,
    value: Span,
}

/// From and to, in bytes. Small, since there are two for each field; no head
/// has 4 GiB.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whoever reads a head has a limit far below 4 GiB"
    )]
    fn new(start: usize, length: usize) -> Self {
        Self {
            start: start as u32,
            end: (start + length) as u32,
        }
    }

    fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.end as usize]
    }

    fn of_mut(self, text: &mut [u8]) -> &mut [u8] {
        &mut text[self.start as usize..self.end as usize]
    }
}

impl Fields {
    /// Appends the fields that were found in `head`, which they are slices of.
    pub fn read(&mut self, head: &[u8], found: &[httparse::Header<'_>]) {
        let base = self.text.len();
        self.text.extend_from_slice(head);
        self.lines.reserve(found.len());
        let span = |part: &[u8]| match part.len() {
            // An empty value may point anywhere.
            0 => Span::new(base, 0),
            length => Span::new(
                base + part.as_ptr().addr().wrapping_sub(head.as_ptr().addr()),
                length,
            ),
        };
        for field in found {
            let name = span(field.name.as_bytes());
            lower(name.of_mut(&mut self.text));
            let value = span(field.value);
            self.lines.push(Line { name, value });
        }
    }

    /// Name and value of each field, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let text = &self.text[..];
        let parts = move |line: &Line| (line.name.of(text), line.value.of(text));
        self.lines.iter().map(parts)
    }

    /// The name of each field, in order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().map(|(name, _)| name)
    }

    /// The values of the fields of this name, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let of_it = move |(known, value)| (known == name.as_bytes()).then_some(value);
        self.iter().filter_map(of_it)
    }

    /// The value of the first field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// Whether there is a field of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Appends a field. `name` is in lower case.
    pub fn append(&mut self, name: &str, value: &impl FieldValue) {
        let name = self.write(name.as_bytes());
        let value = self.write(value.as_bytes());
        self.lines.push(Line { name, value });
    }

    fn write(&mut self, part: &[u8]) -> Span {
        let span = Span::new(self.text.len(), part.len());
        self.text.extend_from_slice(part);
        span
    }

    /// Puts a field in the place of the first of its name, and of all others.
    pub fn insert(&mut self, name: &str, value: &impl FieldValue) {
        let of_it = |line: &Line| line.name.of(&self.text) == name.as_bytes();
        let Some(first) = self.lines.iter().position(of_it) else {
            return self.append(name, value);
        };
        self.lines[first].value = self.write(value.as_bytes());
        let mut index = 0;
        let text = &self.text;
        self.lines.retain(|line| {
            index += 1;
            index <= first + 1 || line.name.of(text) != name.as_bytes()
        });
    }

    /// Takes out the fields of this name; whether there were any.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.lines.len();
        self.retain(|known, _| known != name.as_bytes());
        self.lines.len() < before
    }

    /// Keeps the fields of which `stays` is true.
    pub fn retain(&mut self, mut stays: impl FnMut(&[u8], &[u8]) -> bool) {
        let text = &self.text;
        self.lines
            .retain(|line| stays(line.name.of(text), line.value.of(text)));
    }

    /// All names and values and what stands between them: what is not in here is in
    /// no value.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Lets `change` overwrite bytes of each value by others that are legal there.
    pub fn overwrite_values(&mut self, mut change: impl FnMut(&mut [u8])) {
        for line in &self.lines {
            change(line.value.of_mut(&mut self.text));
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
    }
}

/// Makes a name lower case, by eight letters that are changed in one step, the last
/// eight perhaps twice: letter by letter it costs several times as much.
fn lower(name: &mut [u8]) {
    match name.last_chunk_mut::<8>() {
        Some(last) => {
            last.make_ascii_lowercase();
            for eight in name.as_chunks_mut::<8>().0 {
                eight.make_ascii_lowercase();
            }
        }
        None => name.make_ascii_lowercase(),
    }
}

/// For tests and benches: fields with these names and values.
impl<'a> FromIterator<(&'a str, &'a [u8])> for Fields {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a [u8])>>(fields: I) -> Self {
        let mut all = Self::default();
        for (name, value) in fields {
            let name = all.write(name.as_bytes());
            name.of_mut(&mut all.text).make_ascii_lowercase();
            let value = all.write(value);
            all.lines.push(Line { name, value });
        }
        all
    }
}

/// The same fields in the same order, wherever they came from.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

/// Names only: values may be credentials or personal data.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names().map(String::from_utf8_lossy);
        f.debug_list().entries(names).finish()
    }
}

/// Most bytes of text, and most sets of fields, that are kept for use again.
const LARGEST_KEPT: usize = 8 * 1024;
const MOST_KEPT: usize = 64;

/// Fields that are no longer needed, whose memory serves the next message. The
/// requests' go to the answers and the answers' to the requests, so that none
/// is allocated in a steady state.
#[derive(Debug, Default)]
pub struct SpareFields(RefCell<Vec<Fields>>);

impl SpareFields {
    /// Empty fields.
    #[must_use]
    pub fn take(&self) -> Fields {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes fields back. What has grown large is let go.
    pub fn put(&self, mut fields: Fields) {
        let mut spare = self.0.borrow_mut();
        if spare.len() < MOST_KEPT && fields.text.capacity() <= LARGEST_KEPT {
            fields.clear();
            spare.push(fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Fields {
        let mut found = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut found);
        assert!(request.parse(head.as_bytes()).unwrap().is_complete());
        let mut fields = Fields::default();
        fields.read(head.as_bytes(), request.headers);
        fields
    }

    fn lines(fields: &Fields) -> Vec<String> {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let line = |(name, value)| format!("{}: {}", text(name), text(value));
        fields.iter().map(line).collect()
    }

    const HEAD: &str =
        "GET / HTTP/1.1\r\nHost: a\r\nX-App: One\r\nAccept:\r\nx-app:  two \r\nVia: 1.1 b\r\n\r\n";

    #[test]
    fn names_are_read_in_lower_case_and_values_as_they_are() {
        let fields = read(HEAD);
        assert_eq!(
            lines(&fields),
            [
                "host: a",
                "x-app: One",
                "accept: ",
                "x-app: two",
                "via: 1.1 b"
            ]
        );
        assert_eq!(fields.get("x-app"), Some(&b"One"[..]));
        assert_eq!(fields.get_all("x-app").count(), 2);
        assert_eq!(fields.get("accept"), Some(&b""[..]));
        assert_eq!(fields.get("x-ap"), None);
        assert!(fields.contains("via") && !fields.contains("x-application"));
        assert_eq!(fields.len(), 5);
    }

    #[test]
    fn what_is_changed_keeps_its_place_and_the_rest_its_order() {
        let mut fields = read(HEAD);
        fields.insert("x-app", &HeaderValue::from_static("longer than before"));
        fields.append("x-new", &HeaderValue::from_static("1"));
        assert!(fields.remove("host"));
        assert!(!fields.remove("host"));
        fields.insert("vary", &HeaderValue::from_static("*"));
        assert_eq!(
            lines(&fields),
            [
                "x-app: longer than before",
                "accept: ",
                "via: 1.1 b",
                "x-new: 1",
                "vary: *"
            ]
        );
        fields.retain(|name, value| name != b"accept" && value != b"*");
        fields.overwrite_values(|value| value.fill(b'-'));
        assert_eq!(
            lines(&fields),
            ["x-app: ------------------", "via: -----", "x-new: -"]
        );
    }

    #[test]
    fn names_of_every_length_are_lower_case_and_values_as_they_came() {
        for length in 1..40 {
            let name: String = "X-Az0_^Q".chars().cycle().take(length).collect();
            let value = name.repeat(2);
            let fields = read(&format!("GET / HTTP/1.1\r\n{name}:{value}\r\n\r\n"));
            let expected = format!("{}: {value}", name.to_lowercase());
            assert_eq!(lines(&fields), [expected]);
        }
    }

    #[test]
    fn spare_fields_come_back_empty_and_large_ones_not_at_all() {
        let spare = SpareFields::default();
        spare.put(read(HEAD));
        let mut again = spare.take();
        assert!(again.is_empty() && again.text.is_empty() && again.text.capacity() > 0);
        again.append(
            "x",
            &HeaderValue::from_bytes(&[b'x'; LARGEST_KEPT]).unwrap(),
        );
        spare.put(again);
        assert_eq!(spare.take().text.capacity(), 0);
        for _ in 0..2 * MOST_KEPT {
            spare.put(Fields::default());
        }
        assert_eq!(spare.0.borrow().len(), MOST_KEPT);
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", read(HEAD));
        assert_eq!(shown, r#"["host", "x-app", "accept", "x-app", "via"]"#);
    }
}
