//! A caller that speaks raw bytes, so that nothing is repaired on the way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// An answer as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The body ended where its framing says it ends.
    pub(crate) complete: bool,
}

impl Answer {
    /// The values of a field, lines joined by ", ".
    #[must_use]
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .fields
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    #[must_use]
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[must_use]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// One GET on a connection of its own.
#[must_use]
pub(crate) fn get(address: SocketAddr, target: &str) -> Answer {
    call(
        address,
        format!("GET {target} HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n"),
    )
}

/// Sends `request` as it is on a connection of its own and reads one answer.
#[must_use]
pub(crate) fn call(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut connection = Connection::open(address);
    connection.send(request);
    connection.answer()
}

/// A caller's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    #[must_use]
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    /// One whose system takes no more than a few KiB before they are read.
    #[must_use]
    pub(crate) fn open_narrow(address: SocketAddr) -> Self {
        Self::over(narrow(address, |_| {}))
    }

    /// The same with segments so short that the other side's system takes little
    /// as well.
    #[must_use]
    pub(crate) fn open_narrow_both_ways(address: SocketAddr) -> Self {
        Self::over(narrow_both_ways(address))
    }

    /// One whose system takes so little that it tells the other side soon of what has
    /// been read, as it would not over a loopback that it has grown accustomed to.
    #[must_use]
    pub(crate) fn open_modest(address: SocketAddr) -> Self {
        Self::over(modest(address))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            reader: BufReader::new(stream),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a GET that keeps the connection.
    pub(crate) fn send_get(&mut self, target: &str) {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: proxy.test\r\n\r\n"));
    }

    /// To send from another thread while this one reads.
    #[must_use]
    pub(crate) fn second_half(&mut self) -> TcpStream {
        self.reader.get_mut().try_clone().unwrap()
    }

    /// Closes the sending side only.
    pub(crate) fn finish_sending(&mut self) {
        self.reader
            .get_mut()
            .shutdown(std::net::Shutdown::Write)
            .unwrap();
    }

    /// Reads one answer to a request that is not HEAD.
    #[must_use]
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer(false)
            .expect("the connection closed without an answer")
    }

    /// Reads one answer to a HEAD request.
    #[must_use]
    pub(crate) fn head_answer(&mut self) -> Answer {
        self.try_answer(true)
            .expect("the connection closed without an answer")
    }

    /// Reads one answer; `None` when the connection closes before its head.
    #[must_use]
    pub(crate) fn try_answer(&mut self, to_head: bool) -> Option<Answer> {
        loop {
            let answer = self.one_answer(to_head)?;
            // Interim answers are not what the story waits for.
            if answer.status >= 200 {
                return Some(answer);
            }
        }
    }

    fn one_answer(&mut self, to_head: bool) -> Option<Answer> {
        let first = self.line()?;
        let mut words = first.splitn(3, ' ');
        words.next()?;
        let status = words.next()?.parse().ok()?;
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut answer = Answer {
            status,
            fields,
            body: Vec::new(),
            complete: true,
        };
        let chunked = answer
            .field("transfer-encoding")
            .is_some_and(|coding| coding == "chunked");
        let length = answer
            .field("content-length")
            .and_then(|length| length.parse().ok());
        if to_head || status < 200 || status == 204 || status == 304 {
            return Some(answer);
        }
        if chunked {
            answer.complete = self.chunks(&mut answer.body).is_some();
        } else if let Some(length) = length {
            let mut body = Vec::new();
            let read = self.reader.by_ref().take(length).read_to_end(&mut body);
            answer.complete = read.is_ok() && body.len() as u64 == length;
            answer.body = body;
        } else {
            answer.complete = self.reader.read_to_end(&mut answer.body).is_ok();
        }
        Some(answer)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let size = usize::from_str_radix(self.line()?.split(';').next()?, 16).ok()?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Some(());
            }
            let start = body.len();
            body.resize(start + size, 0);
            self.reader.read_exact(&mut body[start..]).ok()?;
            self.line()?;
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).ok()?;
        let line = line.strip_suffix(b"\n")?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(String::from_utf8_lossy(line).into_owned())
    }

    /// The next line as it came, interim answers included.
    #[must_use]
    pub(crate) fn raw_line(&mut self) -> Option<String> {
        self.line()
    }

    /// Reads until the connection ends; whether that was a reset and not an orderly close.
    #[must_use]
    pub(crate) fn ends_with_reset(&mut self) -> bool {
        let end = self.reader.read_to_end(&mut Vec::new());
        end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    }

    /// Whether the other side has closed and nothing more comes.
    #[must_use]
    pub(crate) fn is_at_end(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => rest.is_empty(),
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// See [`Connection::open_narrow_both_ways`].
pub(super) fn narrow_both_ways(address: SocketAddr) -> TcpStream {
    narrow(address, |socket| socket.set_tcp_mss(536).unwrap())
}

/// See [`Connection::open_modest`].
pub(super) fn modest(address: SocketAddr) -> TcpStream {
    narrow(address, |socket| {
        socket.set_recv_buffer_size(64 << 10).unwrap();
    })
}

fn narrow(address: SocketAddr, set_up: impl FnOnce(&Socket)) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    set_up(&socket);
    socket.connect_timeout(&address.into(), PATIENCE).unwrap();
    socket.into()
}
