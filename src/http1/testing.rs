//! Both ends of a connection, for tests over real sockets.

use tokio::net::{TcpListener, TcpStream};

/// Runs a story to its end on this thread.
pub(crate) fn block_on<F: Future>(story: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_io().build().unwrap().block_on(story)
}

/// This side of a connection, and the caller's, which sends each piece at once.
pub(crate) async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (caller, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let caller = caller.unwrap();
    caller.set_nodelay(true).unwrap();
    (accepted.unwrap().0, caller)
}
