//! What an operator sees and does: health, metrics, logs, drain, reload.

use std::io::Write as _;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::support::{Connection, Running, Scripted, Setup, Stopwatch, eventually, get};

const CALL: &str = "/TEL/?Tel=0612345678&Pays=FRA&Licence=OURS";

#[test]
fn liveness_never_depends_on_tokens_and_readiness_does() {
    let running = Setup::default().fault("token:status=503").start();
    assert_eq!(running.admin_get("/livez").status, 200);
    let ready = running.admin_get("/readyz?verbose");
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("client_phone"), "{}", ready.text());
    running.dqe.sandbox.clear_faults();
    eventually("it is ready", || running.admin_get("/readyz").status == 200);
}

#[test]
fn metrics_tell_what_happened() {
    let running = Running::start();
    running.wait_until_ready();
    for _ in 0..3 {
        assert_eq!(running.get(CALL).status, 200);
    }
    let _ = running.get("/unknown");
    eventually("requests are counted by route and outcome", || {
        running.metric("dqe_proxy_requests_total{route=\"/TEL/\",outcome=\"2xx\"}") == Some(3.0)
            && running
                .metric("dqe_proxy_requests_total{route=\"none\",outcome=\"route_not_found\"}")
                == Some(1.0)
    });
    assert_eq!(
        running.metric("dqe_proxy_request_duration_seconds_count{route=\"/TEL/\"}"),
        Some(3.0)
    );
    let left = running
        .metric("dqe_proxy_token_seconds_to_expiry{scope=\"client_phone\"}")
        .unwrap();
    assert!(left > 100.0 && left <= 300.0, "{left}");
    let text = running.admin_get("/metrics").text();
    assert!(text.ends_with("# EOF\n"));
    for secret in ["sandbox-secret", "SANDBOX", "0612345678", "Bearer", "TK"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn the_access_log_has_one_line_a_request_and_nothing_personal() {
    let running = Running::start();
    running.wait_until_ready();
    let answer = running.get(CALL);
    eventually("the line is written", || {
        running.log_lines("/TEL/").len() == 1
    });
    let line = running.log_lines("/TEL/").remove(0);
    assert_eq!(
        line["request_id"].as_str(),
        answer.field("x-request-id").as_deref()
    );
    assert_eq!(line["caller"], "127.0.0.1");
    assert_eq!(line["method"], "GET");
    assert_eq!(line["scope"], "client_phone");
    assert_eq!(line["status"], 200);
    assert_eq!(line["code"], "2xx");
    assert!(line["total_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(line["response_bytes"], answer.body.len());
    let text = line.to_string();
    for private in ["0612345678", "OURS", "FRA", "Tel"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
}

#[test]
fn a_drain_lets_thirty_slow_requests_finish() {
    let running = Setup::default().start();
    running.wait_until_ready();
    running
        .dqe
        .sandbox
        .set_fault("business:slow=700ms")
        .unwrap();
    let callers: Vec<_> = (0..30)
        .map(|_| {
            let address = running.address;
            std::thread::spawn(move || get(address, CALL))
        })
        .collect();
    eventually("all of them are at DQE", || running.received().len() == 30);
    let mut idle = Connection::open(running.address);
    running.end().unwrap();
    for caller in callers {
        let answer = caller.join().unwrap();
        assert_eq!((answer.status, answer.complete), (200, true));
    }
    assert!(idle.is_at_end());
    assert!(
        std::net::TcpStream::connect(running.address).is_err(),
        "the listener is closed"
    );
}

/// RFC 9112 §9.6: a caller that is told so does not lose its next request.
#[test]
fn an_answer_during_a_drain_says_that_it_is_the_last() {
    let running = Setup::default().fault("business:slow=700ms").start();
    running.wait_until_ready();
    let mut caller = Connection::open(running.address);
    caller.send_get(CALL);
    eventually("it is at DQE", || !running.received().is_empty());
    running.handle.drain();
    let answer = caller.answer();
    assert_eq!(
        (answer.status, answer.field("connection").as_deref()),
        (200, Some("close"))
    );
    assert!(caller.is_at_end());
}

#[test]
fn a_draining_proxy_is_unready_before_it_stops_accepting() {
    let running = Setup::default().set("DRAIN_DELAY", "3s").start();
    running.wait_until_ready();
    running.handle.drain();
    eventually("it is unready", || {
        running.admin_get("/readyz").status == 503
    });
    assert_eq!(running.get(CALL).status, 200, "it still accepts");
    assert!(running.ends_within(Duration::from_secs(6)).unwrap().is_ok());
}

#[test]
fn what_does_not_finish_is_cut_at_the_end_of_the_drain_or_by_a_second_word() {
    let slow = Setup::default().set("DRAIN_TIMEOUT", "300ms").start();
    slow.wait_until_ready();
    slow.dqe.sandbox.set_fault("business:hang").unwrap();
    let mut connection = Connection::open(slow.address);
    connection.send_get(CALL);
    eventually("it is at DQE", || !slow.received().is_empty());
    let watch = Stopwatch::start();
    assert!(slow.end().is_ok());
    assert!(connection.is_at_end());
    assert!(watch.elapsed() < Duration::from_secs(4));

    let told_twice = Running::start();
    told_twice.wait_until_ready();
    told_twice.dqe.sandbox.set_fault("business:hang").unwrap();
    let mut connection = Connection::open(told_twice.address);
    connection.send_get(CALL);
    eventually("it is at DQE", || !told_twice.received().is_empty());
    let watch = Stopwatch::start();
    told_twice.handle.drain();
    told_twice.handle.drain();
    assert!(
        told_twice
            .ends_within(Duration::from_secs(5))
            .unwrap()
            .is_err()
    );
    assert!(watch.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_reload_with_a_broken_ca_file_keeps_the_old_one() {
    let running = Setup::default().https().start();
    running.wait_until_ready();
    std::fs::write(running.folder().join("ca.pem"), "nonsense").unwrap();
    running.handle.reload();
    for _ in 0..3 {
        assert_eq!(running.get(CALL).status, 200);
    }
}

/// Connections that were made under the old trust carry no call after a reload, not
/// even those that were in use meanwhile.
#[test]
fn a_connection_that_was_in_use_during_a_reload_is_not_used_again() {
    let (release, held) = mpsc::channel();
    let held = Mutex::new(held);
    let ports: Arc<Mutex<Vec<u16>>> = Arc::default();
    let seen = Arc::clone(&ports);
    let scripted = Scripted::start(move |head, stream| {
        let port = stream.get_ref().peer_addr().unwrap().port();
        seen.lock().unwrap().push(port);
        if head.contains("held") {
            let _ = held.lock().unwrap().recv();
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        stream.get_mut().write_all(answer).is_ok()
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("LISTENER_THREADS", "1")
        .start();
    running.wait_until_ready();
    let mut caller = Connection::open(running.address);
    caller.send_get("/TEL/?held");
    eventually("it is at DQE", || !scripted.heads().is_empty());
    running.handle.reload();
    eventually("the settings are read again", || {
        let status = running.admin_get("/status.json").json();
        let mut events = status["events"].as_array().unwrap().iter();
        events.any(|event| event["event"] == "reloaded")
    });
    // Whatever was idle is closed by the next call.
    assert_eq!(running.get(CALL).status, 200);
    release.send(()).unwrap();
    assert_eq!(caller.answer().status, 200);
    assert_eq!(running.get(CALL).status, 200);
    let ports = ports.lock().unwrap();
    assert_eq!(ports.len(), 3);
    assert!(!ports[1..].contains(&ports[0]), "{ports:?}");
}
