//! Both bodies of a call on their way at once, and answers that come before the
//! request's end, at sizes that no buffer on the way holds.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use crate::support::{Connection, PATIENCE, Program, Running, Scripted, Setup, get};

const PIECE: usize = 1 << 16;
const PIECES: usize = 192;
/// 12 MiB.
const SIZE: usize = PIECE * PIECES;

/// How a body tells its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length,
    Chunks,
}

impl Framing {
    const BOTH: [Self; 2] = [Self::Length, Self::Chunks];

    fn of(head: &str) -> Self {
        let head = head.to_ascii_lowercase();
        if head.contains("transfer-encoding: chunked") {
            return Self::Chunks;
        }
        assert!(
            head.contains(&format!("content-length: {SIZE}\r\n")),
            "{head}"
        );
        Self::Length
    }

    fn field(self) -> String {
        match self {
            Self::Length => format!("Content-Length: {SIZE}\r\n"),
            Self::Chunks => "Transfer-Encoding: chunked\r\n".to_owned(),
        }
    }

    fn write(self, to: &mut TcpStream, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Length => to.write_all(piece),
            Self::Chunks => {
                to.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
                to.write_all(piece)?;
                to.write_all(b"\r\n")
            }
        }
    }

    fn end(self, to: &mut TcpStream) -> io::Result<()> {
        match self {
            Self::Length => Ok(()),
            Self::Chunks => to.write_all(b"0\r\n\r\n"),
        }
    }

    fn write_all(self, to: &mut TcpStream, way: Way) -> io::Result<()> {
        self.write_most(to, way)?;
        self.write_last(to, way)
    }

    /// All but the last piece.
    fn write_most(self, to: &mut TcpStream, way: Way) -> io::Result<()> {
        (0..PIECES - 1).try_for_each(|number| self.write(to, &piece(way, number)))
    }

    fn write_last(self, to: &mut TcpStream, way: Way) -> io::Result<()> {
        self.write(to, &piece(way, PIECES - 1))?;
        self.end(to)
    }
}

/// Which of the two bodies.
#[derive(Clone, Copy)]
enum Way {
    Up = 1,
    Down = 2,
}

/// Bytes that are like those of no other piece. The last ones begin no token: some
/// that could would wait in the proxy for what follows them.
fn piece(way: Way, number: usize) -> Vec<u8> {
    let mut state = ((way as u64) << 32) | (number as u64 + 1);
    let mut bytes = Vec::with_capacity(PIECE);
    while bytes.len() < PIECE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes[PIECE - 16..].fill(b'\n');
    bytes
}

/// A body of [`SIZE`] bytes, read without its framing and only as far as asked.
struct Body<'a> {
    source: &'a mut BufReader<TcpStream>,
    framing: Framing,
    /// What is still to come of the body or of the present chunk.
    left: usize,
}

impl<'a> Body<'a> {
    fn new(framing: Framing, source: &'a mut BufReader<TcpStream>) -> Self {
        let left = match framing {
            Framing::Length => SIZE,
            Framing::Chunks => 0,
        };
        Self {
            source,
            framing,
            left,
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.source.read_line(&mut line)?;
        line.strip_suffix("\r\n")
            .map(str::to_owned)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The next piece is that of `number`.
    fn is_next(&mut self, way: Way, number: usize) -> io::Result<bool> {
        let mut bytes = Vec::with_capacity(PIECE);
        while bytes.len() < PIECE {
            if self.left == 0 && self.framing == Framing::Chunks {
                self.left = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
            }
            let most = self.left.min(PIECE - bytes.len());
            let read = (&mut *self.source)
                .take(most as u64)
                .read_to_end(&mut bytes)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.left -= read;
            if self.left == 0 && self.framing == Framing::Chunks {
                self.line()?;
            }
        }
        Ok(bytes == piece(way, number))
    }

    /// Nothing is left but what tells the end.
    fn ends(&mut self) -> io::Result<bool> {
        Ok(self.left == 0
            && (self.framing == Framing::Length
                || (self.line()? == "0" && self.line()?.is_empty())))
    }

    fn is_all_of(&mut self, way: Way) -> io::Result<bool> {
        for number in 0..PIECES {
            if !self.is_next(way, number)? {
                return Ok(false);
            }
        }
        self.ends()
    }
}

/// Answers a POST with 12 MiB framed as its query says: piece by piece as it gets
/// the request's, or on a thread of its own. The end of an answer waits for that
/// of its request, which it would cut short. A body that is not the right one ends
/// the connection.
fn server() -> Scripted {
    Scripted::start(|head, stream| {
        let mut answer = stream.get_ref().try_clone().unwrap();
        if head.starts_with("GET") {
            let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            return answer.write_all(ok).is_ok();
        }
        let down = if head.contains("down=Length") {
            Framing::Length
        } else {
            Framing::Chunks
        };
        let begun = format!("HTTP/1.1 200 OK\r\n{}\r\n", down.field());
        let mut body = Body::new(Framing::of(head), stream);
        if head.contains("in_step") {
            for number in 0..PIECES {
                assert!(body.is_next(Way::Up, number).unwrap(), "piece {number}");
                if number == 0 {
                    answer.write_all(begun.as_bytes()).unwrap();
                }
                if number + 1 < PIECES {
                    down.write(&mut answer, &piece(Way::Down, number)).unwrap();
                }
            }
            assert!(body.ends().unwrap());
            return down.write_last(&mut answer, Way::Down).is_ok();
        }
        std::thread::scope(|scope| {
            let sender = scope.spawn(move || {
                answer.write_all(begun.as_bytes())?;
                down.write_most(&mut answer, Way::Down).map(|()| answer)
            });
            assert!(body.is_all_of(Way::Up).unwrap());
            let mut answer = sender.join().unwrap().unwrap();
            down.write_last(&mut answer, Way::Down).is_ok()
        })
    })
}

/// A caller's connection in two halves, with the head of its request sent.
fn begin(program: &Program, query: &str, up: Framing) -> (TcpStream, BufReader<TcpStream>) {
    let mut sending = TcpStream::connect(program.address).unwrap();
    sending.set_read_timeout(Some(PATIENCE)).unwrap();
    sending.set_write_timeout(Some(PATIENCE)).unwrap();
    sending.set_nodelay(true).unwrap();
    let head = format!(
        "POST /TEL/?{query} HTTP/1.1\r\nHost: x\r\n\
         Content-Type: application/octet-stream\r\n{}\r\n",
        up.field()
    );
    sending.write_all(head.as_bytes()).unwrap();
    let reading = BufReader::new(sending.try_clone().unwrap());
    (sending, reading)
}

fn read_head(reading: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = reading.read_line(&mut head).unwrap();
        assert!(read > 0, "it ends in its head: {head:?}");
    }
    head
}

/// The answer so far is 12 MiB in this framing.
fn body_of<'a>(down: Framing, reading: &'a mut BufReader<TcpStream>) -> Body<'a> {
    let head = read_head(reading);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(Framing::of(&head), down);
    Body::new(down, reading)
}

/// The next call on the same connection is a call of its own.
#[track_caller]
fn assert_kept(sending: &mut TcpStream, reading: &mut BufReader<TcpStream>) {
    let next = b"GET /TEL/?next HTTP/1.1\r\nHost: x\r\n\r\n";
    sending.write_all(next).unwrap();
    assert!(read_head(reading).starts_with("HTTP/1.1 200 OK\r\n"));
    let mut body = [0; 2];
    reading.read_exact(&mut body).unwrap();
    assert_eq!(&body, b"ok");
}

fn resident(program: &Program) -> f64 {
    let text = get(program.admin, "/metrics").text();
    text.lines()
        .find_map(|line| line.strip_prefix("process_resident_memory_bytes "))
        .and_then(|bytes| bytes.parse().ok())
        .unwrap()
}

/// Neither side sends its next piece before it has the other's, so a byte that
/// waits for anything else than its turn would be waited for without end.
#[test]
fn an_answer_goes_on_in_step_with_its_request() {
    let server = server();
    let mut program = Program::start(server.url(), &[], &[]);
    for up in Framing::BOTH {
        for down in Framing::BOTH {
            let (mut sending, mut reading) = begin(&program, &format!("in_step&down={down:?}"), up);
            let before = resident(&program);
            up.write(&mut sending, &piece(Way::Up, 0)).unwrap();
            let mut body = body_of(down, &mut reading);
            for number in 0..PIECES {
                let case = format!("{up:?} up, {down:?} down, piece {number}");
                if number + 1 == PIECES {
                    let grown = resident(&program) - before;
                    assert!(grown < 4e6, "{up:?} up, {down:?} down: {grown} bytes");
                    up.end(&mut sending).unwrap();
                }
                let is_right = body.is_next(Way::Down, number);
                assert!(matches!(is_right, Ok(true)), "{case}: {is_right:?}");
                if number + 1 < PIECES {
                    up.write(&mut sending, &piece(Way::Up, number + 1)).unwrap();
                }
            }
            assert!(body.ends().unwrap());
            assert_kept(&mut sending, &mut reading);
        }
    }
    assert_eq!(server.heads().len(), 8);
    program.check_log();
}

#[test]
fn two_large_bodies_pass_each_other() {
    let server = server();
    let mut program = Program::start(server.url(), &[], &[]);
    for up in Framing::BOTH {
        for down in Framing::BOTH {
            let (mut sending, mut reading) = begin(&program, &format!("down={down:?}"), up);
            let mut twin = sending.try_clone().unwrap();
            std::thread::scope(|scope| {
                let sender = scope.spawn(move || up.write_all(&mut twin, Way::Up));
                let mut body = body_of(down, &mut reading);
                let case = format!("{up:?} up, {down:?} down");
                assert!(body.is_all_of(Way::Down).unwrap(), "{case}");
                sender.join().unwrap().unwrap();
            });
            assert_kept(&mut sending, &mut reading);
        }
    }
    assert_eq!(server.heads().len(), 8);
    program.check_log();
}

/// What a server does after an answer to the beginning of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    ReadsOn,
    StopsReading,
    /// With bytes unread, which is a reset.
    Closes,
}

/// Answers with the status in the query when it has a MiB of the request.
fn answering_early(stopped: Arc<Mutex<Vec<TcpStream>>>) -> Scripted {
    Scripted::start(move |head, stream| {
        if stream.read_exact(&mut vec![0; 1 << 20]).is_err() {
            return false;
        }
        let status = if head.contains("status=413") {
            "413 Content Too Large"
        } else {
            "200 OK"
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nbig");
        let _ = stream.get_mut().write_all(answer.as_bytes());
        if head.contains("then=ReadsOn") {
            let _ = io::copy(stream, &mut io::sink());
        } else if head.contains("then=StopsReading") {
            let unread = stream.get_ref().try_clone().unwrap();
            stopped.lock().unwrap().push(unread);
        }
        false
    })
}

fn in_front_of(server: &Scripted) -> Running {
    let running = Setup::default().server(server.url()).start();
    running.wait_until_ready();
    running
}

/// RFC 9112 §9.3, §9.6: also a caller that looks for its answer only when it has
/// sent everything.
#[test]
fn an_answer_before_the_end_of_a_large_body_reaches_its_caller() {
    let stopped = Arc::default();
    let server = answering_early(Arc::clone(&stopped));
    let running = in_front_of(&server);
    let mut calls = 0;
    for version in ["1.1", "1.0"] {
        for up in Framing::BOTH {
            if version == "1.0" && up == Framing::Chunks {
                continue;
            }
            for then in [Then::ReadsOn, Then::StopsReading, Then::Closes] {
                for status in [200, 413] {
                    for reads_meanwhile in [true, false] {
                        let mut caller = Connection::open(running.address);
                        caller.send(format!(
                            "POST /TEL/?status={status}&then={then:?} HTTP/{version}\r\nHost: x\r\n\
                             Content-Type: application/octet-stream\r\n{}\r\n",
                            up.field()
                        ));
                        let mut sending = caller.second_half();
                        let sender =
                            std::thread::spawn(move || up.write_all(&mut sending, Way::Up));
                        let case = format!(
                            "{version}, {up:?}, {then:?}, {status}, meanwhile: {reads_meanwhile}"
                        );
                        let (answer, sent) = if reads_meanwhile {
                            let answer = caller.try_answer(false);
                            (answer, sender.join().unwrap())
                        } else {
                            let sent = sender.join().unwrap();
                            (caller.try_answer(false), sent)
                        };
                        let answer = answer.unwrap_or_else(|| panic!("no answer: {case}"));
                        assert_eq!((answer.status, &*answer.text()), (status, "big"), "{case}");
                        assert!(answer.complete, "{case}");
                        assert!(sent.is_ok(), "{sent:?}: {case}");
                        calls += 1;
                        // Only where DQE is known to have refused the rest before the
                        // answer begins may the end be told.
                        let is_told = answer.field("connection").is_some();
                        assert!(!is_told || then == Then::Closes, "{case}");
                        if version == "1.0" || is_told {
                            assert!(caller.is_at_end(), "{case}");
                        } else {
                            caller.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
                            assert_eq!(caller.answer().status, 404, "{case}");
                        }
                        assert_eq!(server.heads().len(), calls, "{case}");
                    }
                }
            }
        }
    }
    assert_eq!(calls, 36);
    stopped.lock().unwrap().clear();
}

/// RFC 9110 §10.1.1, RFC 9112 §9.3: what a caller sends after an answer that
/// did not wait for it is part of the old request, to the proxy and to DQE.
#[test]
fn what_a_caller_that_asked_first_sends_behind_its_answer_is_no_request() {
    let server = Scripted::answering("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    let running = in_front_of(&server);
    let body = "GET /TEL/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = format!("Content-Length: {}\r\n", body.len());
    let chunked = "Transfer-Encoding: chunked\r\n".to_owned();
    for (version, framing, body) in [
        ("1.1", &length, body),
        ("1.1", &chunked, &chunk),
        ("1.0", &length, body),
    ] {
        let mut caller = Connection::open(running.address);
        caller.send(format!(
            "POST /TEL/?asks HTTP/{version}\r\nHost: x\r\nExpect: 100-continue\r\n\
             Content-Type: application/octet-stream\r\n{framing}\r\n"
        ));
        let mut status = caller.raw_line().unwrap();
        let was_told_to_send = version == "1.1" && status == "HTTP/1.1 100 Continue";
        if was_told_to_send {
            assert_eq!(caller.raw_line().as_deref(), Some(""));
            status = caller.raw_line().unwrap();
        }
        let expected = format!("HTTP/{version} 413 ");
        assert!(status.starts_with(&expected), "{status:?}");
        let is_told = |line: &String| line == "connection: close";
        let lines = std::iter::from_fn(|| caller.raw_line().filter(|line| !line.is_empty()));
        let is_last = lines.filter(is_told).count() > 0;
        caller.send(body);
        if version == "1.0" {
            assert!(caller.is_at_end(), "{version} {framing}");
            continue;
        }
        // Who has been told to send its body sends it.
        assert!(was_told_to_send || is_last, "{version} {framing}");
        if is_last {
            assert!(caller.is_at_end(), "{version} {framing}");
        } else {
            caller.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(caller.answer().status, 404, "{version} {framing}");
        }
    }
    assert_eq!(running.get("/TEL/?last").status, 413);
    let heads = server.heads();
    assert_eq!(heads.len(), 4, "{heads:#?}");
    assert!(heads.iter().all(|head| !head.contains("smuggled")));
}

/// The token is refused before the body has been asked for: the caller is asked
/// once, and all it sends goes with the next token.
#[test]
fn a_caller_that_asked_first_notices_nothing_of_a_refused_token() {
    let bodies: Arc<Mutex<Vec<String>>> = Arc::default();
    let received = Arc::clone(&bodies);
    let server = Scripted::start(move |head, stream| {
        // The first seven were granted before the call came.
        let first = ["0", "1", "2", "3", "4", "5", "6"];
        let is_old = |number| head.contains(&format!("TKscripted-by-a-test-{number}\r\n"));
        if first.into_iter().any(is_old) {
            let refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.get_mut().write_all(refusal);
            return false;
        }
        let mut body = vec![0; 14];
        stream.read_exact(&mut body).unwrap();
        received
            .lock()
            .unwrap()
            .push(String::from_utf8(body).unwrap());
        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.get_mut().write_all(ok).is_ok()
    });
    let running = in_front_of(&server);
    let mut caller = Connection::open(running.address);
    caller.send(
        "POST /TEL/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: 14\r\n\r\n",
    );
    assert_eq!(caller.raw_line().as_deref(), Some("HTTP/1.1 100 Continue"));
    assert_eq!(caller.raw_line().as_deref(), Some(""));
    caller.send("fourteen bytes");
    assert_eq!(caller.raw_line().as_deref(), Some("HTTP/1.1 200 OK"));
    assert_eq!(*bodies.lock().unwrap(), ["fourteen bytes"]);
    assert_eq!(server.heads().len(), 2);
}

/// A short body goes out with its head: one piece for the server to wake up for.
#[test]
fn chunks_that_have_come_together_go_on_as_one() {
    const GOES_ON: &[u8] = b"5\r\nhello\r\n0\r\n\r\n";
    let server = Scripted::start(move |_, stream| {
        let mut body = [0; GOES_ON.len()];
        let answer = match stream.read_exact(&mut body) {
            Ok(()) if body == *GOES_ON => "204 No Content",
            Ok(()) | Err(_) => "500 Internal Server Error",
        };
        let stream = stream.get_mut();
        write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").is_ok()
    });
    let running = Setup::default().server(server.url()).start();
    running.wait_until_ready();
    let mut connection = Connection::open(running.address);
    for chunks in [
        "5\r\nhello\r\n0\r\n\r\n",
        "1\r\nh\r\n2;x=y\r\nel\r\n1\r\nl\r\n1\r\no\r\n0\r\nX-Trailer: 1\r\n\r\n",
    ] {
        connection.send(format!(
            "POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n{chunks}",
        ));
        assert_eq!(connection.answer().status, 204, "{chunks:?}");
    }
}

#[test]
fn a_short_body_comes_in_one_piece_with_its_head() {
    const LENGTH: usize = 1024;
    const CALLS: usize = 10;
    let came = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&came);
    let server = Scripted::start(move |_, stream| {
        // What was read in one breath with the head.
        noted.lock().unwrap().push(stream.buffer().len());
        let mut body = [0; LENGTH];
        stream.read_exact(&mut body).is_ok()
            && body == [b'a'; LENGTH]
            && stream
                .get_mut()
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .is_ok()
    });
    let running = Setup::default().server(server.url()).start();
    running.wait_until_ready();
    let mut connection = Connection::open(running.address);
    for _ in 0..CALLS {
        connection.send(format!(
            "POST /TEL/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {LENGTH}\r\n\r\n{}",
            "a".repeat(LENGTH)
        ));
        assert_eq!(connection.answer().status, 204);
    }
    assert_eq!(*came.lock().unwrap(), [LENGTH; CALLS]);
}
