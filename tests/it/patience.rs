//! How long callers and the server are waited for: no limit is put off by bytes
//! that keep coming, and none ends what is still moving.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::support::{Connection, Running, Scripted, Setup, eventually};

const CALL: &str = "/TEL/?Tel=0612345678&Pays=FRA";

fn logged_as(running: &Running, code: &str) {
    eventually(code, || {
        let lines = running.log_lines("/TEL/");
        lines.iter().any(|line| line["code"] == code)
    });
}

/// Reads as fast as it can until the answer breaks off or `limit` has passed;
/// when that was.
fn drink(caller: &mut Connection, limit: Duration) -> Duration {
    let begun = Instant::now();
    let mut socket = caller.second_half();
    let mut piece = vec![0; 1 << 20];
    while begun.elapsed() < limit && socket.read(&mut piece).is_ok_and(|length| length > 0) {}
    begun.elapsed()
}

#[test]
fn an_answer_that_never_pauses_has_the_time_of_a_request_and_no_more() {
    let scripted = Scripted::start(|_, stream| {
        let stream = stream.get_mut();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'<'; 1 << 18]).is_ok() {}
        false
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("LISTENER_THREADS", "1")
        .set("UPSTREAM_TOTAL_TIMEOUT", "1s")
        .start();
    running.wait_until_ready();
    let mut caller = Connection::open(running.address);
    caller.send_get(CALL);
    let took = drink(&mut caller, Duration::from_secs(8));
    assert!(took < Duration::from_secs(4), "{took:?}");
    logged_as(&running, "answer_stalled");
}

#[test]
fn a_body_that_never_pauses_has_the_time_of_a_request_and_no_more() {
    let scripted = Scripted::start(|_, stream| {
        let mut piece = vec![0; 1 << 20];
        while stream
            .get_mut()
            .read(&mut piece)
            .is_ok_and(|length| length > 0)
        {}
        false
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("LISTENER_THREADS", "1")
        .set("LISTENER_MAX_BODY", "0")
        .set("UPSTREAM_TOTAL_TIMEOUT", "1s")
        .start();
    running.wait_until_ready();
    let mut caller = Connection::open(running.address);
    let begun = Instant::now();
    caller.send(format!(
        "POST {CALL} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    let mut socket = caller.second_half();
    let sending = std::thread::spawn(move || {
        let chunk = [b"10000\r\n".to_vec(), vec![b'a'; 0x10000], b"\r\n".to_vec()].concat();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(8) && socket.write_all(&chunk).is_ok() {}
        let _ = socket.shutdown(std::net::Shutdown::Write);
    });
    let answer = caller.answer();
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?} {}",
        begun.elapsed(),
        answer.status
    );
    assert_eq!(answer.json()["code"], "total_timeout");
    sending.join().unwrap();
}
