//! What DQE or the network does wrong, and what the caller sees of it.

use std::time::{Duration, Instant};

use crate::support::{Connection, Running, Setup, Stopwatch, call};

const CALL: &str = "/TEL/?Tel=0612345678&Pays=FRA";

fn with(fault: &str) -> Running {
    let running = Running::start();
    running.wait_until_ready();
    running.dqe.sandbox.set_fault(fault).unwrap();
    running
}

#[test]
fn each_failure_has_its_own_status_and_code() {
    for (fault, status, code) in [
        ("business:reset", 502, "upstream_broken"),
        ("business:garbage", 502, "upstream_invalid"),
    ] {
        let running = with(fault);
        let answer = running.get(CALL);
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (status, Some(code)),
            "{fault}"
        );
        assert!(
            answer.field("proxy-status").unwrap().contains(code),
            "{fault}"
        );
    }
}

#[test]
fn dqes_own_errors_are_passed_on_as_they_are() {
    let running = with("business:status=503,retry-after=7");
    let answer = running.get(CALL);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.field("retry-after").as_deref(), Some("7"));
    assert_eq!(
        answer.field("proxy-status"),
        None,
        "it is not the proxy's own"
    );
}

#[test]
fn a_server_that_cannot_be_reached_is_a_502() {
    let running = Running::start();
    running.wait_until_ready();
    running.dqe.pause();
    let answer = running.get(CALL);
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (502, Some("upstream_unreachable"))
    );
    running.dqe.resume();
    assert_eq!(running.get(CALL).status, 200);
}

#[test]
fn a_silent_server_is_a_504_after_the_time_out() {
    let running = Setup::default()
        .set("UPSTREAM_FIRST_BYTE_TIMEOUT", "300ms")
        .start();
    running.wait_until_ready();
    running.dqe.sandbox.set_fault("business:hang").unwrap();
    let (begun, watch) = (Instant::now(), Stopwatch::start());
    let answer = running.get(CALL);
    let (waited, owed) = (begun.elapsed(), watch.elapsed());
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (504, Some("answer_timeout"))
    );
    assert!(waited >= Duration::from_millis(300), "{waited:?}");
    assert!(owed < Duration::from_millis(700), "{owed:?}");
}

#[test]
fn a_request_that_takes_too_long_in_all_is_ended() {
    let running = Setup::default()
        .set("UPSTREAM_TOTAL_TIMEOUT", "400ms")
        .start();
    running.wait_until_ready();
    running.dqe.sandbox.set_fault("business:hang").unwrap();
    let answer = running.get(CALL);
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (504, Some("total_timeout"))
    );
}

#[test]
fn a_caller_that_stops_sending_its_body_gets_a_408() {
    let running = Setup::default()
        .set("UPSTREAM_BODY_IDLE_TIMEOUT", "300ms")
        .start();
    running.wait_until_ready();
    let mut connection = Connection::open(running.address);
    connection.send("POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nTel=06");
    let answer = connection.answer();
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (408, Some("caller_timeout"))
    );
}

#[test]
fn a_caller_that_stops_in_the_middle_of_a_head_is_let_go() {
    let running = Setup::default()
        .set("LISTENER_HEADER_TIMEOUT", "300ms")
        .start();
    let mut connection = Connection::open(running.address);
    connection.send("GET /TEL/ HTTP/1.1\r\nHost:");
    let watch = Stopwatch::start();
    assert!(connection.is_at_end());
    assert!(watch.elapsed() < Duration::from_secs(1));
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let running = Setup::default()
        .set("LISTENER_IDLE_TIMEOUT", "300ms")
        .start();
    let mut connection = Connection::open(running.address);
    let begun = Instant::now();
    connection.send_get(CALL);
    assert_eq!(connection.answer().status, 200);
    let watch = Stopwatch::start();
    assert!(connection.is_at_end());
    let (open, owed) = (begun.elapsed(), watch.elapsed());
    assert!(open >= Duration::from_millis(300), "{open:?}");
    assert!(owed < Duration::from_secs(1), "{owed:?}");
}

#[test]
fn a_cut_answer_is_never_taken_for_a_whole_one() {
    for fault in [
        "business:cut-body",
        "business:reset-after-head",
        "business:wrong-content-length=large",
    ] {
        let running = with(fault);
        let answer = running.get(CALL);
        assert!(
            answer.status == 502 || !answer.complete,
            "{fault}: {answer:?}"
        );
    }
}

#[test]
fn extra_bytes_of_one_answer_are_not_the_next_one() {
    let running = with("business:wrong-content-length=small,times=1");
    let mut connection = Connection::open(running.address);
    connection.send_get(CALL);
    let first = connection.answer();
    assert_eq!(first.status, 200);
    connection.send_get(CALL);
    let second = connection.answer();
    assert_eq!(second.status, 200);
    assert!(second.text().contains("MOBILE"), "{}", second.text());
}

#[test]
fn a_connection_dqe_closed_meanwhile_costs_no_call() {
    let running = with("business:close-after-answer");
    for _ in 0..50 {
        assert_eq!(running.get(CALL).status, 200);
    }
}

#[test]
fn a_post_is_not_repeated_after_its_connection_broke() {
    let running = with("business:reset,times=1");
    let post = "POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\nConnection: close\r\n\r\nTel=0612345678";
    assert_eq!(call(running.address, post).status, 502);
    assert_eq!(running.received().len(), 1);
}

#[test]
fn an_early_answer_is_passed_on_while_the_body_is_still_coming() {
    let running = with("business:early-answer");
    let mut connection = Connection::open(running.address);
    connection
        .send("POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nTel=0612345678");
    assert!(connection.answer().status < 500);
}
