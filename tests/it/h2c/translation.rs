//! A message of HTTP/2 on its way to a server that speaks HTTP/1.1.

use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};

use h2::Reason;

use super::{CALL, in_front_of, read_body};
use crate::support::http2::{self, DATA, Frames, GOAWAY, HEADERS, RST_STREAM};
use crate::support::{Scripted, eventually};

/// A message of HTTP/2 has bytes that would end a line of HTTP/1.1, and framing of
/// its own: what does not fit never reaches DQE, and what does is one request.
#[test]
fn nothing_of_a_request_becomes_another_one_on_its_way_to_http_1() {
    let wholes = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&wholes);
    let scripted = Scripted::start(move |head, stream| {
        let lower = head.to_ascii_lowercase();
        let has_body = lower.contains("content-length:") || lower.contains("transfer-encoding:");
        if has_body && read_body(head, stream).is_none() {
            return false;
        }
        received.lock().unwrap().push(lower);
        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.get_mut().write_all(ok).is_ok()
    });
    let running = in_front_of(&scripted);
    let scheme = (":scheme", "http");
    let authority = (":authority", "proxy.test");
    let get = [(":method", "GET"), scheme, authority, (":path", CALL)];
    let post = [(":method", "POST"), scheme, authority, (":path", "/TEL/")];
    let of = |fields: &[(&'static str, &'static str)], all: &[(&'static str, &'static str)]| {
        let is_other = |field: &&(&str, &str)| {
            !field.0.starts_with(':') || fields.iter().all(|(name, _)| *name != field.0)
        };
        let (pseudo, rest): (Vec<_>, Vec<_>) = all
            .iter()
            .filter(is_other)
            .chain(fields)
            .copied()
            .partition(|(name, _)| name.starts_with(':'));
        [pseudo, rest].concat()
    };
    let mut refused = Vec::new();
    for fields in [
        &[("x-a", "b\r\nx-c: d")][..],
        &[(
            "x-a",
            "b\r\n\r\nGET /TEL/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
        )],
        &[("x-a", "b\nx-c: d")],
        &[("x-a", "b\rc")],
        &[("x-a", "b\0c")],
        &[("x a", "b")],
        &[("x:a", "b")],
        &[("x-a: b\r\nx-c", "d")],
        &[("X-A", "b")],
        &[("", "b")],
        &[(":path", "/TEL/?a HTTP/1.1\r\nx: y")],
        &[(":path", "/TEL/?a b")],
        &[(":path", "TEL")],
        &[(":path", "")],
        &[(":path", CALL), (":path", "/TEL/?smuggled")],
        &[(":method", "GET /TEL/?smuggled HTTP/1.1\r\nx: y\r\n\r\nGET")],
        &[(":method", "G T")],
        &[(":authority", "user@proxy.test")],
        &[(":authority", "proxy.test\r\nx: y")],
        &[(":authority", "proxy.test/TEL/")],
        &[(":scheme", "ftp")],
        &[(":other", "x")],
        &[(":status", "200")],
        &[("connection", "close")],
        &[("connection", "x-a"), ("x-a", "b")],
        &[("transfer-encoding", "chunked")],
        &[("upgrade", "h2c")],
        &[("te", "gzip")],
        &[("content-length", "5")],
    ] {
        refused.push((of(fields, &get), None));
    }
    for (fields, body) in [
        (&[("transfer-encoding", "chunked")][..], "0\r\n\r\n"),
        (&[("content-length", "5")], "123456"),
        (&[("content-length", "5")], "1234"),
        (&[("content-length", "5"), ("content-length", "6")], "12345"),
        (&[("content-length", "5, 5")], "12345"),
        (&[("content-length", "+5")], "12345"),
        (&[("content-length", "0x5")], "12345"),
        (&[("content-length", "")], "12345"),
        (&[("content-length", "99999999999999999999")], "12345"),
    ] {
        refused.push((of(fields, &post), Some(body)));
    }
    for (fields, body) in refused {
        let mut caller = Frames::open(running.address);
        caller.request(1, &fields, body.is_none());
        if let Some(body) = body {
            caller.send_what_is_taken(&http2::frame(DATA, 1, 1, body.as_bytes()));
        }
        let is_end = |frame: &http2::Frame| {
            frame.kind == GOAWAY
                || (frame.stream == 1 && matches!(frame.kind, HEADERS | RST_STREAM))
        };
        let end = std::iter::from_fn(|| caller.next()).find(is_end);
        assert!(end.is_some(), "{fields:?}");
        assert_eq!(*wholes.lock().unwrap(), [""; 0], "{fields:?}");
    }
    let mut caller = Frames::open(running.address);
    let twice = [("content-length", "5"), ("content-length", "5")];
    caller.request(1, &of(&twice, &post), false);
    caller.frame(DATA, 1, 1, b"12345");
    assert_eq!(caller.next_of(HEADERS).unwrap().stream, 1);
    eventually("nothing else is on its way", || {
        running.metric("dqe_proxy_requests_in_flight") == Some(0.0)
    });
    let wholes = wholes.lock().unwrap();
    assert_eq!(wholes.len(), 1, "{wholes:?}");
    assert_eq!(wholes[0].matches("content-length: 5\r\n").count(), 1);
}

/// RFC 9113 §8.1: only the flag ends a body. A reset that calls itself no error
/// does not, or half a request would be sent to DQE as a whole one.
#[test]
fn a_body_that_is_reset_is_never_taken_for_whole() {
    let (sender, bodies) = mpsc::channel();
    let sender = Mutex::new(sender);
    let scripted = Scripted::start(move |head, stream| {
        let body = read_body(head, stream);
        sender.lock().unwrap().send(body).unwrap();
        false
    });
    let running = in_front_of(&scripted);
    for (reason, calls) in [(Reason::NO_ERROR, 1), (Reason::CANCEL, 2)] {
        let mut caller = Frames::open(running.address);
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "proxy.test"),
            (":path", "/TEL/"),
            ("content-type", "application/octet-stream"),
        ];
        caller.request(1, &fields, false);
        caller.frame(DATA, 0, 1, &[b'x'; 1000]);
        eventually("DQE has the beginning", || scripted.heads().len() == calls);
        caller.frame(RST_STREAM, 0, 1, &u32::from(reason).to_be_bytes());
        let body = bodies.recv_timeout(crate::support::PATIENCE).unwrap();
        assert_eq!(body, None, "{reason:?}");
    }
}
