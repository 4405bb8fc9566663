//! A server that answers calls with raw bytes, for what the fake DQE is too
//! well-behaved to say. Its token endpoint grants everything.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{read_body, read_head, serve_each};

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
        let heads = Arc::clone(&scripted.heads);
        let granted = AtomicUsize::new(0);
        serve_each(listener, move |stream| {
            let mut stream = BufReader::new(stream);
            while let Some(head) = read_head(&mut stream) {
                let text = String::from_utf8_lossy(&head).into_owned();
                let asks_for_token =
                    ["/oauth/access_token", "/ACCESS_TOKEN/"].map(|path| text.contains(path));
                let goes_on = if asks_for_token.contains(&true) {
                    while hold.load(Ordering::Relaxed) {
                        std::thread::park_timeout(Duration::from_millis(2));
                    }
                    let number = granted.fetch_add(1, Ordering::Relaxed);
                    read_body(&head, &mut stream).is_some() && grant(number, stream.get_mut())
                } else {
                    heads.lock().unwrap().push(text.clone());
                    script(&text, &mut stream)
                };
                if !goes_on {
                    return;
                }
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

fn grant(number: usize, stream: &mut TcpStream) -> bool {
    let reply = format!(
        r#"{{"access_token":"TKscripted-by-a-test-{number}","token_type":"Bearer","expires_in":300}}"#
    );
    let reply = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{reply}",
        reply.len()
    );
    stream.write_all(reply.as_bytes()).is_ok()
}
