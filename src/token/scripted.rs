//! A token endpoint for the stories: raw bytes on port 0, each call answered
//! as the story's script says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// One token call as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// From 0.
    pub(super) number: usize,
    pub(super) head: String,
    /// The form as sent.
    pub(super) form: String,
}

impl Call {
    pub(super) fn has(&self, field: &str) -> bool {
        self.form.split('&').any(|part| part == field)
    }
}

/// What is answered.
pub(super) enum Answer {
    /// A token of this value that lives so many seconds.
    Token(String, f64),
    /// A status with a body, and more header lines, each ended by CRLF.
    Status(u16, &'static str, String),
    /// Nothing, for as long as the caller waits.
    Silence,
    /// The connection is closed without an answer.
    Close,
    /// A success whose body does not end.
    Endless,
}

impl Answer {
    /// A token whose value is its call's number.
    pub(super) fn numbered(call: &Call, life: f64) -> Self {
        Self::Token(format!("TK-value-{}", call.number), life)
    }

    pub(super) fn status(status: u16, body: &str) -> Self {
        Self::Status(status, "", body.to_owned())
    }
}

type Script = Box<dyn FnMut(&Call) -> Answer + Send>;

#[derive(Clone)]
pub(super) struct Endpoint {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    calls: Arc<Mutex<Vec<Call>>>,
    was_cut_off: Arc<AtomicBool>,
}

impl Endpoint {
    pub(super) async fn start(script: impl FnMut(&Call) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, script)
    }

    pub(super) fn on(
        listener: TcpListener,
        script: impl FnMut(&Call) -> Answer + Send + 'static,
    ) -> Self {
        let endpoint = Self {
            address: listener.local_addr().unwrap(),
            script: Arc::new(Mutex::new(Box::new(script))),
            calls: Arc::default(),
            was_cut_off: Arc::default(),
        };
        let serving = endpoint.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        endpoint
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/oauth/access_token/", self.address)
    }

    /// From now on, calls are answered so.
    pub(super) fn becomes(&self, script: impl FnMut(&Call) -> Answer + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Whether the other side closed while an endless body was on its way.
    pub(super) fn was_cut_off(&self) -> bool {
        self.was_cut_off.load(Ordering::Relaxed)
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut received = Vec::new();
        while let Some((head, form)) = read_request(&mut stream, &mut received).await {
            let answer = {
                let mut calls = self.calls.lock().unwrap();
                let number = calls.len();
                calls.push(Call { number, head, form });
                let call = calls[number].clone();
                drop(calls);
                (self.script.lock().unwrap())(&call)
            };
            match answer {
                Answer::Token(value, life) => {
                    let body = format!(
                        r#"{{"access_token":"{value}","token_type":"Bearer","expires_in":"{life}"}}"#
                    );
                    write_reply(&mut stream, 200, "", &body).await;
                }
                Answer::Status(status, fields, body) => {
                    write_reply(&mut stream, status, fields, &body).await;
                }
                Answer::Silence => {
                    // Ends when the other side gives up.
                    let _ = stream.read(&mut [0]).await;
                    return;
                }
                Answer::Close => return,
                Answer::Endless => {
                    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n";
                    let _ = stream.write_all(head.as_bytes()).await;
                    while stream.write_all(&[b' '; 4096]).await.is_ok() {}
                    self.was_cut_off.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        let text = String::from_utf8_lossy(received).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length: usize = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            if rest.len() >= length {
                received.drain(..head.len() + 4 + length);
                return Some((head.to_owned(), rest[..length].to_owned()));
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => received.extend_from_slice(&chunk[..length]),
        }
    }
}

async fn write_reply(stream: &mut TcpStream, status: u16, fields: &str, body: &str) {
    let length = body.len();
    let reply = format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
    let _ = stream.write_all(reply.as_bytes()).await;
}

/// The pause of [`until`] and [`timed`] between two looks.
const REST: Duration = Duration::from_millis(2);
/// The most that a pause counts for. It ends late when this machine has no time for the
/// story, and what the program owes is not owed in that time.
const MOST: Duration = Duration::from_millis(5);

/// Waits until `condition` holds; panics with `what` after `limit`. Returns
/// how long it took, without the time in which nothing could go on.
pub(super) async fn until(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> bool,
) -> Duration {
    let mut took = Duration::ZERO;
    while !condition() {
        assert!(took < limit, "not within {limit:?}: {what}");
        let round = Instant::now();
        tokio::time::sleep(REST).await;
        took += round.elapsed().min(MOST);
    }
    took
}

/// What `work` comes to, and how long it took, counted as in [`until`].
pub(super) async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let mut took = Duration::ZERO;
    tokio::pin!(work);
    loop {
        let round = Instant::now();
        tokio::select! {
            biased;
            done = &mut work => return (done, took + round.elapsed().min(MOST)),
            () = tokio::time::sleep(REST) => took += round.elapsed().min(MOST),
        }
    }
}
