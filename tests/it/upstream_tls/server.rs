//! A server whose TLS is as wrong as a story wants, and that writes down every
//! byte it gets, before the handshake and within it.

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{PATIENCE, read_body, read_head, serve_each};

/// What every token begins with that the server grants.
pub(super) const TOKEN: &str = "TK-behind-tls";

/// What happens on a connection.
#[derive(Clone)]
pub(super) enum Conduct {
    /// TLS with this identity, and HTTP in it.
    Speaks(Arc<ServerConfig>),
    /// These bytes to whatever comes first, and the end.
    Says(&'static [u8]),
    /// A reset after what comes first.
    Resets,
    /// Silence.
    Stalls,
}

/// How an answer to a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As TLS has it, with a `close_notify`.
    Told,
    /// The connection closes; anybody on the way could have done that.
    Untold,
}

struct State {
    conduct: Conduct,
    answer: (&'static str, End),
    /// How often it has turned to another conduct: what connections of before say is over.
    turns: usize,
    /// As they came, of all connections.
    raw: Vec<u8>,
    /// What was said within TLS.
    said: Vec<u8>,
    connections: usize,
}

/// The server; its threads end with the test.
#[derive(Clone)]
pub(super) struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
}

/// No two have the same name.
static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// A certificate authority of this test.
pub(super) struct Authority {
    pub(super) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = &mut params.distinguished_name;
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        name.push(DnType::CommonName, format!("authority {number} of a test"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// An identity for `name`, good in these years.
    pub(super) fn identity(&self, name: &str, years: std::ops::Range<i32>) -> Conduct {
        let key = KeyPair::generate().unwrap();
        let params = params(name, years);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        speaks(certificate.der().clone(), &key)
    }
}

/// An identity that nobody vouches for.
pub(super) fn self_signed() -> Conduct {
    let key = KeyPair::generate().unwrap();
    let certificate = params("127.0.0.1", 2000..2100).self_signed(&key).unwrap();
    speaks(certificate.der().clone(), &key)
}

fn params(name: &str, years: std::ops::Range<i32>) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(years.start, 1, 1);
    params.not_after = date_time_ymd(years.end, 1, 1);
    params
}

fn speaks(certificate: rustls::pki_types::CertificateDer<'static>, key: &KeyPair) -> Conduct {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Conduct::Speaks(Arc::new(config))
}

impl Server {
    pub(super) fn start(conduct: Conduct) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::new(Mutex::new(State {
                conduct,
                // Said, or a proxy that has not seen the end yet would send its next call there.
                answer: (
                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
                    End::Told,
                ),
                turns: 0,
                raw: Vec::new(),
                said: Vec::new(),
                connections: 0,
            })),
        };
        let at_work = server.clone();
        serve_each(listener, move |stream| at_work.serve(stream));
        server
    }

    pub(super) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// From the next connection on; forgets what was received, and hears no more of those
    /// there are, which may still say good-bye.
    pub(super) fn turns_to(&self, conduct: Conduct) {
        let mut state = self.state.lock().unwrap();
        state.conduct = conduct;
        state.turns += 1;
        state.raw.clear();
        state.said.clear();
        state.connections = 0;
    }

    /// Answers calls with this from now on.
    pub(super) fn answers(&self, answer: &'static str, end: End) {
        self.state.lock().unwrap().answer = (answer, end);
    }

    /// Connections, bytes as they came, and bytes within TLS since the last turn.
    pub(super) fn received(&self) -> (usize, Vec<u8>, Vec<u8>) {
        let state = self.state.lock().unwrap();
        (state.connections, state.raw.clone(), state.said.clone())
    }

    fn serve(&self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (conduct, turn) = {
            let mut state = self.state.lock().unwrap();
            state.connections += 1;
            (state.conduct.clone(), state.turns)
        };
        let mut stream = Recording {
            stream,
            turn,
            state: Arc::clone(&self.state),
        };
        let mut first = [0; 4096];
        match conduct {
            Conduct::Speaks(config) => {
                let connection = ServerConnection::new(config).unwrap();
                self.speak(StreamOwned::new(connection, stream));
            }
            Conduct::Says(bytes) => {
                let _ = stream.read(&mut first);
                let _ = stream.write_all(bytes);
                // What is unread at a close would make it a reset.
                let _ = stream.stream.shutdown(std::net::Shutdown::Write);
                while stream.read(&mut first).is_ok_and(|read| read > 0) {}
            }
            Conduct::Resets => {
                let _ = stream.read(&mut first);
                let socket = socket2::SockRef::from(&stream.stream);
                let _ = socket.set_linger(Some(Duration::ZERO));
            }
            Conduct::Stalls => while stream.read(&mut first).is_ok_and(|read| read > 0) {},
        }
    }

    fn speak(&self, stream: StreamOwned<ServerConnection, Recording>) {
        let mut stream = BufReader::new(stream);
        let Some(head) = read_head(&mut stream) else {
            return;
        };
        self.state.lock().unwrap().said.extend_from_slice(&head);
        let Some(body) = read_body(&head, &mut stream) else {
            return;
        };
        self.state.lock().unwrap().said.extend_from_slice(&body);
        if String::from_utf8_lossy(&head).contains("/oauth/access_token") {
            let reply =
                format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer","expires_in":86400}}"#);
            let length = reply.len();
            let _ = write!(
                stream.get_mut(),
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{reply}"
            );
            end(stream.get_mut(), End::Told);
            return;
        }
        let (answer, how) = self.state.lock().unwrap().answer;
        let _ = stream.get_mut().write_all(answer.as_bytes());
        end(stream.get_mut(), how);
    }
}

fn end(stream: &mut StreamOwned<ServerConnection, Recording>, how: End) {
    if how == End::Told {
        stream.conn.send_close_notify();
    }
    let _ = stream.flush();
    let _ = stream.sock.stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.sock.read(&mut [0; 64]);
}

struct Recording {
    stream: TcpStream,
    turn: usize,
    state: Arc<Mutex<State>>,
}

impl Read for Recording {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.stream.read(buffer)?;
        let mut state = self.state.lock().unwrap();
        if state.turns == self.turn {
            state.raw.extend_from_slice(&buffer[..read]);
        }
        Ok(read)
    }
}

impl Write for Recording {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}
