//! The addresses of the server's name. Looking them up blocks a thread and usually asks
//! a name server, so connections that are made at about the same time share one
//! look-up. While none succeeds, the addresses found before stay in use. Which of them
//! failed lately is remembered.

use std::cell::RefCell;
use std::fmt;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared};
use tokio::time::{Instant, timeout_at};

/// How long the result of a look-up is used. After an outage of the server every call
/// makes a connection; a change of the name's addresses is still followed soon.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// How long a look is waited for where there are addresses of an earlier one.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long an address that was of no use is tried after the others.
const AVOIDED_FOR: Duration = Duration::from_secs(10);
/// Most addresses that are avoided; of more the last ones.
const MOST_AVOIDED: usize = 16;

/// Addresses, in the resolver's order, or why there are none.
type Found = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

/// The addresses of one server, for the connections of one thread.
#[derive(Default)]
pub(super) struct Addresses {
    look: RefCell<Option<Look>>,
    /// What the last look brought that brought anything.
    known: RefCell<Option<Arc<[SocketAddr]>>>,
    /// Addresses that were of no use, and until when they are avoided.
    avoided: RefCell<Vec<(SocketAddr, Instant)>>,
}

#[derive(Clone)]
struct Look {
    begun: Instant,
    found: Shared<LocalBoxFuture<'static, Found>>,
}

impl Addresses {
    /// The addresses found within the last [`GOOD_FOR`], or what `look_up` finds now. Calls
    /// at the same time share one look-up, which goes on when one of them is dropped.
    ///
    /// While `look_up` fails, and when it takes longer than [`PATIENCE`], those found before
    /// are used, however old: whoever is there proves by TLS that it is the server, or is
    /// this machine.
    ///
    /// # Errors
    /// Those of `look_up` when none has ever succeeded. The call after a failure looks up
    /// again.
    pub(super) async fn get<F, A>(
        &self,
        look_up: impl FnOnce() -> F,
    ) -> io::Result<Arc<[SocketAddr]>>
    where
        F: Future<Output = io::Result<A>> + 'static,
        A: IntoIterator<Item = SocketAddr>,
    {
        let look = self.look(look_up);
        let known = self.known.borrow().clone();
        let found = match &known {
            None => look.found.clone().await,
            Some(known) => {
                let found = timeout_at(look.begun + PATIENCE, look.found.clone()).await;
                found.unwrap_or_else(|_| Ok(Arc::clone(known)))
            }
        };
        match (found, known) {
            (Ok(found), _) => {
                self.learn(&found);
                Ok(found)
            }
            (Err(error), Some(known)) => {
                self.stay_with(&known, &look, &error);
                Ok(known)
            }
            (Err(error), None) => {
                self.replace(&look, None);
                Err(io::Error::new(error.kind(), error))
            }
        }
    }

    fn look<F, A>(&self, look_up: impl FnOnce() -> F) -> Look
    where
        F: Future<Output = io::Result<A>> + 'static,
        A: IntoIterator<Item = SocketAddr>,
    {
        let mut last = self.look.borrow_mut();
        if let Some(look) = &*last
            && look.begun.elapsed() < GOOD_FOR
        {
            return look.clone();
        }
        // One that took longer than anybody waited for it.
        let late = last.take().and_then(|look| look.found.now_or_never());
        if let Some(Ok(found)) = late {
            self.learn(&found);
        }
        let found = look_up().map(|found| {
            found
                .map(|found| found.into_iter().collect())
                .map_err(Arc::new)
        });
        last.insert(Look::at(found.boxed_local())).clone()
    }

    fn learn(&self, found: &Arc<[SocketAddr]>) {
        if !found.is_empty() {
            *self.known.borrow_mut() = Some(Arc::clone(found));
        }
    }

    /// Forgets the addresses, none of which has accepted a connection: the name may lead
    /// elsewhere by now.
    pub(super) fn forget(&self) {
        *self.look.borrow_mut() = None;
    }

    /// The look has failed: what was known before is what it brought.
    fn stay_with(&self, known: &Arc<[SocketAddr]>, failed: &Look, error: &io::Error) {
        let instead = Look::at(ready(Ok(Arc::clone(known))).boxed_local());
        if self.replace(failed, Some(instead)) {
            tracing::warn!(
                cause = %error,
                "cannot resolve the server's name: its last known addresses stay in use"
            );
        }
    }

    /// Puts another in the place of this look, unless somebody has.
    fn replace(&self, look: &Look, by: Option<Look>) -> bool {
        let mut last = self.look.borrow_mut();
        let is_last = matches!(&*last, Some(last) if last.found.ptr_eq(&look.found));
        if is_last {
            *last = by;
        }
        is_last
    }

    /// This one was of no use: it is tried after the others for a while.
    pub(super) fn avoid(&self, address: SocketAddr) {
        let mut avoided = self.avoided.borrow_mut();
        avoided.retain(|(other, _)| *other != address);
        if avoided.len() == MOST_AVOIDED {
            avoided.remove(0);
        }
        avoided.push((address, Instant::now() + AVOIDED_FOR));
    }

    /// In the order in which they are to be tried.
    pub(super) fn in_order(&self, found: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut avoided = self.avoided.borrow_mut();
        if !avoided.is_empty() {
            let now = Instant::now();
            avoided.retain(|(_, until)| *until > now);
        }
        let is_avoided = |address: &SocketAddr| avoided.iter().any(|(other, _)| other == address);
        let (last, mut first): (Vec<_>, Vec<_>) = found.iter().copied().partition(is_avoided);
        first.extend(last);
        first
    }
}

impl Look {
    fn at(found: LocalBoxFuture<'static, Found>) -> Self {
        Self {
            begun: Instant::now(),
            found: found.shared(),
        }
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addresses").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use tokio::time::{advance, timeout};

    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    /// A look-up that takes a while, and counts how often it was begun.
    fn slowly(
        looks: &Cell<u16>,
    ) -> impl Future<Output = io::Result<std::iter::Once<SocketAddr>>> + use<> {
        taking(Duration::from_millis(400), looks)
    }

    fn taking(
        time: Duration,
        looks: &Cell<u16>,
    ) -> impl Future<Output = io::Result<std::iter::Once<SocketAddr>>> + use<> {
        looks.set(looks.get() + 1);
        let port = looks.get();
        async move {
            tokio::time::sleep(time).await;
            Ok(std::iter::once(address(port)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_at_the_same_time_shares_a_look_and_so_do_those_soon_after() {
        let (addresses, looks) = (Addresses::default(), Cell::new(0));
        // The first leaves before there is an answer.
        let in_vain = addresses.get(|| slowly(&looks));
        assert!(timeout(Duration::from_millis(10), in_vain).await.is_err());
        let both = tokio::join!(
            addresses.get(|| slowly(&looks)),
            addresses.get(|| slowly(&looks)),
        );
        for found in [both.0, both.1] {
            assert_eq!(found.unwrap()[..], [address(1)]);
        }
        advance(GOOD_FOR - Duration::from_millis(900)).await;
        let found = addresses.get(|| slowly(&looks)).await;
        assert_eq!((found.unwrap()[0], looks.get()), (address(1), 1));
        advance(Duration::from_millis(500)).await;
        let found = addresses.get(|| slowly(&looks)).await;
        assert_eq!((found.unwrap()[0], looks.get()), (address(2), 2));
        addresses.forget();
        let found = addresses.get(|| slowly(&looks)).await;
        assert_eq!((found.unwrap()[0], looks.get()), (address(3), 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_everybodys_who_waited_and_nobodys_after() {
        let (addresses, looks) = (Addresses::default(), Cell::new(0));
        let fails = || {
            looks.set(looks.get() + 1);
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Err::<std::iter::Empty<_>, _>(io::Error::other("no such name"))
            }
        };
        let both = tokio::join!(addresses.get(fails), addresses.get(fails));
        for found in [both.0, both.1] {
            assert_eq!(found.unwrap_err().to_string(), "no such name");
        }
        assert_eq!(looks.get(), 1);
        let found = addresses.get(|| slowly(&looks)).await;
        assert_eq!((found.unwrap()[0], looks.get()), (address(2), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_never_ends_is_not_waited_for_by_those_who_come_later() {
        let (addresses, looks) = (Addresses::default(), Cell::new(0));
        let hangs = || pending::<io::Result<std::iter::Empty<SocketAddr>>>();
        assert!(timeout(GOOD_FOR, addresses.get(hangs)).await.is_err());
        let found = addresses.get(|| slowly(&looks)).await;
        assert_eq!(found.unwrap()[..], [address(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn while_nothing_can_be_looked_up_the_last_known_addresses_stay() {
        let (addresses, looks) = (Addresses::default(), Cell::new(0));
        let fails = || {
            looks.set(looks.get() + 1);
            async { Err::<std::iter::Empty<_>, _>(io::Error::other("no answer")) }
        };
        let hangs = || {
            looks.set(looks.get() + 1);
            pending::<io::Result<std::iter::Empty<SocketAddr>>>()
        };
        let nothing = || async { Ok(std::iter::empty()) };
        assert_eq!(
            addresses.get(|| slowly(&looks)).await.unwrap()[..],
            [address(1)]
        );
        for _ in 0..100 {
            advance(GOOD_FOR).await;
            let both = tokio::join!(addresses.get(fails), addresses.get(fails));
            for found in [both.0, both.1, addresses.get(fails).await] {
                assert_eq!(found.unwrap()[..], [address(1)]);
            }
        }
        assert_eq!(looks.get(), 101, "it is asked every five seconds");
        advance(GOOD_FOR).await;
        for expected in [PATIENCE, Duration::ZERO] {
            let begun = Instant::now();
            assert_eq!(addresses.get(hangs).await.unwrap()[..], [address(1)]);
            assert_eq!(begun.elapsed(), expected, "later ones do not wait again");
        }
        advance(GOOD_FOR).await;
        assert!(addresses.get(nothing).await.unwrap().is_empty());
        advance(GOOD_FOR).await;
        assert_eq!(addresses.get(fails).await.unwrap()[..], [address(1)]);
        // None of them lets anybody in: it is asked at once.
        addresses.forget();
        looks.set(6);
        let found = addresses.get(|| slowly(&looks)).await;
        assert_eq!(found.unwrap()[..], [address(7)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_server_that_is_slow_is_followed_by_those_who_come_later() {
        let (addresses, looks) = (Addresses::default(), Cell::new(0));
        let slow = || taking(4 * PATIENCE, &looks);
        let get = async || addresses.get(slow).await.unwrap()[0].port();
        assert_eq!(get().await, 1);
        advance(GOOD_FOR).await;
        assert_eq!(get().await, 1);
        advance(4 * PATIENCE).await;
        assert_eq!((get().await, looks.get()), (2, 2));
        // Whoever comes seldom, too.
        advance(GOOD_FOR).await;
        assert_eq!(get().await, 2);
        advance(10 * GOOD_FOR).await;
        assert_eq!((get().await, looks.get()), (3, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_of_no_use_is_tried_last_for_a_while() {
        let addresses = Addresses::default();
        let found: Vec<SocketAddr> = (1..=3).map(address).collect();
        let order = || -> Vec<u16> {
            let order = addresses.in_order(&found);
            order.iter().map(SocketAddr::port).collect()
        };
        assert_eq!(order(), [1, 2, 3]);
        addresses.avoid(address(1));
        assert_eq!(order(), [2, 3, 1]);
        advance(AVOIDED_FOR / 2).await;
        addresses.avoid(address(2));
        assert_eq!(order(), [3, 1, 2]);
        advance(AVOIDED_FOR / 2).await;
        assert_eq!(order(), [1, 3, 2]);
        for port in 0..1000 {
            addresses.avoid(address(port));
        }
        assert_eq!(addresses.avoided.borrow().len(), MOST_AVOIDED);
        assert_eq!(order(), [1, 2, 3]);
    }
}
