//! A server that answers calls with raw bytes, for what the fake DQE is too
//! well-behaved to say. Its token endpoint grants everything.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The server; its threads end with the test.
#[derive(Clone)]
pub(crate) struct Scripted {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Calls `script` with the head of each business request and the
    /// connection, from which nothing but that head has been read. The
    /// connection is kept as long as it returns true.
    #[must_use]
    pub(crate) fn start(
        script: impl Fn(&str, &mut BufReader<TcpStream>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::holding_tokens(Arc::default(), script)
    }

    /// The same; a token request is answered when `hold` is false.
    #[must_use]
    pub(crate) fn holding_tokens(
        hold: Arc<AtomicBool>,
        script: impl Fn(&str, &mut BufReader<TcpStream>) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scripted = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            heads: Arc::default(),
        };
        let (heads, script) = (Arc::clone(&scripted.heads), Arc::new(script));
        let granted = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heads, script) = (Arc::clone(&heads), Arc::clone(&script));
                let (hold, granted) = (Arc::clone(&hold), Arc::clone(&granted));
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Some(head) = read_head(&mut stream) {
                        let asks_for_token = ["/oauth/access_token", "/ACCESS_TOKEN/"]
                            .map(|path| head.contains(path));
                        let goes_on = if asks_for_token.contains(&true) {
                            while hold.load(Ordering::Relaxed) {
                                std::thread::park_timeout(Duration::from_millis(2));
                            }
                            grant(granted.fetch_add(1, Ordering::Relaxed), &head, &mut stream)
                        } else {
                            heads.lock().unwrap().push(head.clone());
                            script(&head, &mut stream)
                        };
                        if !goes_on {
                            return;
                        }
                    }
                });
            }
        });
        scripted
    }

    /// Answers every business request with these bytes and keeps the connection.
    #[must_use]
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_, stream| stream.get_mut().write_all(&answer).is_ok())
    }

    #[must_use]
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Heads of the business requests received, in order.
    #[must_use]
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn read_head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

fn grant(number: usize, head: &str, stream: &mut BufReader<TcpStream>) -> bool {
    let length = head.to_ascii_lowercase();
    let length = length
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    if stream.read_exact(&mut body).is_err() {
        return false;
    }
    let reply = format!(
        r#"{{"access_token":"TKscripted-by-a-test-{number}","token_type":"Bearer","expires_in":300}}"#
    );
    let reply = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{reply}",
        reply.len()
    );
    stream.get_mut().write_all(reply.as_bytes()).is_ok()
}
