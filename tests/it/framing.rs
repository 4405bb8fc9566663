//! What is and is not one HTTP message, from callers and from DQE.

use crate::support::{Connection, Running, Scripted, Setup, call};

fn in_front_of(scripted: &Scripted) -> Running {
    let running = Setup::default().server(scripted.url()).start();
    running.wait_until_ready();
    running
}

#[test]
fn what_is_no_request_gets_a_400_and_a_closed_connection_and_is_not_forwarded() {
    let running = Running::start();
    running.wait_until_ready();
    let post = "POST /TEL/ HTTP/1.1\r\nHost: x\r\n";
    let get = "GET /TEL/ HTTP/1.1\r\nHost: x\r\n";
    let requests = [
        format!("{post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
        format!("{post}Content-Length: +5\r\n\r\nabcde"),
        format!("{post}Content-Length: 5,5\r\n\r\nabcde"),
        format!("{post}Content-Length:\r\n\r\nabcde"),
        format!("{post}Content-Length: -1\r\n\r\nabcde"),
        format!("{post}Content-Length: 99999999999999999999\r\n\r\nabcde"),
        format!("{post}Transfer-Encoding: chunked, gzip\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: identity\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: xchunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
        "POST /TEL/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n".to_owned(),
        format!("{get}X-A: a\r\n b\r\n\r\n"),
        format!("{get}X-A : a\r\n\r\n"),
        "GET /TEL/ HTTP/1.1\r\n X: a\r\nHost: x\r\n\r\n".to_owned(),
        format!("{get}X-A: a\rb\r\n\r\n"),
        format!("{get}X-A: a\0b\r\n\r\n"),
        format!("{get}X(A: a\r\n\r\n"),
        "G@T /TEL/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /TEL/?a=b c HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /TEL/ HTTP/2.0\r\nHost: x\r\n\r\n".to_owned(),
        "GET /TEL/\r\n\r\n".to_owned(),
    ];
    for request in requests {
        let mut connection = Connection::open(running.address);
        connection.send(&request);
        assert_eq!(connection.answer().status, 400, "{request:?}");
        assert!(connection.is_at_end(), "{request:?}");
    }
    assert!(running.received().is_empty());
}

#[test]
fn a_body_with_two_framings_is_read_by_its_chunks_and_nothing_follows_it() {
    let running = Running::start();
    running.wait_until_ready();
    let mut connection = Connection::open(running.address);
    connection.send(
        "POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nab\r\n0\r\n\r\nGET /TEL/?second HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    let _ = connection.answer();
    assert!(connection.is_at_end());
    let received = running.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].body.as_ref(), b"ab");
    assert!(received[0].header_values("content-length").is_empty());
}

#[test]
fn nothing_is_read_after_the_last_request_or_inside_a_refused_body() {
    let running = Running::start();
    running.wait_until_ready();
    let mut closing = Connection::open(running.address);
    closing.send(
        "GET /TEL/?Tel=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n\
         GET /TEL/?second HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    let _ = closing.answer();
    assert!(closing.is_at_end());
    let mut refused = Connection::open(running.address);
    let inner = "GET /TEL/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    refused.send(format!(
        "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{inner}",
        inner.len()
    ));
    assert_eq!(refused.answer().status, 404);
    refused.finish_sending();
    assert!(refused.is_at_end());
    assert_eq!(running.received().len(), 1);
}

#[test]
fn heads_and_targets_have_limits_with_their_own_status() {
    let running = Running::start();
    let many: String = (0..101).map(|n| format!("X-{n}: a\r\n")).collect();
    let large = format!("X: {}\r\n", "a".repeat(200_000));
    for fields in [many, large] {
        let mut connection = Connection::open(running.address);
        connection.send(format!("GET /TEL/ HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
        assert_eq!(connection.answer().status, 431);
    }
    let fits = running.get(&format!("/TEL/?Tel={}", "1".repeat(7_980)));
    assert_ne!(fits.status, 414);
}

#[test]
fn a_caller_that_asks_first_is_told_to_go_on_unless_it_speaks_http_1_0() {
    let running = Running::start();
    running.wait_until_ready();
    let fields = "Host: x\r\nExpect: 100-continue\r\nContent-Length: 14\r\n\r\n";
    let mut asking = Connection::open(running.address);
    asking.send(format!("POST /TEL/ HTTP/1.1\r\n{fields}"));
    assert_eq!(asking.raw_line().as_deref(), Some("HTTP/1.1 100 Continue"));
    assert_eq!(asking.raw_line().as_deref(), Some(""));
    asking.send("Tel=0612345678");
    assert_eq!(asking.answer().status, 200);
    let mut old = Connection::open(running.address);
    old.send(format!("POST /TEL/ HTTP/1.0\r\n{fields}Tel=0612345678"));
    assert_eq!(old.raw_line().as_deref(), Some("HTTP/1.0 200 OK"));
    let mut refused = Connection::open(running.address);
    refused.send(format!("POST /nowhere HTTP/1.1\r\n{fields}"));
    assert_eq!(
        refused.raw_line().as_deref(),
        Some("HTTP/1.1 404 Not Found"),
        "a refused body is not asked for"
    );
}

#[test]
fn what_is_no_answer_is_a_502() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX-A: a\rb\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX-A : a\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nx",
    ] {
        let running = in_front_of(&Scripted::answering(answer));
        let given = running.get("/TEL/?Tel=1");
        assert_eq!(
            (given.status, given.json()["code"].as_str()),
            (502, Some("upstream_invalid")),
            "{answer:?}"
        );
    }
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let scripted = Scripted::start(|head, stream| {
        use std::io::Write;
        let answer = if head.starts_with("HEAD") {
            "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
        } else if head.contains("?none") {
            "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"
        } else if head.contains("?same") {
            "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"
        } else {
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        };
        stream.get_mut().write_all(answer.as_bytes()).is_ok()
    });
    let running = in_front_of(&scripted);
    let mut connection = Connection::open(running.address);
    connection.send("HEAD /TEL/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = connection.head_answer();
    assert_eq!(head.field("content-length").as_deref(), Some("1234"));
    connection.send_get("/TEL/?none");
    let none = connection.answer();
    assert_eq!((none.status, none.field("content-length")), (204, None));
    connection.send_get("/TEL/?same");
    assert_eq!(connection.answer().status, 304);
    connection.send_get("/TEL/?plain");
    assert_eq!(connection.raw_line().as_deref(), Some("HTTP/1.1 200 OK"));
    let old = call(running.address, "GET /TEL/?plain HTTP/1.0\r\n\r\n");
    assert_eq!((old.status, old.text().as_str()), (200, "ok"));
    assert_eq!(scripted.heads().len(), 5);
}

#[test]
fn an_answers_own_fields_pass_and_those_of_its_connection_do_not() {
    let answer = b"HTTP/1.1 200 OK\r\nConnection: X-Hop, content-length\r\nX-Hop: 1\r\n\
        Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2\r\nSet-Cookie: a=b\r\n\
        X-Latin: caf\xe9\r\nX-Twice: 1\r\nX-Twice: 2\r\nContent-Length: 2\r\n\r\nok";
    let running = in_front_of(&Scripted::answering(&answer[..]));
    let given = running.get("/TEL/?Tel=1");
    for gone in [
        "x-hop",
        "keep-alive",
        "proxy-authenticate",
        "upgrade",
        "set-cookie",
    ] {
        assert_eq!(given.field(gone), None, "{gone}");
    }
    assert_eq!(given.field("x-latin").as_deref(), Some("caf\u{fffd}"));
    assert_eq!(given.field("x-twice").as_deref(), Some("1, 2"));
    assert_eq!((given.text().as_str(), given.complete), ("ok", true));
}
