//! Accepts operators' connections. All of them are driven within one future,
//! so that nothing here spawns a task. One request per connection, and a
//! deadline for it: nobody can hold the port, and a newcomer always gets in.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::metrics::Exposition;
use super::{Source, answer};
use crate::telemetry::LogThrottle;

/// Most connections at a time; beyond it the oldest is closed.
const CONNECTIONS: usize = 64;
/// Longest time until a request's head is there.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time a connection may take in all.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Time given to running answers when the listener stops.
const STOP_TIMEOUT: Duration = Duration::from_millis(250);
/// Pause after a failure to accept (no descriptor left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves operators until `shutdown` resolves, and then at most 250 ms more
/// for answers under way. Never fails: a listener that cannot accept tries
/// again.
pub async fn serve(
    listener: TcpListener,
    source: Arc<dyn Source>,
    shutdown: impl Future<Output = ()>,
) {
    let exposition = Arc::new(Exposition::new(Arc::clone(&source)));
    let mut connections = Connections::default();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            // Connections first, lest a flood of new ones starves the old.
            biased;
            never = connections.drive() => match never {},
            () = &mut shutdown => break,
            stream = accept(&listener) => stream,
        };
        let (source, exposition) = (Arc::clone(&source), Arc::clone(&exposition));
        connections.add(serve_one(stream, source, exposition));
    }
    // An operator who is too slow for it is not waited for.
    let _ = timeout(STOP_TIMEOUT, connections.finish()).await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let failing = LogThrottle::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                if let Some(times) = failing.count(Instant::now()) {
                    tracing::warn!(%error, times, "the admin listener cannot accept");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, source: Arc<dyn Source>, exposition: Arc<Exposition>) {
    let service = service_fn(move |request| {
        let answer = answer(&request, source.as_ref(), &exposition);
        ready(Ok::<_, Infallible>(answer.into_response()))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    // What fails here is the operator's connection, and they know.
    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
}

/// Connections under way, oldest first. Each wake-up polls them all, which at
/// this number costs less than telling them apart.
#[derive(Default)]
struct Connections(VecDeque<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Connections {
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        if self.0.len() >= CONNECTIONS {
            self.0.pop_front();
        }
        self.0.push_back(Box::pin(connection));
    }

    /// Drives them all, for ever.
    async fn drive(&mut self) -> Infallible {
        poll_fn(|context| {
            self.0
                .retain_mut(|connection| connection.as_mut().poll(context).is_pending());
            Poll::Pending
        })
        .await
    }

    /// Drives them all to their end.
    async fn finish(&mut self) {
        poll_fn(|context| {
            self.0
                .retain_mut(|connection| connection.as_mut().poll(context).is_pending());
            if self.0.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::super::testing::Fake;
    use super::*;

    /// Runs `talk` against a server in front of `fake`, then stops the server.
    fn served<F: Future<Output = ()>>(fake: Fake, talk: impl FnOnce(SocketAddr, Arc<Fake>) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let fake = Arc::new(fake);
            let (stop, stopped) = oneshot::channel::<()>();
            let source: Arc<dyn Source> = Arc::<Fake>::clone(&fake);
            let server = serve(listener, source, async {
                let _ = stopped.await;
            });
            let talk = async {
                talk(address, fake).await;
                drop(stop);
            };
            let all = async { tokio::join!(server, talk) };
            timeout(Duration::from_secs(20), all).await.unwrap();
        });
    }

    /// Sends the bytes and reads until the server closes.
    async fn exchange(address: SocketAddr, bytes: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn ask(address: SocketAddr, method: &str, target: &str) -> String {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: admin\r\n\r\n");
        exchange(address, &request).await
    }

    #[test]
    fn each_endpoint_answers_and_closes() {
        served(Fake::new(), async |address, _| {
            for (target, status, body) in [
                ("/", "200 OK", "/metrics "),
                ("/livez", "200 OK", "\r\n\r\nok\n"),
                ("/healthz", "200 OK", "\r\n\r\nok\n"),
                ("/readyz", "200 OK", "\r\n\r\nok\n"),
                ("/readyz?verbose", "200 OK", "[-]token client_phone failed"),
                ("/metrics", "200 OK", "\n# EOF\n"),
                ("/status.json", "200 OK", "\"client_phone\""),
                ("/nothing", "404 Not Found", "/readyz "),
            ] {
                let answer = ask(address, "GET", target).await;
                assert!(
                    answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
                    "{answer}"
                );
                assert!(answer.contains(body), "{answer}");
                assert!(
                    answer.contains("\r\ncache-control: no-store\r\n"),
                    "{answer}"
                );
                let head = answer.split("\r\n\r\n").next().unwrap();
                assert!(head.contains("\r\nconnection: close"), "{answer}");
                let kind = match target {
                    "/metrics" => "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    "/status.json" => "application/json",
                    _ => "text/plain; charset=utf-8",
                };
                assert!(
                    head.contains(&format!("\r\ncontent-type: {kind}")),
                    "{head}"
                );
            }
        });
    }

    #[test]
    fn a_drain_turns_readiness_off_and_leaves_liveness() {
        served(Fake::new(), async |address, fake| {
            fake.drain();
            let ready = ask(address, "GET", "/readyz").await;
            assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
            assert!(ready.contains("[-]accepting failed: draining"), "{ready}");
            let live = ask(address, "GET", "/livez").await;
            assert!(live.starts_with("HTTP/1.1 200 "), "{live}");
        });
    }

    #[test]
    fn no_usable_token_turns_readiness_off_and_leaves_liveness() {
        let mut fake = Fake::new();
        fake.tokens.remove(0);
        served(fake, async |address, _| {
            let ready = ask(address, "GET", "/readyz").await;
            assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
            let reason = "[-]token client_phone failed: refused, DQE grants no such scope";
            assert!(ready.contains(reason), "{ready}");
            let live = ask(address, "GET", "/livez").await;
            assert!(live.starts_with("HTTP/1.1 200 "), "{live}");
        });
    }

    #[test]
    fn head_has_the_length_and_no_body() {
        served(Fake::new(), async |address, _| {
            let answer = ask(address, "HEAD", "/livez").await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains("\r\ncontent-length: 3\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        });
    }

    #[test]
    fn nothing_can_be_changed() {
        served(Fake::new(), async |address, _| {
            for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
                let answer = ask(address, method, "/metrics").await;
                assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
                assert!(answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
                assert!(!answer.contains("dqe_proxy_"), "{answer}");
            }
        });
    }

    #[test]
    fn an_old_probe_that_closes_its_side_is_answered() {
        served(Fake::new(), async |address, _| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(b"GET /livez HTTP/1.0\r\n\r\n")
                .await
                .unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
        });
    }

    #[test]
    fn idle_connections_keep_no_probe_out() {
        served(Fake::new(), async |address, _| {
            let mut idle = Vec::new();
            for _ in 0..3 * CONNECTIONS {
                idle.push(TcpStream::connect(address).await.unwrap());
            }
            let start = Instant::now();
            let answer = ask(address, "GET", "/livez").await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(start.elapsed() < HEADER_TIMEOUT, "{:?}", start.elapsed());
            // The oldest has been closed, the newest is still listened to.
            let oldest = idle[0].read(&mut [0]).await;
            assert!(matches!(oldest, Ok(0) | Err(_)), "{oldest:?}");
            let newest = idle.last_mut().unwrap();
            newest
                .write_all(b"GET /livez HTTP/1.1\r\nHost: admin\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            newest.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        });
    }

    #[test]
    fn a_silent_connection_is_closed_in_time() {
        served(Fake::new(), async |address, _| {
            let mut silent = TcpStream::connect(address).await.unwrap();
            let start = Instant::now();
            let mut answer = Vec::new();
            silent.read_to_end(&mut answer).await.unwrap();
            assert!(
                start.elapsed() < CONNECTION_TIMEOUT,
                "{:?}",
                start.elapsed()
            );
        });
    }

    #[test]
    fn an_idle_connection_does_not_hold_up_a_stop() {
        let start = Instant::now();
        let mut kept = None;
        served(Fake::new(), async |address, _| {
            ask(address, "GET", "/livez").await;
            kept = Some(TcpStream::connect(address).await.unwrap());
            // Answered after the idle connection was accepted.
            ask(address, "GET", "/livez").await;
        });
        assert!(start.elapsed() < HEADER_TIMEOUT, "{:?}", start.elapsed());
    }
}
