//! Which address of the server a connection goes to: they are tried one after the
//! other, each beside those that have not answered yet (RFC 8305 §5), and what came of
//! that is remembered for the connections that follow.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};

use super::addresses::Addresses;
use super::connect::is_no_socket_left;

/// How long one address is waited for before the next is tried beside it.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The addresses of the server: those that are being tried, and those that are not yet.
pub(super) struct Race<'a, C, S> {
    connect: C,
    addresses: &'a Addresses,
    untried: std::vec::IntoIter<SocketAddr>,
    attempts: FuturesUnordered<LocalBoxFuture<'a, (Attempt<'a>, io::Result<S>)>>,
    /// Why nobody has accepted so far.
    refused: io::Error,
}

/// An address that is being tried. Where nothing has come of it when this is dropped,
/// and it has had its time, it is tried after the others for a while.
pub(super) struct Attempt<'a> {
    addresses: &'a Addresses,
    address: SocketAddr,
    begun: Instant,
    is_decided: bool,
}

impl<'a, C, S, F> Race<'a, C, S>
where
    C: Fn(SocketAddr) -> F,
    F: Future<Output = io::Result<S>> + 'a,
{
    /// `found` are the addresses; `connect` opens a connection to one.
    pub(super) fn new(addresses: &'a Addresses, found: &[SocketAddr], connect: C) -> Self {
        Self {
            connect,
            addresses,
            untried: addresses.in_order(found).into_iter(),
            attempts: FuturesUnordered::new(),
            refused: io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
        }
    }

    /// The next connection that is accepted; whether it is of use is for the attempt to
    /// be told.
    ///
    /// # Errors
    /// Why the last address failed, when there is none left; that there is no socket.
    pub(super) async fn next_to_accept(&mut self) -> io::Result<(S, Attempt<'a>)> {
        loop {
            self.begin_next();
            if self.attempts.is_empty() {
                let over = io::Error::from(io::ErrorKind::NotFound);
                return Err(std::mem::replace(&mut self.refused, over));
            }
            let next = self.attempts.next();
            let outcome = if self.untried.len() == 0 {
                next.await
            } else {
                timeout(ATTEMPT_DELAY, next).await.unwrap_or_default()
            };
            match outcome {
                Some((attempt, Ok(stream))) => return Ok((stream, attempt)),
                Some((mut attempt, Err(error))) if is_no_socket_left(&error) => {
                    // The next address would need a descriptor too. Those that have one
                    // may still be accepted.
                    attempt.is_decided = true;
                    self.untried = Vec::new().into_iter();
                    self.refused = error;
                }
                Some((attempt, Err(error))) => {
                    attempt.fails();
                    self.refused = error;
                }
                None => {}
            }
        }
    }

    fn begin_next(&mut self) {
        let Some(address) = self.untried.next() else {
            return;
        };
        let attempt = Attempt {
            addresses: self.addresses,
            address,
            begun: Instant::now(),
            is_decided: false,
        };
        let connecting = (self.connect)(address);
        self.attempts
            .push(Box::pin(async move { (attempt, connecting.await) }));
    }
}

impl Attempt<'_> {
    /// The connection can be used.
    pub(super) fn succeeds(mut self) {
        self.is_decided = true;
    }

    /// It cannot.
    pub(super) fn fails(mut self) {
        self.is_decided = true;
        self.addresses.avoid(self.address);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // Another was faster, or nobody waits any longer.
        if !self.is_decided && self.begun.elapsed() >= ATTEMPT_DELAY {
            self.addresses.avoid(self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::Either;
    use socket2::{Domain, Socket, Type};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// An address whose queue is full: it takes no connection and refuses none.
    async fn silent() -> (SocketAddr, Socket, Vec<TcpStream>) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut queue = Vec::new();
        while let Ok(taken) = timeout(ATTEMPT_DELAY, TcpStream::connect(address)).await {
            queue.push(taken.unwrap());
        }
        (address, socket, queue)
    }

    async fn first_to_accept(
        addresses: &Addresses,
        found: &[SocketAddr],
    ) -> io::Result<(TcpStream, SocketAddr)> {
        let mut race = Race::new(addresses, found, TcpStream::connect);
        let (stream, attempt) = race.next_to_accept().await?;
        let address = attempt.address;
        attempt.succeeds();
        Ok((stream, address))
    }

    #[tokio::test]
    async fn an_address_that_is_silent_holds_up_none_that_answers() {
        let (silent, _socket, _queue) = silent().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers = listener.local_addr().unwrap();
        let gone = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        for found in [
            vec![silent, answers],
            vec![gone, silent, gone, answers],
            vec![silent, silent, answers],
            vec![answers, silent],
        ] {
            let addresses = Addresses::default();
            let connecting = timeout(Duration::from_secs(20), first_to_accept(&addresses, &found));
            let (stream, address) = connecting.await.unwrap().unwrap();
            assert_eq!(stream.peer_addr().unwrap(), answers, "{found:?}");
            assert_eq!(address, answers);
            assert_eq!(
                addresses.in_order(&found)[0],
                answers,
                "it is the next one's first"
            );
        }
        for (found, expected) in [
            (vec![gone, gone], io::ErrorKind::ConnectionRefused),
            (vec![], io::ErrorKind::NotFound),
        ] {
            let refused = first_to_accept(&Addresses::default(), &found).await;
            assert_eq!(refused.unwrap_err().kind(), expected, "{found:?}");
        }
    }

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    /// Takes so long to accept, or never does.
    async fn accepts_after(millis: Option<u64>) -> io::Result<()> {
        match millis {
            Some(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            None => std::future::pending().await,
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_a_socket_may_win_when_there_is_none_for_the_others() {
        let found: Vec<_> = (1..=9).map(address).collect();
        let tried = std::cell::Cell::new(0);
        let connect = |address: SocketAddr| {
            tried.set(tried.get() + 1);
            if address.port() == 1 {
                Either::Left(accepts_after(Some(400)))
            } else {
                Either::Right(async { Err(io::Error::from_raw_os_error(24)) })
            }
        };
        let addresses = Addresses::default();
        let mut race = Race::new(&addresses, &found, connect);
        let (_, attempt) = race.next_to_accept().await.unwrap();
        assert_eq!((attempt.address.port(), tried.get()), (1, 2));
        attempt.succeeds();
        let none = race.next_to_accept().await.map(|_| ()).unwrap_err();
        assert_eq!(none.raw_os_error(), Some(24));
        assert_eq!(
            addresses.in_order(&found),
            found,
            "it is no address's fault"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_accepted_and_of_no_use_makes_room_for_the_next() {
        let found: Vec<_> = (1..=3).map(address).collect();
        let after = [Some(300), None, Some(10)];
        let connect = |address: SocketAddr| accepts_after(after[usize::from(address.port()) - 1]);
        let addresses = Addresses::default();
        let mut race = Race::new(&addresses, &found, connect);
        for expected in [1, 3] {
            let (_, attempt) = race.next_to_accept().await.unwrap();
            assert_eq!(attempt.address.port(), expected);
            attempt.fails();
        }
        let order = addresses.in_order(&found);
        assert_eq!(order, [2, 1, 3].map(address));
        tokio::time::advance(ATTEMPT_DELAY).await;
        drop(race);
        assert_eq!(addresses.in_order(&found), found, "none was of any use");
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_at_once_speaks_against_no_address() {
        let found: Vec<_> = (1..=2).map(address).collect();
        let addresses = Addresses::default();
        for (patience, expected) in [(100, [1, 2]), (400, [2, 1]), (100, [2, 1])] {
            let mut race = Race::new(&addresses, &found, |address: SocketAddr| {
                accepts_after((address.port() == 2 && patience > 100).then_some(1000))
            });
            let patience = Duration::from_millis(patience);
            assert!(timeout(patience, race.next_to_accept()).await.is_err());
            drop(race);
            assert_eq!(addresses.in_order(&found), expected.map(address));
        }
    }
}
