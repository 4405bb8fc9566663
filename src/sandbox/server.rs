//! Listening: one task per address accepts, serves, pauses and resumes on command.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::connection;
use super::counters::count;
use super::state::State;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Pause after a failed accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that wait to be accepted, as of `TcpListener::bind`.
const BACKLOG: u32 = 1024;

/// Serves one accepted connection to its end.
pub(crate) type Serve = Box<dyn Fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// An order to the accepting task; it answers when it is carried out.
#[derive(Debug)]
pub(crate) enum Order {
    Pause(oneshot::Sender<()>),
    Resume(oneshot::Sender<io::Result<()>>),
    Stop(oneshot::Sender<()>),
}

/// The accepting task's address and its ear. It ends when the last sender is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    pub(crate) orders: mpsc::Sender<Order>,
}

/// Binds and starts accepting.
pub(crate) async fn listen(
    address: SocketAddr,
    state: Arc<State>,
    serve: Serve,
) -> io::Result<Listening> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let (orders, received) = mpsc::channel(8);
    tokio::spawn(accept(address, listener, received, state, serve));
    Ok(Listening { address, orders })
}

/// What a business connection goes through.
pub(crate) fn business(state: Arc<State>, tls: Option<TlsAcceptor>) -> Serve {
    Box::new(move |stream| {
        let state = state.clone();
        let tls = tls.clone();
        Box::pin(async move {
            // An answer is one small write; waiting for more would only delay it.
            let _ = stream.set_nodelay(true);
            let scheme = if tls.is_some() { "https" } else { "http" };
            let Ok(address) = stream.local_addr() else {
                return;
            };
            let authority = Arc::from(format!("{scheme}://{address}"));
            match tls {
                None => connection::serve(stream, state, authority).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) =
                        tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await
                    {
                        connection::serve(stream, state, authority).await;
                    }
                }
            }
        })
    })
}

async fn accept(
    address: SocketAddr,
    listener: TcpListener,
    mut orders: mpsc::Receiver<Order>,
    state: Arc<State>,
    serve: Serve,
) {
    let mut listener = Some(listener);
    // The port while nobody listens, so that nobody else gets it.
    let mut held = None;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Pause(done)) => {
                    if listener.take().is_some() {
                        held = hold(address).ok();
                    }
                    connections.shutdown().await;
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
                Some(Order::Resume(done)) => {
                    let _ = done.send(resume(address, &mut held, &mut listener));
                }
                Some(Order::Stop(done)) => {
                    drop((listener.take(), held.take()));
                    connections.shutdown().await;
                    let _ = done.send(());
                    return;
                }
                // The last handle is gone; dropping the set closes the connections.
                None => return,
            },
            accepted = next(listener.as_ref()) => match accepted {
                Ok((stream, _)) => { connections.spawn(serve(stream)); }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(ended) = connections.join_next() => {
                if ended.as_ref().is_err_and(JoinError::is_panic) {
                    count(&state.tally.panics);
                }
            }
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Takes a port without listening: connections to it are refused.
fn hold(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of before may still be on their way out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn resume(
    address: SocketAddr,
    held: &mut Option<TcpSocket>,
    listener: &mut Option<TcpListener>,
) -> io::Result<()> {
    if listener.is_none() {
        let socket = match held.take() {
            Some(socket) => socket,
            None => hold(address)?,
        };
        *listener = Some(socket.listen(BACKLOG)?);
    }
    Ok(())
}
