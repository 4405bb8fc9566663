//! A tiny HTTP/1.1 client that shares no code with the proxy: one kept-alive
//! connection, answers with a `Content-Length`, a deadline on every exchange.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Failure;

/// Longer than anything the proxy may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// No answer here is larger.
const LARGEST: usize = 4 * 1024 * 1024;

/// Status and body of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Status, and the code that a refusal of the proxy carries.
    pub(crate) fn refusal(&self) -> String {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        let code = body.as_ref().and_then(|body| body.get("code")?.as_str());
        format!("{} {}", self.status, code.unwrap_or("without a code"))
    }
}

/// One caller with its connection, which is opened when it is first needed and
/// again after a failure.
pub(crate) struct Caller {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Caller {
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Opens the connection ahead of the first call.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        if self.stream.is_none() {
            let stream = timeout(DEADLINE, TcpStream::connect(self.address)).await??;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
        }
        Ok(())
    }

    pub(crate) async fn get(&mut self, target: &str) -> Result<Answer, Failure> {
        self.call("GET", target, &[], "").await
    }

    /// One request and its answer.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, Failure> {
        self.connect().await?;
        // Put back only when the exchange has ended well.
        let mut stream = self.stream.take().ok_or("there is no connection")?;
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in fields {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let (answer, keeps_open) = timeout(DEADLINE, async {
            stream.write_all(request.as_bytes()).await?;
            read(&mut stream).await
        })
        .await??;
        if keeps_open {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

/// The answer, and whether the connection stays open.
async fn read(stream: &mut TcpStream) -> Result<(Answer, bool), Failure> {
    let mut received = Vec::with_capacity(4096);
    let end = loop {
        if let Some(at) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, &mut received).await?;
    };
    let head = std::str::from_utf8(&received[..end])?.to_ascii_lowercase();
    let status = head
        .strip_prefix("http/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or("the answer is no HTTP/1.1")?;
    let field = |name: &str| {
        let of_line = |line: &str| {
            Some(
                line.strip_prefix(name)?
                    .strip_prefix(':')?
                    .trim()
                    .to_owned(),
            )
        };
        head.split("\r\n").find_map(of_line)
    };
    let length: usize = field("content-length")
        .ok_or("the answer has no length")?
        .parse()?;
    if length > LARGEST {
        return Err("the answer is too large".into());
    }
    while received.len() < end + length {
        more(stream, &mut received).await?;
    }
    if received.len() > end + length {
        return Err("bytes follow the answer".into());
    }
    let keeps_open = field("connection").is_none_or(|value| value != "close");
    let body = received.split_off(end);
    Ok((Answer { status, body }, keeps_open))
}

async fn more(stream: &mut TcpStream, received: &mut Vec<u8>) -> Result<(), Failure> {
    if received.len() > LARGEST {
        return Err("the answer is too large".into());
    }
    match stream.read_buf(received).await? {
        0 => Err("the connection was closed in the middle of an answer".into()),
        _ => Ok(()),
    }
}
