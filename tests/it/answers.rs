//! What DQE's side may send, byte for byte, and what the caller sees of it
//! (RFC 9112 §6.3, RFC 9110 §15). The server here is a script, so that it can
//! send what no HTTP library would.

use std::collections::HashSet;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Connection, Running, Scripted, Setup, read_head};

const CALL: &str = "/TEL/?Tel=06";

/// A server whose answer can be changed, with a proxy in front of it.
#[derive(Default)]
struct Script {
    lines: Arc<Mutex<Lines>>,
    /// Where the proxy's connections came from since the last change.
    connections: Arc<Mutex<HashSet<SocketAddr>>>,
}

/// Each business request is answered with the pieces, one write each.
#[derive(Clone, Default)]
struct Lines {
    pieces: Vec<Vec<u8>>,
    after: After,
}

/// What happens after the scripted bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum After {
    #[default]
    KeepOpen,
    Close,
}

impl Script {
    fn start() -> Self {
        Self::default()
    }

    fn says(&self, bytes: &str, after: After) {
        self.says_in_pieces(vec![bytes.as_bytes().to_vec()], after);
    }

    fn says_in_pieces(&self, pieces: Vec<Vec<u8>>, after: After) {
        *self.lines.lock().unwrap() = Lines { pieces, after };
        self.connections.lock().unwrap().clear();
    }

    /// A proxy in front of it, with one worker thread and so one pool.
    fn proxy(&self) -> Running {
        let (lines, connections) = (Arc::clone(&self.lines), Arc::clone(&self.connections));
        let server = Scripted::start(move |_, stream| {
            let stream = stream.get_mut();
            stream.set_nodelay(true).unwrap();
            connections
                .lock()
                .unwrap()
                .insert(stream.peer_addr().unwrap());
            let Lines { pieces, after } = lines.lock().unwrap().clone();
            for piece in &pieces {
                if stream.write_all(piece).is_err() {
                    return false;
                }
                if pieces.len() > 1 {
                    // Pieces are to arrive apart.
                    std::thread::park_timeout(Duration::from_millis(1));
                }
            }
            after == After::KeepOpen
        });
        let setup = Setup::default().server(server.url());
        let running = setup.set("LISTENER_THREADS", "1").start();
        running.wait_until_ready();
        running
    }
}

#[test]
fn every_way_to_delimit_a_body_is_understood() {
    use After::{Close, KeepOpen};
    let script = Script::start();
    let running = script.proxy();
    for (bytes, after, status, body) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            KeepOpen,
            200,
            "hello",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            KeepOpen,
            200,
            "",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            KeepOpen,
            200,
            "hello",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\n",
            KeepOpen,
            200,
            "hello!",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nuntil the end",
            Close,
            200,
            "until the end",
        ),
        ("HTTP/1.0 200 OK\r\n\r\nold", Close, 200, "old"),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold",
            KeepOpen,
            200,
            "old",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", KeepOpen, 204, ""),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            KeepOpen,
            304,
            "",
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            KeepOpen,
            200,
            "ok",
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope",
            KeepOpen,
            404,
            "nope",
        ),
        (
            "HTTP/1.1 299 Own\r\nContent-Length: 2\r\n\r\nok",
            KeepOpen,
            299,
            "ok",
        ),
        // Both at once: the coding wins (RFC 9112 §6.3).
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 999\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            KeepOpen,
            200,
            "ok",
        ),
    ] {
        script.says(bytes, after);
        let answer = running.get(CALL);
        assert_eq!(
            (answer.status, answer.text().as_str(), answer.complete),
            (status, body, true),
            "{bytes:?}"
        );
    }
}

#[test]
fn what_is_no_valid_answer_is_a_502() {
    let script = Script::start();
    let running = script.proxy();
    let huge = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(100_000));
    for bytes in [
        huge.as_str(),
        "nonsense\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5",
    ] {
        script.says(bytes, After::Close);
        let answer = running.get(CALL);
        assert_eq!(answer.status, 502, "{bytes:?}");
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (502, Some("upstream_invalid")),
            "{bytes:?}"
        );
    }
}

#[test]
fn an_answer_that_breaks_off_is_never_whole_for_anybody() {
    let script = Script::start();
    let running = script.proxy();
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
    ] {
        script.says(bytes, After::Close);
        let answer = running.get(CALL);
        assert_eq!((answer.status, answer.complete), (200, false), "{bytes:?}");
        assert_eq!(answer.text(), "hello", "what there was is passed on");
    }
}

#[test]
fn an_answer_may_come_byte_by_byte() {
    let whole = b"HTTP/1.1 200 OK\r\nX-Long: abcdefghijklmnopqrstuvwxyz\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let script = Script::start();
    script.says_in_pieces(
        whole.iter().map(|byte| vec![*byte]).collect(),
        After::KeepOpen,
    );
    let answer = script.proxy().get(CALL);
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.complete),
        (200, "hello", true)
    );
}

#[test]
fn connections_are_kept_and_what_is_left_on_one_never_becomes_an_answer() {
    let clean = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsmuggle";
    let contradicting = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let with_close = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    for (bytes, connections) in [
        (clean, 1),
        (smuggled, 10),
        (contradicting, 10),
        (with_close, 10),
    ] {
        let script = Script::start();
        script.says(bytes, After::KeepOpen);
        let running = script.proxy();
        let mut caller = Connection::open(running.address);
        for _ in 0..10 {
            caller.send_get(CALL);
            assert_eq!(caller.answer().text(), "hello", "{bytes:?}");
        }
        assert_eq!(
            script.connections.lock().unwrap().len(),
            connections,
            "{bytes:?}"
        );
    }
}

/// Whoever announces what no answer of this status has may send it, however late.
#[test]
fn a_body_that_204_has_announced_becomes_no_answer() {
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for announced in ["Content-Length: 42", "Transfer-Encoding: chunked"] {
        let says = format!("HTTP/1.1 204 No Content\r\n{announced}\r\n\r\n");
        let server = Scripted::start(move |head, stream| {
            if !head.contains("first") {
                let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                return stream.get_mut().write_all(ok.as_bytes()).is_ok();
            }
            stream.get_mut().write_all(says.as_bytes()).unwrap();
            // The body comes when somebody else waits for an answer.
            if read_head(stream).is_some() {
                let _ = stream.get_mut().write_all(EVIL.as_bytes());
            }
            false
        });
        let running = Setup::default()
            .server(server.url())
            .set("LISTENER_THREADS", "1")
            .start();
        running.wait_until_ready();
        let mut caller = Connection::open(running.address);
        caller.send_get(&format!("{CALL}&first"));
        assert_eq!(caller.answer().status, 204);
        caller.send_get(CALL);
        assert_eq!(caller.answer().text(), "ok", "{announced}");
    }
}

#[test]
fn a_head_request_gets_the_length_and_no_body() {
    let script = Script::start();
    script.says(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        After::KeepOpen,
    );
    let running = script.proxy();
    let mut caller = Connection::open(running.address);
    for _ in 0..2 {
        caller.send("HEAD /TEL/?Tel=06 HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = caller.head_answer();
        assert_eq!(
            (answer.status, answer.field("content-length").as_deref()),
            (200, Some("5"))
        );
    }
}

#[test]
fn fields_pass_as_they_are_and_connection_fields_do_not() {
    let script = Script::start();
    script.says(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nX-Two: a\r\nX-Two: b\r\nX-Empty:\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\nok",
        After::KeepOpen,
    );
    let answer = script.proxy().get(CALL);
    assert_eq!(
        answer.field("content-type").as_deref(),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.field("x-two").as_deref(), Some("a, b"));
    assert_eq!(answer.field("x-empty").as_deref(), Some(""));
    for gone in ["x-hop", "keep-alive", "set-cookie"] {
        assert_eq!(answer.field(gone), None, "{gone}");
    }
}
