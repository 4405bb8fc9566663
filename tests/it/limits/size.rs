//! How large a request may be: its body, its head.

use std::io::{Read, Write};
use std::time::Duration;

use super::{CALL, assert_refused, in_chunks, of_length, post};
use crate::support::{Connection, Scripted, Setup, Stopwatch, call, eventually};

#[test]
fn a_body_announced_as_too_long_is_refused_before_it_is_read() {
    let running = Setup::default().set("LISTENER_MAX_BODY", "1000B").start();
    running.wait_until_ready();
    // Streamed, and a form that is read whole.
    for media_type in ["application/json", "application/x-www-form-urlencoded"] {
        let mut connection = Connection::open(running.address);
        let fields = format!(
            "Content-Type: {media_type}\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n"
        );
        connection.send(post("/TEL/", &fields, ""));
        let answer = connection.answer();
        assert_refused(&answer, 413, "body_too_large");
        assert_eq!(answer.field("connection").as_deref(), Some("close"));
        assert!(connection.is_at_end());
        assert!(running.received().is_empty());
    }
    for media_type in ["application/json", "application/x-www-form-urlencoded"] {
        let mut connection = Connection::open(running.address);
        connection.send(of_length(1000, media_type));
        assert_ne!(connection.answer().status, 413, "{media_type}");
        connection.send_get(CALL);
        assert_eq!(connection.answer().status, 200, "it is kept");
    }
    assert_eq!(running.received().len(), 4);
}

#[test]
fn a_body_that_turns_out_too_long_is_cut_and_its_rest_is_no_request() {
    let running = Setup::default().set("LISTENER_MAX_BODY", "1000B").start();
    running.wait_until_ready();
    let mut connection = Connection::open(running.address);
    connection.send(in_chunks(10));
    connection.send("1\r\na\r\n0\r\n\r\nGET /TEL/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = connection.answer();
    assert_refused(&answer, 413, "body_too_large");
    assert_eq!(answer.field("connection").as_deref(), Some("close"));
    assert!(connection.is_at_end());
    eventually("the call to DQE is cut", || {
        let received = running.received();
        received.iter().all(|entry| entry.abandoned)
    });
    let smuggled = |target: &[u8]| target.ends_with(b"smuggled");
    let received = running.received();
    assert!(!received.iter().any(|entry| smuggled(&entry.target)));

    let whole = call(running.address, in_chunks(10) + "0\r\n\r\n");
    assert_ne!(whole.status, 413);
    let line = r#"dqe_proxy_requests_total{route="/TEL/",outcome="body_too_large"}"#;
    assert_eq!(running.metric(line), Some(1.0));
}

/// A form is read whole before anything of it is sent, so DQE never sees the
/// beginning of one that is too long.
#[test]
fn a_form_that_turns_out_too_long_never_reaches_dqe() {
    let running = Setup::default().set("LISTENER_MAX_BODY", "1000B").start();
    running.wait_until_ready();
    let form = "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n";
    let chunk = format!("3e9\r\n{}\r\n", "a".repeat(1001));
    let answer = call(running.address, post("/TEL/", form, &chunk));
    assert_refused(&answer, 413, "body_too_large");
    assert!(running.received().is_empty());
}

/// Once the head of an answer has gone out nothing can be told in words, so the
/// caller sees a cut answer.
#[test]
fn an_answer_that_has_begun_is_cut_with_its_request() {
    let scripted = Scripted::start(|_, stream| {
        let begun = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<begun\r\n";
        let _ = stream.get_mut().write_all(begun.as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
        false
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("LISTENER_MAX_BODY", "1000B")
        .start();
    running.wait_until_ready();
    let watch = Stopwatch::start();
    let mut connection = Connection::open(running.address);
    connection.send(in_chunks(1));
    let mut rest = connection.second_half();
    assert_eq!(rest.peek(&mut [0]).unwrap(), 1, "the answer begins");
    let chunk = format!("64\r\n{}\r\n", "a".repeat(100));
    let _ = rest.write_all(chunk.repeat(10).as_bytes());
    let answer = connection.answer();
    assert_eq!((answer.status, answer.complete), (200, false));
    assert!(watch.elapsed() < Duration::from_secs(10), "without waiting");
    eventually("it is logged", || {
        let lines = running.log_lines("/TEL/");
        lines.iter().any(|line| line["code"] == "body_too_large")
    });
}

#[test]
fn a_route_has_a_limit_of_its_own() {
    let running = Setup::default()
        .file(
            "[listener]\nmax_body = \"100B\"\n[[route]]\npath = \"/v1/small\"\nscope = \"client_phone\"\nmax_body = \"10B\"\n[[route]]\npath = \"/v1/any\"\nscope = \"client_phone\"\nmax_body = 0\n",
        )
        .start();
    running.wait_until_ready();
    for (target, length, is_refused) in [
        ("/v1/small", 10, false),
        ("/v1/small", 11, true),
        ("/TEL/", 100, false),
        ("/TEL/", 101, true),
        ("/v1/any", 2_000_000, false),
    ] {
        let fields = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        let answer = call(running.address, post(target, &fields, &"a".repeat(length)));
        assert_eq!(answer.status == 413, is_refused, "{target} {length}");
    }
}

/// The head of a GET with that many bytes and fields.
fn head(bytes: usize, fields: usize) -> String {
    let begun = format!("GET {CALL} HTTP/1.1\r\nHost: x\r\n");
    let few: String = (0..fields - 2).map(|n| format!("x-{n}: a\r\n")).collect();
    let rest = bytes - begun.len() - few.len() - "x-large: \r\n\r\n".len();
    format!("{begun}{few}x-large: {}\r\n\r\n", "a".repeat(rest))
}

#[test]
fn a_head_may_be_as_large_as_the_settings_say() {
    for (max_head, max_fields, served, refused) in [
        ("2KiB", "100", head(2048, 5), head(2049, 5)),
        ("256KiB", "100", head(200_000, 5), head(262_145, 5)),
        ("64KiB", "10", head(500, 10), head(500, 11)),
        ("64KiB", "200", head(5000, 200), head(5000, 201)),
    ] {
        // The fake DQE has limits of its own.
        let scripted = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let running = Setup::default()
            .server(scripted.url())
            .set("LISTENER_MAX_HEAD", max_head)
            .set("LISTENER_MAX_FIELDS", max_fields)
            .start();
        running.wait_until_ready();
        let name = format!("{max_head}, {max_fields} fields");
        assert_eq!(call(running.address, served).status, 200, "{name}");
        assert_eq!(call(running.address, refused).status, 431, "{name}");
        assert_eq!(scripted.heads().len(), 1, "{name}");
    }
}
