//! How a connection comes to speak HTTP/2, and that others go on without.

use super::{CALL, setup, started};
use crate::support::http2::{self, Frames, HEADERS, PREFACE, SETTINGS, talk};
use crate::support::{Connection, Running, call, eventually};

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
