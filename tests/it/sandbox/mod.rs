//! The sandbox, seen through a raw socket: what it answers, notes, and breaks.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod control;
mod door;
mod families;
mod faults;
mod fuzz;
mod journal;
mod personality;
mod token_endpoint;
mod wire;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use dqe_proxy::sandbox::{Entry, Sandbox, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes; a story that passes it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

async fn started() -> Sandbox {
    Sandbox::start(Settings {
        seed: Some(1),
        ..Settings::default()
    })
    .await
    .unwrap()
}

/// What came back until the end of the connection, and how it ended.
struct Reply {
    text: String,
    end: Result<(), ErrorKind>,
}

impl Reply {
    fn status(&self) -> u16 {
        self.text
            .get(9..12)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0)
    }

    fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
    }

    fn has_header(&self, line: &str) -> bool {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        head.lines()
            .any(|received| received.eq_ignore_ascii_case(line))
    }
}

/// Sends bytes on a connection of their own while reading to its end.
async fn raw(address: SocketAddr, bytes: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut received = Vec::new();
    let exchange =
        async { tokio::join!(reader.read_to_end(&mut received), writer.write_all(bytes)) };
    let (read, _written) = timeout(PATIENCE, exchange)
        .await
        .expect("the connection never ended");
    Reply {
        text: String::from_utf8_lossy(&received).into_owned(),
        end: read.map(|_| ()).map_err(|error| error.kind()),
    }
}

/// A GET of its own connection, with header lines that each end in CRLF.
async fn get(sandbox: &Sandbox, target: &str, headers: &str) -> Reply {
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: dqe.sandbox\r\nConnection: close\r\n{headers}\r\n");
    raw(sandbox.address(), request.as_bytes()).await
}

async fn post(
    sandbox: &Sandbox,
    target: &str,
    headers: &str,
    content_type: &str,
    body: &str,
) -> Reply {
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: dqe.sandbox\r\nConnection: close\r\n{headers}\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw(sandbox.address(), request.as_bytes()).await
}

const TOKEN_PATH: &str = "/oauth/access_token/?client_id=SANDBOX&client_secret=sandbox-secret";

async fn token(sandbox: &Sandbox, scope: &str) -> String {
    let reply = get(sandbox, &format!("{TOKEN_PATH}&scope={scope}"), "").await;
    assert_eq!(reply.status(), 200, "{}", reply.text);
    member(reply.body(), "access_token")
}

fn member(json: &str, name: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    value[name].as_str().unwrap().to_owned()
}

async fn bearer(sandbox: &Sandbox, scope: &str) -> String {
    format!("Authorization: Bearer {}\r\n", token(sandbox, scope).await)
}

fn last(sandbox: &Sandbox) -> Entry {
    sandbox.journal().pop().unwrap()
}
