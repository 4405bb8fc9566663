//! The head of a request, written as the server can read it. Pure: values in, bytes out.

use bytes::BytesMut;
use http::{HeaderValue, Method};

use crate::http1::{self, Framing};

/// Appends a request head in origin-form, and tells how its body is to be framed.
/// `target` appends path and query; `fields` hold at most one `Content-Length`, of
/// digits only.
pub(super) fn write_request<'a>(
    out: &mut BytesMut,
    method: &Method,
    target: impl FnOnce(&mut BytesMut),
    host: &HeaderValue,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    body_is_empty: bool,
) -> Framing {
    out.extend_from_slice(method.as_str().as_bytes());
    out.extend_from_slice(b" ");
    target(out);
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(host.as_bytes());
    let mut framing = if body_is_empty {
        Framing::None
    } else {
        Framing::Chunked
    };
    let mut has_length = false;
    // Not a `for` loop: what chained iterators do at each step, they do once here.
    fields.for_each(|(name, value)| {
        if name == b"content-length" {
            match http1::length(value) {
                Some(length) if !body_is_empty => framing = Framing::Length(length),
                Some(_) => has_length = true,
                // Never a length beside another framing, whatever it was meant to say.
                None => return,
            }
        }
        out.reserve(name.len() + value.len() + b"\r\n: ".len());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
    });
    if framing == Framing::Chunked {
        out.extend_from_slice(b"\r\ntransfer-encoding: chunked");
    } else if body_is_empty && !has_length && expects_body(method) {
        // RFC 9110 §8.6: a server may insist on a length where a body is usual.
        out.extend_from_slice(b"\r\ncontent-length: 0");
    }
    out.extend_from_slice(b"\r\n\r\n");
    framing
}

fn expects_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(method: &str, fields: &[(&str, &str)], empty: bool) -> (String, Framing) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut out = BytesMut::new();
        let host = HeaderValue::from_static("dqe.example");
        let borrowed = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let target = |out: &mut BytesMut| out.extend_from_slice(b"/TEL/?a=%E9");
        let framing = write_request(&mut out, &method, target, &host, borrowed, empty);
        (String::from_utf8(out.to_vec()).unwrap(), framing)
    }

    #[test]
    fn a_request_is_framed_once() {
        for (method, fields, empty, expected, framing) in [
            (
                "GET",
                &[("x-a", "1")][..],
                true,
                "GET /TEL/?a=%E9 HTTP/1.1\r\nhost: dqe.example\r\nx-a: 1\r\n\r\n",
                Framing::None,
            ),
            (
                "POST",
                &[],
                true,
                "POST /TEL/?a=%E9 HTTP/1.1\r\nhost: dqe.example\r\ncontent-length: 0\r\n\r\n",
                Framing::None,
            ),
            (
                "POST",
                &[("content-length", "0")],
                true,
                "POST /TEL/?a=%E9 HTTP/1.1\r\nhost: dqe.example\r\ncontent-length: 0\r\n\r\n",
                Framing::None,
            ),
            (
                "POST",
                &[("content-length", "5")],
                false,
                "POST /TEL/?a=%E9 HTTP/1.1\r\nhost: dqe.example\r\ncontent-length: 5\r\n\r\n",
                Framing::Length(5),
            ),
            (
                "POST",
                &[],
                false,
                "POST /TEL/?a=%E9 HTTP/1.1\r\nhost: dqe.example\r\ntransfer-encoding: chunked\r\n\r\n",
                Framing::Chunked,
            ),
        ] {
            assert_eq!(
                written(method, fields, empty),
                (expected.to_owned(), framing),
                "{method} {fields:?}"
            );
        }
    }
}
