//! Connections to DQE are kept for the calls that come, as many as there were
//! calls at the same time, and not for ever: DQE's name may lead elsewhere
//! tomorrow.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::support::{Connection, Scripted, Setup, Stopwatch};

const CALL: &str = "/TEL/?Tel=0123456789";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// A second wave of callers makes no connection: what a peak needed is there for the
/// next one.
#[test]
fn a_peak_of_calls_leaves_its_connections_to_the_next() {
    const CALLERS: usize = 150;
    let ports: Arc<Mutex<Vec<u16>>> = Arc::default();
    let wave: Arc<(Mutex<usize>, Condvar)> = Arc::default();
    let (seen, meeting) = (Arc::clone(&ports), Arc::clone(&wave));
    let scripted = Scripted::start(move |_, stream| {
        seen.lock()
            .unwrap()
            .push(stream.get_ref().peer_addr().unwrap().port());
        // Nobody is answered until all are there.
        let (there, changed) = &*meeting;
        let mut there = there.lock().unwrap();
        *there += 1;
        changed.notify_all();
        let full = there.div_ceil(CALLERS) * CALLERS;
        let patience = Duration::from_secs(20);
        drop(changed.wait_timeout_while(there, patience, |there| *there < full));
        stream.get_mut().write_all(ANSWER).is_ok()
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("LISTENER_THREADS", "1")
        .start();
    running.wait_until_ready();
    let mut callers: Vec<_> = (0..CALLERS)
        .map(|_| Connection::open(running.address))
        .collect();
    for _ in 0..2 {
        for caller in &mut callers {
            caller.send_get(CALL);
        }
        for caller in &mut callers {
            assert_eq!(caller.answer().status, 200);
        }
    }
    let mut ports = ports.lock().unwrap().clone();
    assert_eq!(ports.len(), 2 * CALLERS);
    let second = ports.split_off(CALLERS);
    let made: Vec<_> = second.iter().filter(|port| !ports.contains(port)).collect();
    assert!(made.is_empty(), "{} connections were made anew", made.len());
}

/// A connection that is never idle would stay with an address that DQE has left.
#[test]
fn a_busy_connection_is_replaced_in_time_and_no_call_notices() {
    let ports: Arc<Mutex<Vec<u16>>> = Arc::default();
    let seen = Arc::clone(&ports);
    let scripted = Scripted::start(move |_, stream| {
        let port = stream.get_ref().peer_addr().unwrap().port();
        let mut ports = seen.lock().unwrap();
        if ports.last() != Some(&port) {
            ports.push(port);
        }
        stream.get_mut().write_all(ANSWER).is_ok()
    });
    let running = Setup::default()
        .server(scripted.url())
        .set("LISTENER_THREADS", "1")
        .set("UPSTREAM_MAX_LIFETIME", "500ms")
        .start();
    running.wait_until_ready();
    let mut caller = Connection::open(running.address);
    let (begun, watch) = (Instant::now(), Stopwatch::start());
    let mut calls = 0;
    while ports.lock().unwrap().len() < 4 {
        caller.send("POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(caller.answer().status, 200);
        calls += 1;
        assert!(watch.elapsed() < Duration::from_secs(20), "it stays");
    }
    // Three have had their time, a quarter less at the most, and served meanwhile.
    assert!(begun.elapsed() > Duration::from_millis(3 * 375));
    assert!(calls > 20, "{calls} calls on three connections");
}
