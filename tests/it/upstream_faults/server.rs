//! A server that breaks at a byte. What it is to do stands in the request, so
//! that calls can run beside each other: `n` names the call, `m` the framing
//! of the answer, and how the answer ends, and after how many bytes, was agreed
//! beforehand under that name.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, read_body, read_head, serve_each};

/// How the server leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    /// With a reset.
    Reset,
    /// In order: its sending side, then all.
    Closes,
    /// It closes its sending side, and reads on.
    HalfCloses,
    /// It does not: it falls silent.
    Stalls,
}

/// How an answer's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framed {
    ByLength,
    InChunks,
    ByClose,
}

/// What goes wrong in one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) leaves: Leaves,
    /// After so many bytes of the answer.
    pub(super) after: usize,
}

/// A call as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Its connection had carried another call before.
    pub(super) reused: bool,
    /// Bytes of the request.
    pub(super) length: usize,
}

#[derive(Default)]
struct State {
    faults: HashMap<usize, Fault>,
    seen: HashMap<usize, Vec<Seen>>,
    /// What the next connection for calls does instead of answering.
    deaf: Option<(Leaves, usize)>,
    /// Bytes of a request that connection has read.
    heard: Option<Vec<u8>>,
    /// Connections that were left.
    left: usize,
}

/// The server; its threads end with the test.
#[derive(Clone)]
pub(super) struct Server {
    url: String,
    state: Arc<Mutex<State>>,
}

/// What the body of the answer to call `number` is.
pub(super) fn body(number: usize) -> Vec<u8> {
    format!(r#"{{"n":"{number}","again":"{number}","end":{number}}}"#).into_bytes()
}

/// The whole answer to call `number`, and the length of its head.
pub(super) fn answer(number: usize, framed: Framed) -> (Vec<u8>, usize) {
    let body = body(number);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let (head, coded) = match framed {
        Framed::ByLength => (
            format!("{head}Content-Length: {}\r\n\r\n", body.len()),
            body,
        ),
        Framed::InChunks => {
            let (first, second) = body.split_at(9);
            let mut coded = Vec::new();
            for chunk in [first, second] {
                coded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                coded.extend_from_slice(chunk);
                coded.extend_from_slice(b"\r\n");
            }
            coded.extend_from_slice(b"0\r\n\r\n");
            (format!("{head}Transfer-Encoding: chunked\r\n\r\n"), coded)
        }
        Framed::ByClose => (format!("{head}Connection: close\r\n\r\n"), body),
    };
    let length = head.len();
    ([head.into_bytes(), coded].concat(), length)
}

impl Server {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
        };
        let at_work = server.clone();
        serve_each(listener, move |stream| at_work.serve(stream));
        server
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Agrees on what becomes of call `number`.
    pub(super) fn agrees(&self, number: usize, fault: Fault) {
        self.state.lock().unwrap().faults.insert(number, fault);
    }

    /// How often, and on what, call `number` has come.
    pub(super) fn seen(&self, number: usize) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        state.seen.get(&number).cloned().unwrap_or_default()
    }

    /// The next request, new connection or kept, is read for so many bytes only.
    pub(super) fn turns_deaf(&self, leaves: Leaves, after: usize) {
        let mut state = self.state.lock().unwrap();
        state.deaf = Some((leaves, after));
        state.heard = None;
    }

    /// Bytes of a request that the deaf connection has read; `None` before it has.
    pub(super) fn heard(&self) -> Option<Vec<u8>> {
        self.state.lock().unwrap().heard.clone()
    }

    /// Connections that were left so far; the other side can see it.
    pub(super) fn left(&self) -> usize {
        self.state.lock().unwrap().left
    }

    fn serve(&self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = BufReader::new(stream);
        let mut reused = false;
        loop {
            let deaf = {
                // The first byte tells that there is a request; it is not read yet.
                if !stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
                    return;
                }
                self.state.lock().unwrap().deaf.take()
            };
            if let Some((leaves, after)) = deaf {
                let mut heard = vec![0; after];
                let mut got = 0;
                while got < after {
                    match stream.read(&mut heard[got..]) {
                        Ok(read) if read > 0 => got += read,
                        Ok(_) | Err(_) => break,
                    }
                }
                heard.truncate(got);
                self.state.lock().unwrap().heard = Some(heard);
                return self.leave(leaves, stream);
            }
            let Some(head) = read_head(&mut stream) else {
                return;
            };
            let Some(request_body) = read_body(&head, &mut stream) else {
                return;
            };
            let head = String::from_utf8_lossy(&head);
            if head.starts_with("POST /oauth/access_token/ ") {
                grant(stream.get_mut());
                continue;
            }
            let text = String::from_utf8_lossy(&request_body).into_owned();
            let number = word(&head, "n=").or_else(|| word(&text, "n="));
            let number = number.and_then(|number| number.parse().ok()).unwrap_or(0);
            let framed = match word(&head, "m=").as_deref() {
                Some("chunks") => Framed::InChunks,
                Some("close") => Framed::ByClose,
                Some(_) | None => Framed::ByLength,
            };
            let fault = {
                let mut state = self.state.lock().unwrap();
                let length = head.len() + request_body.len();
                let seen = state.seen.entry(number).or_default();
                seen.push(Seen { reused, length });
                state.faults.get(&number).copied()
            };
            reused = true;
            let (bytes, _) = answer(number, framed);
            let said = fault.map_or(bytes.len(), |fault| fault.after.min(bytes.len()));
            if stream.get_mut().write_all(&bytes[..said]).is_err() {
                return;
            }
            match fault {
                Some(fault) => return self.leave(fault.leaves, stream),
                None if framed == Framed::ByClose => return,
                None => {}
            }
        }
    }

    fn leave(&self, leaves: Leaves, mut stream: BufReader<TcpStream>) {
        match leaves {
            Leaves::Reset => {
                let socket = socket2::SockRef::from(stream.get_ref());
                let _ = socket.set_linger(Some(Duration::ZERO));
            }
            Leaves::Closes => {
                // What is unread at a close would make it a reset.
                let _ = stream.get_ref().set_nonblocking(true);
                let _ = stream.read_to_end(&mut Vec::new());
            }
            Leaves::HalfCloses => {
                let _ = stream.get_ref().shutdown(Shutdown::Write);
                self.state.lock().unwrap().left += 1;
                let _ = stream.read_to_end(&mut Vec::new());
                return;
            }
            Leaves::Stalls => wait_for_end(stream.get_ref()),
        }
        drop(stream);
        self.state.lock().unwrap().left += 1;
    }
}

/// Until the other side leaves; nothing is read meanwhile.
fn wait_for_end(stream: &TcpStream) {
    let _ = stream.set_nonblocking(true);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        std::thread::park_timeout(Duration::from_millis(20));
        match stream.peek(&mut [0; 1]) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// The word behind `name` in the first line that has it.
fn word(text: &str, name: &str) -> Option<String> {
    let start = text.find(name)? + name.len();
    let word = text[start..].split(['&', ' ', '\r', '"']).next()?;
    Some(word.to_owned())
}

fn grant(stream: &mut TcpStream) {
    let reply =
        r#"{"access_token":"TK-of-a-server-that-breaks","token_type":"Bearer","expires_in":86400}"#;
    let length = reply.len();
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{reply}"
    );
}
