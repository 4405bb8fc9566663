//! What is asked over HTTP/2 is answered as over HTTP/1.1.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use dqe_proxy::sandbox::Scope;

use super::{CALL, MIB, in_front_of, logged, many_bytes, read_body, setup, started};
use crate::support::http2::{self, Frames, GOAWAY, HEADERS, ask, post, request, talk};
use crate::support::{Program, Scripted, eventually, target_received};

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
