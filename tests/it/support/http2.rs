//! Callers that speak HTTP/2: one that keeps the rules, and one that writes frames.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};

use super::wire::{modest, narrow_both_ways};
use super::{Answer, PATIENCE};

/// How HTTP/2 begins (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A caller's way to send requests on one connection.
pub(crate) type Sender = SendRequest<Bytes>;

/// Opens a connection and lets `story` use it, in real time.
pub(crate) fn talk<T>(address: SocketAddr, story: impl AsyncFnOnce(Sender) -> T) -> T {
    on_a_runtime(async {
        let (sender, _ended) = connect(address).await;
        story(sender).await
    })
}

/// Runs what waits for nothing longer than a test may.
pub(crate) fn on_a_runtime<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, story).await.unwrap() })
}

/// A connection, and what tells how it has ended.
pub(crate) async fn connect(
    address: SocketAddr,
) -> (Sender, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // A stream that is not read takes none of the others' room.
    let mut client = h2::client::Builder::new();
    client.initial_connection_window_size(1 << 20);
    let (sender, connection) = client.handshake(stream).await.unwrap();
    let ended = tokio::spawn(connection);
    (sender.ready().await.unwrap(), ended)
}

/// A request without a body to be sent.
pub(crate) fn request(method: &str, target: &str) -> http::Request<()> {
    http::Request::builder()
        .method(method)
        .uri(format!("http://proxy.test{target}"))
        .body(())
        .unwrap()
}

/// One request without a body, and its answer.
pub(crate) async fn ask(sender: &Sender, request: http::Request<()>) -> Result<Answer, h2::Error> {
    let mut sender = sender.clone().ready().await?;
    let (answering, _) = sender.send_request(request, true)?;
    whole(answering.await?).await
}

/// One GET and its answer.
pub(crate) async fn get(sender: &Sender, target: &str) -> Answer {
    ask(sender, request("GET", target)).await.unwrap()
}

/// One request with a body, sent as far as the windows let it, and its answer.
pub(crate) async fn post(
    sender: &Sender,
    request: http::Request<()>,
    mut body: Bytes,
) -> Result<Answer, h2::Error> {
    let mut sender = sender.clone().ready().await?;
    let (answering, mut sending) = sender.send_request(request, false)?;
    let upload = async {
        while !body.is_empty() {
            sending.reserve_capacity(body.len());
            let capacity = std::future::poll_fn(|cx| sending.poll_capacity(cx)).await;
            let Some(capacity) = capacity.transpose()? else {
                return Ok(());
            };
            let piece = body.split_to(capacity.min(body.len()));
            sending.send_data(piece, body.is_empty())?;
        }
        Ok::<_, h2::Error>(())
    };
    let answer = async { whole(answering.await?).await };
    let (sent, answer) = tokio::join!(upload, answer);
    // An answer before the end of a body is one all the same.
    answer.or_else(|error| sent.and(Err(error)))
}

/// An answer, read to its end.
pub(crate) async fn whole(response: http::Response<RecvStream>) -> Result<Answer, h2::Error> {
    let (head, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let fields = head.headers.iter();
    Ok(Answer {
        status: head.status.as_u16(),
        fields: fields
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body,
        complete: true,
    })
}

/// A frame as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CONTINUATION: u8 = 9;

impl Frame {
    /// The reason of a reset, or of the end of a connection.
    pub(crate) fn reason(&self) -> Reason {
        let start = if self.kind == GOAWAY { 4 } else { 0 };
        let bytes = self.payload[start..start + 4].try_into().unwrap();
        u32::from_be_bytes(bytes).into()
    }
}

/// A caller that writes frames as it likes.
pub(crate) struct Frames(TcpStream);

impl Frames {
    /// Sends the preface and empty settings.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut frames = Self::connect(address);
        frames.send(PREFACE);
        frames.frame(SETTINGS, 0, 0, &[]);
        frames
    }

    /// Sends nothing.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Sends the preface and opens all windows wide, and takes little of what is sent
    /// before it is read.
    pub(crate) fn open_narrow(address: SocketAddr) -> Self {
        Self::open_wide(narrow_both_ways(address))
    }

    /// The same with the system of [`Connection::open_modest`](super::Connection::open_modest).
    pub(crate) fn open_modest(address: SocketAddr) -> Self {
        Self::open_wide(modest(address))
    }

    fn open_wide(stream: TcpStream) -> Self {
        let mut frames = Self(stream);
        frames.send(PREFACE);
        // The window of each stream (RFC 9113 §6.5.2).
        frames.frame(SETTINGS, 0, 0, &[0, 4, 1, 0, 0, 0]);
        frames.frame(WINDOW_UPDATE, 0, 0, &[1, 0, 0, 0]);
        frames
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send(&frame(kind, flags, stream, payload));
    }

    /// Sends until the other side takes no more.
    pub(crate) fn send_what_is_taken(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// Sends the head of a request, whole; `is_all`: it has no body.
    pub(crate) fn request(&mut self, stream: u32, fields: &[(&str, &str)], is_all: bool) {
        self.send(&head(stream, fields, is_all));
    }

    /// Sends a GET on a stream of its own.
    pub(crate) fn get(&mut self, stream: u32, target: &str) {
        self.send(&get_frame(stream, target));
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]),
            payload,
        })
    }

    /// The next frame of this kind.
    pub(crate) fn next_of(&mut self, kind: u8) -> Option<Frame> {
        std::iter::from_fn(|| self.next()).find(|frame| frame.kind == kind)
    }
}

/// A frame, to be sent.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// A GET without a body, to be sent.
pub(crate) fn get_frame(stream: u32, target: &str) -> Vec<u8> {
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "proxy.test"),
        (":path", target),
    ];
    head(stream, &fields, true)
}

fn head(stream: u32, fields: &[(&str, &str)], is_all: bool) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // Literal, not to be remembered, with a new name (RFC 7541 §6.2.2).
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    let mut kind = (HEADERS, if is_all { END_STREAM } else { 0 });
    let mut frames = Vec::new();
    let mut pieces = block.chunks(16 * 1024).peekable();
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() {
            END_HEADERS
        } else {
            0
        };
        frames.extend_from_slice(&frame(kind.0, kind.1 | last, stream, piece));
        kind = (CONTINUATION, 0);
    }
    frames
}

/// A length in seven bits, and more where it needs them (RFC 7541 §5.1).
fn integer(block: &mut Vec<u8>, number: usize) {
    let Some(mut rest) = number.checked_sub(127) else {
        block.push(u8::try_from(number).unwrap());
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}
