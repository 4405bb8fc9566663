//! TLS over a byte stream, on rustls's connection without buffers: this module
//! has the buffers, rustls the protocol. It knows no policy (`egress`) and no HTTP.
//!
//! Ciphertext is read into one buffer that all connections of a thread share,
//! as much as there is at once, and decrypted where it lies. What a connection
//! keeps for itself is what is left over: an incomplete record, plaintext that
//! the reader had no room for, ciphertext that the socket did not take. Idle, it
//! keeps nothing.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[cfg(test)]
mod tests;

/// Longest record, its header included (RFC 8446 §5.2, with what TLS 1.2 adds).
const RECORD: usize = 5 + (1 << 14) + 2048;
/// Most bytes of ciphertext that are kept until the rest comes: handshake messages of
/// 64 KiB, the longest that rustls takes, in records.
const MOST_KEPT: usize = (1 << 16) + RECORD;
/// Most ciphertext that is read at once. Twice or half as much costs the same.
const MOST_READ: usize = 128 * 1024;
/// Most plaintext that is taken at once; nothing more is, until its ciphertext is
/// written.
const MOST_TAKEN: usize = 48 * 1024;

/// The buffer that the connections of a thread share. Between two calls it holds
/// nothing that anybody needs.
#[derive(Clone)]
pub(super) struct Scratch(Rc<RefCell<Box<[u8]>>>);

impl Default for Scratch {
    /// Memory that is not used yet: the system gives it page by page.
    fn default() -> Self {
        let bytes = vec![0; MOST_KEPT + MOST_READ].into_boxed_slice();
        Self(Rc::new(RefCell::new(bytes)))
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch")
    }
}

/// The client's side of a TLS connection.
pub(super) struct TlsStream<IO> {
    io: IO,
    scratch: Scratch,
    session: Session,
}

/// What there is of a connection besides its socket.
struct Session {
    tls: UnbufferedClientConnection,
    /// Ciphertext without its end. rustls remembers places in it, so it is given
    /// back as it was, with more behind it.
    incoming: Vec<u8>,
    /// Plaintext nobody has taken yet, from `taken` on.
    plaintext: Vec<u8>,
    taken: usize,
    /// Ciphertext to be written, from `written` on.
    outgoing: Vec<u8>,
    written: usize,
    /// The socket has ended.
    at_end: bool,
    /// The server has said that it sends nothing more.
    peer_closed: bool,
    /// We have said so.
    closed: bool,
    /// What ended the connection before its time, for everybody who asks.
    failure: Option<Failure>,
    /// What the socket said when there was plaintext to be handed out first.
    unreported: Option<io::Error>,
}

#[derive(Clone)]
enum Failure {
    Tls(rustls::Error),
    /// More than [`MOST_KEPT`] would have to be kept.
    TooLong,
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Tls(error) => Self::new(io::ErrorKind::InvalidData, error),
            Failure::TooLong => Self::new(
                io::ErrorKind::InvalidData,
                "the server's handshake messages are too long",
            ),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    /// Makes a connection secure. Has no deadline of its own: whoever awaits it
    /// sets one.
    ///
    /// # Errors
    /// `InvalidData` with the [`rustls::Error`] in it when the server does not
    /// convince or does not speak TLS; `UnexpectedEof` when it goes away; what the
    /// socket says.
    pub(super) async fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        io: IO,
        scratch: Scratch,
    ) -> io::Result<Self> {
        let tls = UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?;
        let session = Session::new(tls);
        let mut stream = Self {
            io,
            scratch,
            session,
        };
        stream.session.begin();
        poll_fn(|cx| stream.poll_handshake(cx)).await?;
        Ok(stream)
    }

    /// What the ciphertext comes from.
    pub(super) fn io(&self) -> &IO {
        &self.io
    }

    /// Some of a record has come, and not all of it.
    pub(super) fn is_within_record(&self) -> bool {
        !self.session.incoming.is_empty()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.session.poll_write_out(&mut self.io, cx))?;
            if !self.session.tls.is_handshaking() {
                return Pin::new(&mut self.io).poll_flush(cx);
            }
            ready!(self.poll_receive(cx, &mut ReadBuf::new(&mut [])))?;
            self.session.check()?;
            if self.session.at_end {
                let gone = "the server ended the connection during the TLS handshake";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, gone)));
            }
        }
    }

    /// Reads once and decrypts what has come, into `out` and what does not fit there
    /// into the connection. Whether there was all that was asked for, so that there
    /// may be more.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let Self {
            io,
            scratch,
            session,
        } = self;
        let scratch = &mut *scratch.0.borrow_mut();
        let kept = session.incoming.len();
        // Room for what encryption adds, and for the record that has come in part:
        // when there is enough, `out` is full then.
        let room = out.remaining();
        let most = MOST_READ.min(room + room / 512 + RECORD);
        let mut read = ReadBuf::new(&mut scratch[kept..kept + most]);
        ready!(Pin::new(&mut *io).poll_read(cx, &mut read))?;
        let came = read.filled().len();
        if came == 0 {
            session.at_end = true;
            return Poll::Ready(Ok(false));
        }
        scratch[..kept].copy_from_slice(&session.incoming);
        let records = &mut scratch[..kept + came];
        let done = session.take_in(records, out);
        session.keep(&records[done..]);
        if !session.outgoing.is_empty() {
            // An alert, or an answer that TLS wants. What cannot be written now is, before
            // what is written next; whether it can is not what the reader wants to know.
            let _ = session.poll_write_out(io, cx);
        }
        Poll::Ready(Ok(came == most))
    }
}

impl Session {
    fn new(tls: UnbufferedClientConnection) -> Self {
        Self {
            tls,
            incoming: Vec::new(),
            plaintext: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            written: 0,
            at_end: false,
            peer_closed: false,
            closed: false,
            failure: None,
            unreported: None,
        }
    }

    /// Puts the first message of the handshake into `outgoing`.
    fn begin(&mut self) {
        self.take_in(&mut [], &mut ReadBuf::new(&mut []));
    }

    /// Decrypts and heeds what `records` holds: how much of it is done with. Its rest
    /// is to be given again, with more behind it.
    fn take_in(&mut self, records: &mut [u8], out: &mut ReadBuf<'_>) -> usize {
        let mut done = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(&mut records[done..]);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                let fits = out.remaining().min(record.payload.len());
                                let (now, later) = record.payload.split_at(fits);
                                out.put_slice(now);
                                self.plaintext.extend_from_slice(later);
                            }
                            Err(error) => {
                                self.failure = Some(Failure::Tls(error));
                                return records.len();
                            }
                        }
                    }
                    done += discard;
                    // The usual end, without asking rustls what it wants.
                    if done == records.len() && !self.tls.wants_write() {
                        return done;
                    }
                }
                Ok(ConnectionState::EncodeTlsData(message)) => {
                    encode(message, &mut self.outgoing);
                    done += discard;
                }
                // It is on its way, in `outgoing`.
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    sent.done();
                    done += discard;
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    // What comes behind it is nothing (RFC 8446 §6.1).
                    self.peer_closed = true;
                    return records.len();
                }
                Ok(ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake) => {
                    return done + discard;
                }
                Ok(state) => {
                    let unknown = format!("{state:?} is no state of ours");
                    self.failure = Some(Failure::Tls(rustls::Error::General(unknown)));
                    return records.len();
                }
                Err(error) => {
                    self.failure = Some(Failure::Tls(error));
                    self.take_alert();
                    return records.len();
                }
            }
        }
    }

    /// Puts what is to be told the server of a failure into `outgoing`.
    fn take_alert(&mut self) {
        // As long as there is something to write, rustls looks at nothing else.
        while self.tls.wants_write() {
            let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut []);
            let Ok(ConnectionState::EncodeTlsData(message)) = state else {
                return;
            };
            encode(message, &mut self.outgoing);
        }
    }

    /// Keeps an incomplete record until the rest of it comes.
    fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            if self.incoming.capacity() > 0 {
                self.incoming = Vec::new();
            }
        } else if rest.len() > MOST_KEPT {
            self.failure = Some(Failure::TooLong);
            self.incoming = Vec::new();
        } else {
            self.incoming.clear();
            self.incoming.extend_from_slice(rest);
        }
    }
    /// Gives `out` of the plaintext that waits.
    fn hand_out(&mut self, out: &mut ReadBuf<'_>) {
        let waiting = &self.plaintext[self.taken..];
        let fits = out.remaining().min(waiting.len());
        out.put_slice(&waiting[..fits]);
        self.taken += fits;
        if self.taken == self.plaintext.len() {
            self.plaintext = Vec::new();
            self.taken = 0;
        }
    }

    /// Encrypts `plain` into `sealed`: how many bytes that makes.
    fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut self.incoming);
        match state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) if !self.closed => {
                traffic.encrypt(plain, sealed).map_err(io::Error::other)
            }
            // All that came has been taken in, so rustls has nothing else to say.
            Ok(_) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) => {
                self.failure = Some(Failure::Tls(error));
                self.check().map(|()| 0)
            }
        }
    }

    /// Nothing more comes.
    fn is_over(&self) -> bool {
        self.peer_closed || self.at_end || self.failure.is_some() || self.unreported.is_some()
    }

    /// How it ended, when it is over.
    fn end(&mut self) -> io::Result<()> {
        self.check()?;
        match self.unreported.take() {
            Some(error) => Err(error),
            None if self.peer_closed => Ok(()),
            None => {
                let cut = "the server closed the connection without a close_notify";
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut))
            }
        }
    }

    /// Says that we send nothing more, once.
    fn close(&mut self, scratch: &mut [u8]) {
        if self.closed || self.failure.is_some() {
            return;
        }
        self.closed = true;
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut self.incoming);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state
            && let Ok(sealed) = traffic.queue_close_notify(scratch)
        {
            self.outgoing.extend_from_slice(&scratch[..sealed]);
        }
    }

    fn check(&self) -> io::Result<()> {
        match &self.failure {
            Some(failure) => Err(failure.clone().into()),
            None => Ok(()),
        }
    }

    /// Writes the ciphertext that waits.
    fn poll_write_out<IO: AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.written < self.outgoing.len() {
            let waiting = &self.outgoing[self.written..];
            let written = ready!(Pin::new(&mut *io).poll_write(cx, waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        if self.written > 0 {
            self.outgoing = Vec::new();
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }
}

/// Appends a message that rustls wants to send.
fn encode<Data>(mut message: EncodeTlsData<'_, Data>, outgoing: &mut Vec<u8>) {
    // Asked without room, it tells how much it needs.
    if let Err(EncodeError::InsufficientSize(size)) = message.encode(&mut []) {
        let before = outgoing.len();
        outgoing.resize(before + size.required_size, 0);
        let written = message.encode(&mut outgoing[before..]).unwrap_or(0);
        outgoing.truncate(before + written);
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        if !this.session.plaintext.is_empty() {
            this.session.hand_out(out);
        }
        loop {
            let has_some = out.filled().len() > before;
            // A record more would not find room.
            if out.remaining() == 0 || has_some && out.remaining() < RECORD {
                return Poll::Ready(Ok(()));
            }
            if this.session.is_over() {
                return Poll::Ready(if has_some { Ok(()) } else { this.session.end() });
            }
            match this.poll_receive(cx, out) {
                // There is no more than this, so there is no need to ask the socket again.
                Poll::Ready(Ok(false)) if out.filled().len() > before => {
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Pending if !has_some => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) if !has_some => return Poll::Ready(Err(error)),
                // A socket tells its error once only.
                Poll::Ready(Err(error)) => {
                    this.session.unreported = Some(error);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    /// Takes the plaintext when what was written before is on its way, and writes
    /// its ciphertext as far as that goes.
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        plain: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self {
            io,
            scratch,
            session,
        } = self.get_mut();
        if plain.is_empty() {
            return Poll::Ready(session.check().map(|()| 0));
        }
        ready!(session.poll_write_out(io, cx))?;
        let scratch = &mut *scratch.0.borrow_mut();
        let plain = &plain[..plain.len().min(MOST_TAKEN)];
        let sealed = session.seal(plain, scratch)?;
        let written = match Pin::new(io).poll_write(cx, &scratch[..sealed]) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        session
            .outgoing
            .extend_from_slice(&scratch[written..sealed]);
        Poll::Ready(Ok(plain.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, session, .. } = self.get_mut();
        session.check()?;
        ready!(session.poll_write_out(io, cx))?;
        Pin::new(io).poll_flush(cx)
    }

    /// Tells the server that nothing more comes; it may go on sending.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self {
            io,
            scratch,
            session,
        } = self.get_mut();
        session.close(&mut scratch.0.borrow_mut());
        ready!(session.poll_write_out(io, cx))?;
        match ready!(Pin::new(io).poll_shutdown(cx)) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            shut => Poll::Ready(shut),
        }
    }
}

impl<IO: fmt::Debug> fmt::Debug for TlsStream<IO> {
    /// Without what was said on it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("io", &self.io)
            .field("peer_closed", &self.session.peer_closed)
            .finish_non_exhaustive()
    }
}
