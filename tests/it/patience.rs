//! How long callers and the server are waited for: no limit is put off by bytes
//! that keep coming, and none ends what is still moving.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::http2::{self, DATA, Frames, RST_STREAM};
use crate::support::{Connection, Running, Scripted, Setup, Stopwatch, eventually};

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
    let watch = Stopwatch::start();
    let mut socket = caller.second_half();
    let mut piece = vec![0; 1 << 20];
    while watch.elapsed() < limit && socket.read(&mut piece).is_ok_and(|length| length > 0) {}
    watch.elapsed()
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
    let watch = Stopwatch::start();
    caller.send(format!(
        "POST {CALL} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    let mut socket = caller.second_half();
    let sending = std::thread::spawn(move || {
        let chunk = [b"10000\r\n".to_vec(), vec![b'a'; 0x10000], b"\r\n".to_vec()].concat();
        let watch = Stopwatch::start();
        while watch.elapsed() < Duration::from_secs(8) && socket.write_all(&chunk).is_ok() {}
        let _ = socket.shutdown(std::net::Shutdown::Write);
    });
    let answer = caller.answer();
    let owed = watch.elapsed();
    assert!(owed < Duration::from_secs(4), "{owed:?} {}", answer.status);
    assert_eq!(answer.json()["code"], "total_timeout");
    sending.join().unwrap();
}

/// The time for an answer's head is over when that has come; what counts from there
/// on is how long the bodies stand still.
#[test]
fn the_end_of_a_body_leaves_an_answer_that_has_begun_the_time_of_a_body() {
    let scripted = Scripted::start(|_, stream| {
        let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<";
        stream.get_mut().write_all(begun).unwrap();
        let mut body = [0; 4];
        stream.read_exact(&mut body).unwrap();
        std::thread::park_timeout(Duration::from_millis(1500));
        stream.get_mut().write_all(b"br>").is_ok()
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("UPSTREAM_FIRST_BYTE_TIMEOUT", "500ms")
        .set("UPSTREAM_BODY_IDLE_TIMEOUT", "10s")
        .start();
    running.wait_until_ready();
    let mut caller = Connection::open(running.address);
    caller.send(format!(
        "POST {CALL} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n{{\"\"",
    ));
    for line in ["HTTP/1.1 200 OK", ""] {
        while caller.raw_line().unwrap() != line {}
    }
    caller.send("}");
    let mut answer = [0; 4];
    caller.second_half().read_exact(&mut answer[1..]).unwrap();
}

/// As long as something comes, an answer does not stand still, and what is looked at
/// has the time of what is passed on.
#[test]
fn an_answer_that_is_looked_at_may_come_slowly_as_any_other() {
    let scripted = Scripted::start(|_, stream| {
        let stream = stream.get_mut();
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        // Only its end tells whether it is empty.
        for _ in 0..20 {
            stream.write_all(b" ").unwrap();
            std::thread::park_timeout(Duration::from_millis(100));
        }
        stream.write_all(b"{}").is_ok()
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("UPSTREAM_BODY_IDLE_TIMEOUT", "1s")
        .start();
    running.wait_until_ready();
    let answer = running.get("/RNVP/?Adresse=x");
    assert_eq!((answer.status, answer.text().trim()), (200, "{}"));
}

/// A call whose answer is long, and one whose answer is more than the systems on the
/// way hold.
const LONG: usize = 600_000;
const LONGER: usize = 12 << 20;

/// An answer is read in long pieces. How long one of them may be on its way is a
/// matter of the caller that takes it, as long as it takes anything.
fn answering_at_length() -> Running {
    answering_with(LONG, "1s")
}

fn answering_with(length: usize, body_idle_timeout: &str) -> Running {
    let scripted = Scripted::start(move |_, stream| {
        let stream = stream.get_mut();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).is_ok() && stream.write_all(&vec![b'<'; length]).is_ok()
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("LISTENER_H2C", "true")
        .set("UPSTREAM_BODY_IDLE_TIMEOUT", body_idle_timeout)
        .start();
    running.wait_until_ready();
    running
}

#[test]
fn a_caller_that_reads_slowly_gets_its_answer_for_as_long_as_it_reads() {
    let running = answering_at_length();
    let mut caller = Connection::open_narrow_both_ways(running.address);
    caller.send_get(CALL);
    let mut socket = caller.second_half();
    let begun = Instant::now();
    let (mut received, mut piece) = (0, [0; 1500]);
    while received < LONG {
        let length = socket.read(&mut piece).unwrap();
        assert!(length > 0, "cut at {received} after {:?}", begun.elapsed());
        received += length;
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Bytes in a millisecond. At this rate a third of the buffer that the proxy's system
/// has for an answer is not free again before 3 s have passed.
const RATE: usize = 250;

/// Reads at [`RATE`] for so long; what it has got. A reader that was kept from it
/// catches up.
fn sip(socket: &mut TcpStream, limit: Duration) -> usize {
    let begun = Instant::now();
    let (mut received, mut piece) = (0, vec![0; 16 << 10]);
    while begun.elapsed() < limit {
        let length = socket.read(&mut piece).unwrap();
        assert!(length > 0, "cut at {received} after {:?}", begun.elapsed());
        received += length;
        waits_for_its_turn(begun, received);
    }
    received
}

fn waits_for_its_turn(begun: Instant, received: usize) {
    let due = Duration::from_millis((received / RATE) as u64);
    std::thread::park_timeout(due.saturating_sub(begun.elapsed()));
}

/// The system tells of room only when there is much of it.
#[test]
fn a_caller_that_reads_steadily_is_not_cut_off_for_what_its_system_holds() {
    let running = answering_with(LONGER, "2s");
    let mut caller = Connection::open_modest(running.address);
    caller.send_get(CALL);
    let mut socket = caller.second_half();
    let begun = sip(&mut socket, Duration::from_secs(8));
    let mut rest = vec![0; LONGER - begun];
    socket.read_exact(&mut rest).unwrap();
}

/// What it has read so far buys it no more than a part of the time.
#[test]
fn a_caller_that_no_longer_reads_is_let_go_in_time() {
    let running = answering_with(LONGER, "4s");
    let mut caller = Connection::open_modest(running.address);
    caller.send_get(CALL);
    let mut socket = caller.second_half();
    sip(&mut socket, Duration::from_secs(2));
    let (stopped, watch) = (Instant::now(), Stopwatch::start());
    logged_as(&running, "answer_stalled");
    let (took, owed) = (stopped.elapsed(), watch.elapsed());
    assert!(took > Duration::from_millis(3500), "{took:?}");
    assert!(owed < Duration::from_secs(6), "{owed:?}");
}

/// All of it has been allowed to be sent, so that only the system holds it back.
#[test]
fn a_caller_of_http_2_that_reads_steadily_is_not_cut_off_either() {
    let running = answering_with(LONGER, "2s");
    let mut caller = Frames::open_modest(running.address);
    caller.get(1, CALL);
    let (begun, mut received) = (Instant::now(), 0);
    while received < LONGER {
        let Some(frame) = caller.next() else {
            panic!("cut at {received} after {:?}", begun.elapsed());
        };
        assert_ne!(frame.kind, RST_STREAM, "{:?}", begun.elapsed());
        if frame.kind == DATA {
            received += frame.payload.len();
            if begun.elapsed() < Duration::from_secs(8) {
                waits_for_its_turn(begun, received);
            }
        }
    }
    assert_eq!(received, LONGER);
}

#[test]
fn a_caller_of_http_2_that_reads_slowly_gets_its_answer_too() {
    let running = answering_at_length();
    http2::talk(running.address, async |mut sender| {
        let call = http2::request("GET", CALL);
        let (answering, _) = sender.send_request(call, true).unwrap();
        let mut body = answering.await.unwrap().into_body();
        let mut received = 0;
        while let Some(piece) = body.data().await {
            let piece = piece.unwrap_or_else(|error| panic!("{error} after {received}"));
            received += piece.len();
            let pause = Duration::from_micros(6 * piece.len() as u64);
            tokio::time::sleep(pause).await;
            body.flow_control().release_capacity(piece.len()).unwrap();
        }
        assert_eq!(received, LONG);
    });
}

/// The time for an answer to begin is the server's. A caller has that of its body,
/// before the first byte of it as after any other.
#[test]
fn a_body_has_its_own_time_to_begin_to_come() {
    let scripted = Scripted::start(|_, stream| {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.read_exact(&mut [0; 10]).is_ok() && stream.get_mut().write_all(answer).is_ok()
    });
    let begin = |first_byte, idle| {
        let running = Setup::default()
            .server(scripted.url())
            .set("UPSTREAM_FIRST_BYTE_TIMEOUT", first_byte)
            .set("UPSTREAM_BODY_IDLE_TIMEOUT", idle)
            .start();
        running.wait_until_ready();
        let mut caller = Connection::open(running.address);
        caller.send("POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n");
        (running, caller)
    };
    let (_running, mut slow) = begin("500ms", "20s");
    let mut waiting = slow.second_half();
    let usual = waiting.read_timeout().unwrap();
    let one_second = Some(Duration::from_secs(1));
    waiting.set_read_timeout(one_second).unwrap();
    let answered = waiting.read(&mut [0]);
    assert!(answered.is_err(), "answered before its body has come");
    waiting.set_read_timeout(usual).unwrap();
    slow.send("0123456789");
    assert_eq!(slow.answer().status, 200);

    let (_running, mut silent) = begin("20s", "500ms");
    let watch = Stopwatch::start();
    let answer = silent.answer();
    assert_eq!(answer.json()["code"], "caller_timeout");
    assert!(watch.elapsed() < Duration::from_secs(10));
}
