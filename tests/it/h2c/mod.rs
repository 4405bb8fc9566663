//! HTTP/2 without TLS with callers that know it beforehand (`listener.h2c`).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dqe_proxy::sandbox::Scope;
use h2::Reason;

use crate::support::http2::{
    self, DATA, Frames, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, ask, connect, on_a_runtime,
    post, request, talk, whole,
};
use crate::support::{
    Answer, Connection, Program, Running, Scripted, Setup, call, eventually, target_received,
};

const CALL: &str = "/TEL/?Tel=0612345678&Pays=FRA";
const MIB: usize = 1024 * 1024;

fn setup() -> Setup {
    Setup::default().set("LISTENER_H2C", "true")
}

fn started(setup: Setup) -> Running {
    let running = setup.start();
    running.wait_until_ready();
    running
}

fn in_front_of(scripted: &Scripted) -> Running {
    started(setup().server(scripted.url()))
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let kind = answer.field("content-type");
    assert_eq!(kind.as_deref(), Some("application/problem+json"));
    assert_eq!(answer.json()["code"], code);
}

/// The last line of the access log about `route`, once there are `count`: those of
/// two threads come in any order.
fn logged(running: &Running, route: &str, count: usize) -> serde_json::Value {
    let mut lines = Vec::new();
    eventually("the access log has its line", || {
        lines = running.log_lines(route);
        lines.len() == count
    });
    lines.pop().unwrap()
}

#[test]
fn a_call_over_http_2_is_answered_as_over_http_1() {
    let running = started(setup());
    let before = running.get(CALL);
    assert_eq!(before.status, 200);
    let answer = talk(running.address, async |sender| {
        let mut request = request("GET", CALL);
        let fields = request.headers_mut();
        fields.insert("te", "trailers".parse().unwrap());
        fields.insert("cookie", "a=1".parse().unwrap());
        fields.insert("authorization", "Bearer mine".parse().unwrap());
        fields.insert("x-request-id", "of-the-caller".parse().unwrap());
        fields.insert("x-other", "stays".parse().unwrap());
        ask(&sender, request).await.unwrap()
    });
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, before.body);
    for name in ["connection", "transfer-encoding", "keep-alive"] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    for name in ["date", "content-type"] {
        assert!(answer.field(name).is_some(), "{name}");
    }
    let length = answer.body.len().to_string();
    assert_eq!(answer.field("content-length"), Some(length));
    assert_eq!(answer.field("via").as_deref(), Some("1.1 dqe-proxy"));
    let id = answer.field("x-request-id");
    assert_eq!(id.as_deref(), Some("of-the-caller"));

    let received = running.last_received();
    assert_eq!(
        target_received(&received),
        "/TEL/?Tel=0612345678&Pays=FRA&Licence={token}"
    );
    let values = |name: &str| -> Vec<String> {
        let values = received.header_values(name);
        values
            .iter()
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    };
    assert_eq!(values("via"), ["2.0 dqe-proxy"]);
    assert_eq!(values("x-other"), ["stays"]);
    assert_eq!(values("host").len(), 1);
    assert_ne!(values("host"), ["proxy.test"]);
    for name in ["te", "cookie", ":authority", ":path"] {
        assert!(values(name).is_empty(), "{name}");
    }
    assert_eq!(running.counters().violations(), 0);
    logged(&running, "/TEL/", 2);
    let lines = running.log_lines("/TEL/");
    let mut lines = lines.iter();
    let line = lines.find(|line| line["request_id"] == "of-the-caller");
    let line = line.unwrap();
    assert_eq!(line["http_version"], "2");
    assert_eq!(line["code"], "2xx");
}

#[test]
fn a_body_comes_with_a_length_or_without_and_head_has_none() {
    let running = started(setup());
    talk(running.address, async |sender| {
        for (target, content_type, body) in [
            (
                "/TEL/",
                "application/x-www-form-urlencoded",
                "Tel=0612345678&Pays=FRA",
            ),
            (
                "/v1/email/lookup",
                "application/json",
                r#"{"email":"jean.dupont@gmail.com"}"#,
            ),
        ] {
            for has_length in [true, false] {
                let mut request = request("POST", target);
                let fields = request.headers_mut();
                fields.insert("content-type", content_type.parse().unwrap());
                if has_length {
                    fields.insert("content-length", body.len().into());
                }
                let answer = post(&sender, request, Bytes::from_static(body.as_bytes()));
                assert_eq!(answer.await.unwrap().status, 200, "{body} {has_length}");
                let received = running.last_received();
                assert!(
                    received.body.starts_with(&body.as_bytes()[..15]),
                    "{body} {has_length}"
                );
            }
        }
        let whole = http2::get(&sender, CALL).await;
        let head = ask(&sender, request("HEAD", CALL)).await.unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.field("content-length"), whole.field("content-length"));
        // The proxy's own answers have a body.
        let refused = ask(&sender, request("HEAD", "/nowhere")).await.unwrap();
        assert_eq!((refused.status, refused.body.len()), (404, 0));
        assert!(refused.field("content-length").is_some());
    });
    assert_eq!(running.counters().violations(), 0);
}

#[test]
fn a_hundred_calls_at_once_notice_nothing_of_a_renewal() {
    let running = started(setup().token_life(Duration::from_secs(3)));
    let generation = || running.token_generation(Scope::Phone).unwrap();
    let until = generation() + 2.0;
    let calls = talk(running.address, async |sender| {
        let mut calls = 0;
        while generation() < until {
            let streams = (0..100).map(|_| {
                let sender = sender.clone();
                tokio::spawn(async move { http2::get(&sender, CALL).await })
            });
            for stream in streams.collect::<Vec<_>>() {
                let answer = stream.await.unwrap();
                assert_eq!(answer.status, 200, "{}", answer.text());
                calls += 1;
            }
        }
        calls
    });
    assert!(calls >= 200, "{calls}");
    eventually("each of them has been counted", || {
        let line = "dqe_proxy_requests_total{route=\"/TEL/\",outcome=\"2xx\"}";
        running.metric(line) == Some(f64::from(calls))
    });
    assert_eq!(running.counters().violations(), 0);
    // All of them came on one connection.
    let opened = running.metric("dqe_proxy_caller_connections_opened_total");
    assert_eq!(opened, Some(1.0));
}

/// Bytes that differ from place to place and hold nothing that is masked.
fn many_bytes(length: usize) -> Bytes {
    (0..length)
        .map(|place| b'0' + (place / 1000 % 10) as u8)
        .collect()
}

/// The body of a request, whole, however it is framed.
fn read_body(head: &str, stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = Vec::new();
    if let Some(length) = length {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).ok()?;
        return Some(body);
    }
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let start = body.len();
        body.resize(start + size + 2, 0);
        stream.read_exact(&mut body[start..]).ok()?;
        body.truncate(start + size);
        if size == 0 {
            return Some(body);
        }
    }
}

#[test]
fn large_bodies_go_both_ways_through_the_windows() {
    let scripted = Scripted::start(|head, stream| {
        let Some(body) = read_body(head, stream) else {
            return false;
        };
        let stream = stream.get_mut();
        let framing = if head.contains("down=length") {
            format!("Content-Length: {}\r\n", body.len())
        } else {
            "Connection: close\r\n".to_owned()
        };
        let is_sent = stream
            .write_all(format!("HTTP/1.1 200 OK\r\n{framing}\r\n").as_bytes())
            .is_ok();
        is_sent && stream.write_all(&body).is_ok() && head.contains("down=length")
    });
    let running = in_front_of(&scripted);
    let body = many_bytes(MIB);
    talk(running.address, async |sender| {
        for down in ["length", "close"] {
            for has_length in [true, false] {
                // Several at once, so that they share the window of the connection.
                let calls = (0..4).map(|_| {
                    let mut request = request("POST", &format!("/TEL/?down={down}"));
                    let fields = request.headers_mut();
                    fields.insert("content-type", "application/octet-stream".parse().unwrap());
                    if has_length {
                        fields.insert("content-length", MIB.into());
                    }
                    let (sender, body) = (sender.clone(), body.clone());
                    tokio::spawn(async move { post(&sender, request, body).await })
                });
                for call in calls.collect::<Vec<_>>() {
                    let answer = call.await.unwrap().unwrap();
                    assert_eq!(answer.status, 200);
                    assert!(answer.body == body, "{down} {has_length}");
                }
            }
        }
    });
    assert_eq!(scripted.heads().len(), 16);
    let line = logged(&running, "/TEL/", 16);
    assert_eq!(line["request_bytes"], MIB);
    assert_eq!(line["response_bytes"], MIB);
}

#[test]
fn a_stream_that_is_reset_or_whose_connection_goes_ends_its_call_alone() {
    let running = started(setup().fault("business:hang"));
    let in_flight = || running.metric("dqe_proxy_requests_in_flight").unwrap();
    on_a_runtime(async {
        let (mut sender, ended) = connect(running.address).await;
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(sender.send_request(request("GET", CALL), true).unwrap());
            sender = sender.ready().await.unwrap();
        }
        tokio::task::yield_now().await;
        let three = async {
            while in_flight() < 3.0 {
                tokio::task::yield_now().await;
            }
        };
        three.await;
        let (answering, mut sending) = streams.pop().unwrap();
        sending.send_reset(Reason::CANCEL);
        drop((answering, sending));
        while in_flight() > 2.0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(logged(&running, "/TEL/", 1)["code"], "caller_gone");
        // The caller goes without a word.
        ended.abort();
        while in_flight() > 0.0 {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(logged(&running, "/TEL/", 3)["code"], "caller_gone");
    eventually("the connection is no longer counted", || {
        running.metric("dqe_proxy_caller_connections") == Some(0.0)
    });
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

#[test]
fn a_refused_call_is_told_in_words() {
    let running = started(setup().set("LISTENER_HOSTS", "proxy.test"));
    talk(running.address, async |sender| {
        let answer = http2::get(&sender, "/nowhere").await;
        assert_refused(&answer, 404, "route_not_found");
        assert_eq!(answer.field("connection"), None);
        let mut elsewhere = request("GET", CALL);
        *elsewhere.uri_mut() = format!("http://evil.example{CALL}").parse().unwrap();
        let answer = ask(&sender, elsewhere).await.unwrap();
        assert_refused(&answer, 421, "host_not_allowed");
        for (host, status) in [("proxy.test", 200), ("PROXY.test", 200), ("other", 400)] {
            let mut request = request("GET", CALL);
            request.headers_mut().insert("host", host.parse().unwrap());
            assert_eq!(
                ask(&sender, request).await.unwrap().status,
                status,
                "{host}"
            );
        }
        let answer = ask(&sender, request("TRACE", CALL)).await.unwrap();
        assert_refused(&answer, 405, "method_not_allowed");
        let target = format!("/TEL/?{}", "a".repeat(8000));
        let answer = http2::get(&sender, &target).await;
        assert_refused(&answer, 414, "target_too_long");
        let mut loops = request("GET", CALL);
        loops
            .headers_mut()
            .insert("via", "2.0 dqe-proxy".parse().unwrap());
        assert_refused(&ask(&sender, loops).await.unwrap(), 508, "loop_detected");
    });
    let mut caller = Frames::open(running.address);
    caller.request(
        1,
        &[(":method", "CONNECT"), (":authority", "proxy.test:1")],
        false,
    );
    let answer = caller.next_of(HEADERS).unwrap();
    assert_eq!(answer.stream, 1);
    // What follows on the connection is answered.
    caller.get(3, CALL);
    assert_eq!(caller.next_of(HEADERS).unwrap().stream, 3);
    // Neither an authority nor a Host.
    caller.request(
        5,
        &[(":method", "GET"), (":scheme", "http"), (":path", CALL)],
        true,
    );
    let reached = running.received().len();
    let answer = std::iter::from_fn(|| caller.next()).find(|frame| frame.stream == 5);
    assert!(answer.is_some());
    assert_eq!(running.received().len(), reached);
    for (code, count) in [("method_not_allowed", 2), ("host_invalid", 2)] {
        eventually("the access log has them", || {
            let lines = running.log_lines("none");
            lines.iter().filter(|line| line["code"] == code).count() == count
        });
    }
}

/// The rest of it is stopped by a reset of its stream, and not of the connection.
#[test]
fn a_body_that_is_too_long_is_refused_and_its_connection_stays() {
    let running = started(setup().set("LISTENER_MAX_BODY", "64KiB"));
    talk(running.address, async |sender| {
        for has_length in [true, false] {
            let mut request = request("POST", "/TEL/");
            let fields = request.headers_mut();
            let kind = "application/octet-stream".parse().unwrap();
            fields.insert("content-type", kind);
            if has_length {
                fields.insert("content-length", MIB.into());
            }
            let answer = post(&sender, request, many_bytes(MIB)).await.unwrap();
            assert_refused(&answer, 413, "body_too_large");
            assert_eq!(http2::get(&sender, CALL).await.status, 200);
        }
    });
    let opened = running.metric("dqe_proxy_caller_connections_opened_total");
    assert_eq!(opened, Some(1.0));
}

#[test]
fn who_is_too_slow_runs_out_of_time_on_its_stream_alone() {
    let large = many_bytes(8 * MIB);
    let scripted = Scripted::start(move |head, stream| {
        if head.contains("hang") {
            let _ = stream.read(&mut [0]);
            return false;
        }
        if head.starts_with("POST") {
            read_body(head, stream);
            return false;
        }
        let is_large = head.contains("large");
        let body = if is_large { &large } else { &b"ok"[..] };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let stream = stream.get_mut();
        stream.write_all(head.as_bytes()).is_ok() && stream.write_all(body).is_ok()
    });
    let running = started(
        setup()
            .server(scripted.url())
            .set("UPSTREAM_BODY_IDLE_TIMEOUT", "1s")
            .set("UPSTREAM_FIRST_BYTE_TIMEOUT", "2s"),
    );
    on_a_runtime(async {
        let (sender, _ended) = connect(running.address).await;
        // Its body stops coming.
        let mut upload = sender.clone().ready().await.unwrap();
        let mut unsent = request("POST", "/TEL/");
        let fields = unsent.headers_mut();
        fields.insert("content-type", "application/octet-stream".parse().unwrap());
        fields.insert("content-length", 10.into());
        let (uploading, mut sending) = upload.send_request(unsent, false).unwrap();
        sending
            .send_data(Bytes::from_static(b"abc"), false)
            .unwrap();
        // It does not read.
        let mut reader = sender.clone().ready().await.unwrap();
        let (reading, _) = reader
            .send_request(request("GET", "/TEL/?large"), true)
            .unwrap();
        let answer = reading.await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut unread = answer.into_body();
        // DQE says nothing.
        let silent = http2::get(&sender, "/TEL/?hang").await;
        assert_refused(&silent, 504, "answer_timeout");
        let answer = whole(uploading.await.unwrap()).await.unwrap();
        assert_refused(&answer, 408, "caller_timeout");
        assert_eq!(http2::get(&sender, CALL).await.status, 200);
        let error = loop {
            match unread.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("a stalled answer has come to an end"),
            }
        };
        assert!(error.is_reset(), "{error}");
        assert_eq!(http2::get(&sender, CALL).await.status, 200);
    });
    eventually("the access log has it", || {
        let lines = running.log_lines("/TEL/");
        lines.iter().any(|line| line["code"] == "answer_stalled")
    });
}

/// What it does not read has been handed on and waits in memory, where no stream has
/// a time for it any more: the connection has.
#[test]
fn a_caller_that_reads_nothing_is_let_go_whatever_it_still_sends() {
    let scripted = Scripted::start(|head, stream| {
        if head.starts_with("POST") {
            let _ = std::io::copy(stream, &mut std::io::sink());
            return false;
        }
        let body = [b'<'; 60_000];
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let stream = stream.get_mut();
        stream.write_all(head.as_bytes()).is_ok() && stream.write_all(&body).is_ok()
    });
    let running = started(
        setup()
            .server(scripted.url())
            .set("LISTENER_IDLE_TIMEOUT", "1s"),
    );
    let mut caller = Frames::open_narrow(running.address);
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "proxy.test"),
        (":path", CALL),
        ("content-type", "application/octet-stream"),
    ];
    caller.request(1, &fields, false);
    for number in 1..40 {
        caller.get(2 * number + 1, CALL);
    }
    let begun = Instant::now();
    eventually("the connection has ended", || {
        caller.send_what_is_taken(&http2::frame(DATA, 0, 1, b"x"));
        std::thread::park_timeout(Duration::from_millis(50));
        running.metric("dqe_proxy_caller_connections") == Some(0.0)
    });
    assert!(begun.elapsed() >= Duration::from_millis(900));
    // Of the upload, and nothing of the others.
    assert_eq!(running.get(CALL).status, 200);
}

#[test]
fn an_answer_that_breaks_off_is_reset() {
    let scripted = Scripted::start(|head, stream| {
        let framing = if head.contains("chunked") {
            "Transfer-Encoding: chunked\r\n\r\n64\r\nhello"
        } else {
            "Content-Length: 100\r\n\r\nhello"
        };
        let _ = stream
            .get_mut()
            .write_all(format!("HTTP/1.1 200 OK\r\n{framing}").as_bytes());
        false
    });
    let running = in_front_of(&scripted);
    talk(running.address, async |sender| {
        for target in ["/TEL/?length", "/TEL/?chunked"] {
            let error = ask(&sender, request("GET", target)).await.unwrap_err();
            assert!(error.is_reset(), "{target}: {error}");
        }
    });
    assert_eq!(logged(&running, "/TEL/", 2)["code"], "answer_cut");
}

#[test]
fn a_drain_lets_streams_finish_and_says_good_bye() {
    let running = started(setup().fault("business:slow=700ms"));
    on_a_runtime(async {
        let (idle, idle_ended) = connect(running.address).await;
        let (mut sender, ended) = connect(running.address).await;
        let streams: Vec<_> = {
            let mut streams = Vec::new();
            for _ in 0..5 {
                streams.push(sender.send_request(request("GET", CALL), true).unwrap().0);
                sender = sender.ready().await.unwrap();
            }
            streams
        };
        while running.metric("dqe_proxy_requests_in_flight") != Some(5.0) {
            tokio::task::yield_now().await;
        }
        running.handle.drain();
        // In order: a connection that is told to go has nothing to complain of.
        idle_ended.await.unwrap().unwrap();
        assert!(idle.ready().await.is_err());
        for stream in streams {
            let answer = whole(stream.await.unwrap()).await.unwrap();
            assert_eq!(answer.status, 200);
        }
        ended.await.unwrap().unwrap();
    });
    running
        .ends_within(crate::support::PATIENCE)
        .unwrap()
        .unwrap();
}

#[test]
fn a_head_that_is_too_large_is_refused_and_others_are_not() {
    let running = started(
        setup()
            .set("LISTENER_MAX_HEAD", "16KiB")
            .set("LISTENER_MAX_FIELDS", "20"),
    );
    let large = "a".repeat(20_000);
    let names: Vec<String> = (0..20).map(|number| format!("x-{number}")).collect();
    talk(running.address, async |sender| {
        let mut request = request("GET", CALL);
        for name in &names {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, "a".parse().unwrap());
        }
        let answer = ask(&sender, request).await.unwrap();
        assert_refused(&answer, 431, "fields_too_large");
        let answer = ask(&sender, large_request(&large)).await.unwrap();
        assert_eq!(answer.status, 431);
        assert_eq!(http2::get(&sender, CALL).await.status, 200);
    });
    assert_eq!(running.received().len(), 1);
}

fn large_request(value: &str) -> http::Request<()> {
    let mut request = request("GET", CALL);
    request
        .headers_mut()
        .insert("x-large", value.parse().unwrap());
    request
}

/// The 101st stream is refused in the way that lets its caller ask again, and
/// costs the others nothing.
#[test]
fn more_streams_than_a_hundred_are_refused() {
    let running = started(setup().fault("business:hang"));
    let mut caller = Frames::open(running.address);
    for stream in 0..101 {
        caller.get(stream * 2 + 1, CALL);
    }
    let reset = caller.next_of(RST_STREAM).unwrap();
    assert_eq!(
        (reset.stream, reset.reason()),
        (201, Reason::REFUSED_STREAM)
    );
    eventually("DQE has the others", || running.received().len() == 100);
    let in_flight = running.metric("dqe_proxy_requests_in_flight");
    assert_eq!(in_flight, Some(100.0));
}

#[test]
fn requests_are_limited_one_by_one_and_connections_as_wholes() {
    let running = started(
        setup()
            .fault("business:hang")
            .set("LISTENER_MAX_REQUESTS", "3")
            .set("LISTENER_MAX_CONNECTIONS_PER_CALLER", "8"),
    );
    talk(running.address, async |mut sender| {
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(sender.send_request(request("GET", CALL), true).unwrap());
            sender = sender.ready().await.unwrap();
        }
        while running.received().len() < 3 {
            tokio::task::yield_now().await;
        }
        let answer = http2::get(&sender, CALL).await;
        assert_refused(&answer, 503, "too_many_requests");
        let connections = running.metric("dqe_proxy_caller_connections");
        assert_eq!(connections, Some(1.0));
    });
}

/// CVE-2023-44487: whoever opens streams only to reset them is sent away.
#[test]
fn streams_that_are_reset_as_fast_as_they_come_end_the_connection() {
    let running = started(setup());
    let mut caller = Frames::open(running.address);
    let cancel = u32::from(Reason::CANCEL).to_be_bytes();
    let mut all = Vec::new();
    for stream in 0..2000_u32 {
        let id = stream * 2 + 1;
        all.extend_from_slice(&http2::get_frame(id, CALL));
        all.extend_from_slice(&http2::frame(RST_STREAM, 0, id, &cancel));
    }
    caller.send_what_is_taken(&all);
    let goodbye = caller.next_of(GOAWAY).unwrap();
    assert_eq!(goodbye.reason(), Reason::ENHANCE_YOUR_CALM);
    eventually("nothing is left of it", || {
        running.metric("dqe_proxy_requests_in_flight") == Some(0.0)
    });
    assert_eq!(running.get(CALL).status, 200);
}

#[test]
fn both_versions_are_spoken_on_one_port_at_the_same_time() {
    let running = started(setup());
    std::thread::scope(|scope| {
        let old = scope.spawn(|| {
            let mut caller = Connection::open(running.address);
            for _ in 0..100 {
                caller.send_get(CALL);
                assert_eq!(caller.answer().status, 200);
            }
        });
        talk(running.address, async |sender| {
            for _ in 0..100 {
                assert_eq!(http2::get(&sender, CALL).await.status, 200);
            }
        });
        old.join().unwrap();
    });
    assert_eq!(running.received().len(), 200);
    // What is no request is still none.
    for invalid in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        "GET / HTTP/2.0\r\n\r\n",
        "X\r\n\r\n",
    ] {
        assert_eq!(call(running.address, invalid).status, 400, "{invalid}");
    }
}

#[test]
fn a_preface_counts_at_the_beginning_and_where_it_is_let_in_only() {
    let off = Running::start();
    off.wait_until_ready();
    let mut settings = PREFACE.to_vec();
    settings.extend_from_slice(&http2::frame(SETTINGS, 0, 0, &[]));
    assert_eq!(call(off.address, &settings).status, 400);

    let on = started(setup());
    let mut caller = Connection::open(on.address);
    caller.send_get(CALL);
    assert_eq!(caller.answer().status, 200);
    caller.send(&settings);
    assert_eq!(caller.answer().status, 400);
    assert!(caller.is_at_end());
    // In pieces, wherever it is cut.
    for at in 1..settings.len() {
        let mut caller = Frames::connect(on.address);
        let before = on.metric("dqe_proxy_caller_connections_parked").unwrap();
        caller.send(&settings[..at]);
        if at < PREFACE.len() {
            eventually("the beginning has come", || {
                on.metric("dqe_proxy_caller_connections_opened_total")
                    .unwrap()
                    > 1.0
                    && on.metric("dqe_proxy_caller_connections_parked").unwrap() <= before
            });
        }
        caller.send(&settings[at..]);
        caller.get(1, CALL);
        assert_eq!(caller.next_of(HEADERS).unwrap().stream, 1, "cut at {at}");
    }
}

#[test]
fn an_opening_has_the_time_of_a_head_and_what_idles_that_of_an_idle_one() {
    let running = started(
        setup()
            .set("LISTENER_HEADER_TIMEOUT", "500ms")
            .set("LISTENER_IDLE_TIMEOUT", "1500ms"),
    );
    for opening in [&PREFACE[..10], PREFACE] {
        let begun = Instant::now();
        let mut caller = Frames::connect(running.address);
        caller.send(opening);
        while caller.next().is_some() {}
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(500), "{took:?}");
        assert!(took < Duration::from_millis(1400), "{took:?}");
    }
    on_a_runtime(async {
        let begun = Instant::now();
        let (sender, ended) = connect(running.address).await;
        // With the answer idleness begins anew.
        assert_eq!(http2::get(&sender, CALL).await.status, 200);
        let parked = running.metric("dqe_proxy_caller_connections_parked");
        assert_eq!(parked, Some(1.0));
        ended.await.unwrap().unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(1500));
        assert!(begun.elapsed() < Duration::from_secs(4));
    });
    // Who does not take the good-bye is not waited for.
    let begun = Instant::now();
    let mut caller = Frames::open(running.address);
    assert_eq!(caller.next_of(GOAWAY).unwrap().reason(), Reason::NO_ERROR);
    while caller.next().is_some() {}
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1900), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    eventually("none is counted", || {
        running.metric("dqe_proxy_caller_connections") == Some(0.0)
            && running.metric("dqe_proxy_caller_connections_parked") == Some(0.0)
    });
}

/// At its most talkative the program says nothing of frames and heads.
#[test]
fn nothing_of_a_call_is_logged() {
    let scripted = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let forbidden = ["0612345678", "proxy.test", "TKscripted"];
    let mut program = Program::start(scripted.url(), &[("LISTENER_H2C", "true")], &forbidden);
    talk(program.address, async |sender| {
        let mut request = request("GET", CALL);
        let secret = http::HeaderValue::from_static("Bearer 0612345678");
        request.headers_mut().insert("authorization", secret);
        assert_eq!(ask(&sender, request).await.unwrap().status, 200);
    });
    let mut caller = Frames::open(program.address);
    // An index that there is not (RFC 7541 §2.3.3).
    caller.frame(HEADERS, 5, 1, b"\xff\x000612345678");
    assert!(caller.next_of(GOAWAY).is_some());
    program.check_log();
}
