//! A server that writes down what reaches it, byte for byte, and says what it
//! is told to. It reads requests by itself and strictly: what follows one that
//! it cannot delimit shows as a call that is not whole.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::{PATIENCE, eventually, read_chunks, read_head, read_length, serve_each};

/// How every token begins that the recorder grants; the scope follows.
pub(crate) const TOKEN: &str = "T0K3N-";

/// A call as it arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Everything up to and including the empty line.
    pub(crate) head: Vec<u8>,
    /// The body without its coding.
    pub(crate) body: Vec<u8>,
    /// It was read to the end that its framing tells.
    pub(crate) whole: bool,
    /// No more of it is read.
    done: bool,
    /// Number of the connection it came on.
    pub(crate) connection: usize,
}

/// When the recorder answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// When the request is whole.
    Whole,
    /// When its head is.
    Head,
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Keep,
    Close,
    Reset,
    /// Only the sending side is closed.
    HalfClose,
}

/// What the recorder does with a call.
#[derive(Clone, Debug)]
pub(crate) struct Reaction {
    pub(crate) when: When,
    /// The answer, in pieces that are to arrive apart.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// Said when the request is whole, after an answer that began before.
    pub(crate) last: Vec<u8>,
    pub(crate) after: After,
}

impl Reaction {
    /// These bytes to a whole request; the connection is kept.
    #[must_use]
    pub(crate) fn says(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            when: When::Whole,
            pieces: vec![bytes.into()],
            last: Vec::new(),
            after: After::Keep,
        }
    }
}

impl Default for Reaction {
    fn default() -> Self {
        Self::says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }
}

#[derive(Default)]
struct State {
    reaction: Reaction,
    calls: Vec<Recorded>,
    connections: usize,
    open: Vec<(usize, TcpStream)>,
}

/// The server; its threads end with the test.
#[derive(Clone)]
pub(crate) struct Recorder {
    authority: String,
    state: Arc<Mutex<State>>,
}

impl Recorder {
    #[must_use]
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let recorder = Self {
            authority: listener.local_addr().unwrap().to_string(),
            state: Arc::default(),
        };
        let at_work = recorder.clone();
        serve_each(listener, move |stream| at_work.serve(stream));
        recorder
    }

    #[must_use]
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    #[must_use]
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on calls are answered like this.
    pub(crate) fn reacts(&self, reaction: Reaction) {
        self.state().reaction = reaction;
    }

    /// The calls since the last time this was asked, when all have been read.
    #[must_use]
    pub(crate) fn take_calls(&self) -> Vec<Recorded> {
        eventually("every call is read to its end", || {
            self.state().calls.iter().all(|call| call.done)
        });
        std::mem::take(&mut self.state().calls)
    }

    /// Says something on every open connection that nobody has asked for.
    pub(crate) fn says_unasked(&self, bytes: &[u8]) {
        for (_, stream) in &mut self.state().open {
            let _ = stream.write_all(bytes);
        }
    }

    fn serve(&self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = BufReader::new(stream);
        let mut number = None;
        while let Some(head) = read_head(&mut stream) {
            if head.starts_with(b"POST /oauth/access_token/ ") {
                let (_, body) = read_body(&head, &mut stream);
                grant(&String::from_utf8_lossy(&body), stream.get_mut());
                continue;
            }
            let connection = *number.get_or_insert_with(|| {
                let mut state = self.state();
                state.connections += 1;
                let number = state.connections;
                let twin = stream.get_ref().try_clone().unwrap();
                state.open.push((number, twin));
                number
            });
            if !self.call(connection, &head, &mut stream) {
                break;
            }
        }
        if let Some(number) = number {
            let mut state = self.state();
            state.open.retain(|(open, _)| *open != number);
        }
    }

    /// Writes a call down and answers it; whether another may follow.
    fn call(&self, connection: usize, head: &[u8], stream: &mut BufReader<TcpStream>) -> bool {
        let reaction = self.state().reaction.clone();
        let mut answered = true;
        if reaction.when == When::Head {
            answered = say(&reaction, stream.get_mut());
        }
        let place = {
            let mut state = self.state();
            state.calls.push(Recorded {
                head: head.to_vec(),
                connection,
                done: reaction.when == When::Head && reaction.after != After::Keep,
                ..Recorded::default()
            });
            state.calls.len() - 1
        };
        if reaction.when == When::Head && reaction.after != After::Keep {
            return end(&reaction, stream);
        }
        let (whole, body) = read_body(head, stream);
        if let Some(call) = self.state().calls.get_mut(place) {
            (call.whole, call.body, call.done) = (whole, body, true);
        }
        if reaction.when == When::Whole {
            if !whole {
                return false;
            }
            answered = say(&reaction, stream.get_mut());
        }
        let said = stream.get_mut().write_all(&reaction.last).is_ok();
        answered && whole && said && end(&reaction, stream)
    }
}

fn say(reaction: &Reaction, stream: &mut TcpStream) -> bool {
    for (index, piece) in reaction.pieces.iter().enumerate() {
        if index > 0 {
            // Pieces are to arrive apart.
            std::thread::park_timeout(Duration::from_millis(1));
        }
        if stream.write_all(piece).is_err() {
            return false;
        }
    }
    true
}

fn end(reaction: &Reaction, stream: &mut BufReader<TcpStream>) -> bool {
    match reaction.after {
        After::Keep => true,
        After::Close => false,
        After::Reset => {
            let socket = socket2::SockRef::from(stream.get_ref());
            let _ = socket.set_linger(Some(Duration::ZERO));
            false
        }
        After::HalfClose => {
            let _ = stream.get_ref().shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
            false
        }
    }
}

/// Whether the body was read to its end, and the body.
fn read_body(head: &[u8], stream: &mut BufReader<TcpStream>) -> (bool, Vec<u8>) {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let values = |name: &str| -> Vec<String> {
        let lines = head.split("\r\n").skip(1);
        let values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values.map(|value| value.trim().to_owned()).collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    let mut body = Vec::new();
    let whole = match (&lengths[..], &codings[..]) {
        ([], []) => true,
        ([length], []) => length
            .parse()
            .is_ok_and(|length: u64| read_length(stream, length, &mut body).is_some()),
        ([], [coding]) if coding == "chunked" => read_chunks(stream, &mut body).is_some(),
        _ => false,
    };
    (whole, body)
}

/// Grants the token that the form in `body` asks for.
pub(crate) fn grant(body: &str, stream: &mut TcpStream) {
    let scope = body
        .split('&')
        .find_map(|pair| pair.strip_prefix("scope="))
        .unwrap_or_default();
    let reply =
        format!(r#"{{"access_token":"{TOKEN}{scope}","token_type":"Bearer","expires_in":86400}}"#);
    let _ = stream.write_all(
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{reply}",
            reply.len()
        )
        .as_bytes(),
    );
}
