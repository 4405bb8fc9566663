//! Times that run out: a stream's, and those of the connection.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;

use super::{CALL, MIB, assert_refused, many_bytes, read_body, setup, started};
use crate::support::http2::{
    self, DATA, Frames, GOAWAY, PREFACE, connect, on_a_runtime, request, whole,
};
use crate::support::{Scripted, Stopwatch, eventually};

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
    let begun = Instant::now();
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
fn an_opening_has_the_time_of_a_head_and_what_idles_that_of_an_idle_one() {
    let running = started(
        setup()
            .set("LISTENER_HEADER_TIMEOUT", "500ms")
            .set("LISTENER_IDLE_TIMEOUT", "1500ms"),
    );
    for opening in [&PREFACE[..10], PREFACE] {
        let (begun, watch) = (Instant::now(), Stopwatch::start());
        let mut caller = Frames::connect(running.address);
        caller.send(opening);
        while caller.next().is_some() {}
        let (took, owed) = (begun.elapsed(), watch.elapsed());
        assert!(took >= Duration::from_millis(500), "{took:?}");
        assert!(owed < Duration::from_millis(1400), "{owed:?}");
    }
    on_a_runtime(async {
        let (begun, watch) = (Instant::now(), Stopwatch::start());
        let (sender, ended) = connect(running.address).await;
        // With the answer idleness begins anew.
        assert_eq!(http2::get(&sender, CALL).await.status, 200);
        let parked = running.metric("dqe_proxy_caller_connections_parked");
        assert_eq!(parked, Some(1.0));
        ended.await.unwrap().unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(1500));
        assert!(watch.elapsed() < Duration::from_secs(4));
    });
    // Who does not take the good-bye is not waited for.
    let (begun, watch) = (Instant::now(), Stopwatch::start());
    let mut caller = Frames::open(running.address);
    assert_eq!(caller.next_of(GOAWAY).unwrap().reason(), Reason::NO_ERROR);
    while caller.next().is_some() {}
    let (took, owed) = (begun.elapsed(), watch.elapsed());
    assert!(took >= Duration::from_millis(1900), "{took:?}");
    assert!(owed < Duration::from_secs(5), "{owed:?}");
    eventually("none is counted", || {
        running.metric("dqe_proxy_caller_connections") == Some(0.0)
            && running.metric("dqe_proxy_caller_connections_parked") == Some(0.0)
    });
}
