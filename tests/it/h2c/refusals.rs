//! Calls that are refused, and limits that refuse them.

use h2::Reason;

use super::{CALL, MIB, assert_refused, many_bytes, setup, started};
use crate::support::eventually;
use crate::support::http2::{self, Frames, GOAWAY, HEADERS, RST_STREAM, ask, post, request, talk};

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
fn a_head_that_is_too_large_is_refused_and_others_are_not() {
    let running = started(
        setup()
            .set("LISTENER_MAX_HEAD", "16KiB")
            .set("LISTENER_MAX_FIELDS", "20"),
    );
    let (large, huge) = ("a".repeat(20_000), "a".repeat(40_000));
    let value: http::HeaderValue = "a".repeat(1040).parse().unwrap();
    let names: Vec<String> = (0..20).map(|number| format!("x-{number}")).collect();
    talk(running.address, async |sender| {
        let mut many = request("GET", CALL);
        for name in &names {
            let name: http::HeaderName = name.parse().unwrap();
            many.headers_mut().insert(name, "a".parse().unwrap());
        }
        let answer = ask(&sender, many).await.unwrap();
        assert_refused(&answer, 431, "fields_too_large");
        // What HTTP/2 adds to each field when it reckons is not held against it.
        let mut full = request("GET", CALL);
        for name in &names[..15] {
            let name: http::HeaderName = name.parse().unwrap();
            full.headers_mut().insert(name, value.clone());
        }
        assert_eq!(ask(&sender, full).await.unwrap().status, 200);
        let answer = ask(&sender, large_request(&large)).await.unwrap();
        assert_refused(&answer, 431, "fields_too_large");
        // Of what is much larger nothing is kept, not even who has sent it.
        let answer = ask(&sender, large_request(&huge)).await.unwrap();
        assert_eq!(answer.status, 431);
        assert_eq!(http2::get(&sender, CALL).await.status, 200);
    });
    assert_eq!(running.received().len(), 2);
    eventually("the access log has those that were read", || {
        let lines = running.log_lines("none");
        lines.len() == 2 && lines.iter().all(|line| line["code"] == "fields_too_large")
    });
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
