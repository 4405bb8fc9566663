//! The addresses of the server's name. Looking them up blocks a thread and usually asks
//! a name server, so connections that are made at about the same time share one
//! look-up.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared};
use tokio::time::Instant;

/// How long the result of a look-up is used. After an outage of the server every call
/// makes a connection; a change of the name's addresses is still followed soon.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// Addresses, in the resolver's order, or why there are none.
type Found = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

/// The addresses of one server, for the connections of one thread.
#[derive(Default)]
pub(super) struct Addresses(RefCell<Option<Look>>);

#[derive(Clone)]
struct Look {
    begun: Instant,
    found: Shared<LocalBoxFuture<'static, Found>>,
}

impl Addresses {
    /// The addresses found within the last [`GOOD_FOR`], or what `look_up` finds now. Calls
    /// at the same time share one look-up, which goes on when one of them is dropped.
    ///
    /// # Errors
    /// Those of `look_up`. The call after a failure looks up again.
    pub(super) async fn get<F, A>(
        &self,
        look_up: impl FnOnce() -> F,
    ) -> io::Result<Arc<[SocketAddr]>>
    where
        F: Future<Output = io::Result<A>> + 'static,
        A: IntoIterator<Item = SocketAddr>,
    {
        let look = self.look(look_up);
        look.found.clone().await.map_err(|error| {
            self.forget_found(&look);
            io::Error::new(error.kind(), error)
        })
    }

    fn look<F, A>(&self, look_up: impl FnOnce() -> F) -> Look
    where
        F: Future<Output = io::Result<A>> + 'static,
        A: IntoIterator<Item = SocketAddr>,
    {
        let mut known = self.0.borrow_mut();
        if let Some(look) = &*known
            && look.begun.elapsed() < GOOD_FOR
        {
            return look.clone();
        }
        let found = look_up().map(|found| {
            found
                .map(|found| found.into_iter().collect())
                .map_err(Arc::new)
        });
        let look = Look {
            begun: Instant::now(),
            found: found.boxed_local().shared(),
        };
        known.insert(look).clone()
    }

    /// Forgets the addresses, none of which has accepted a connection: the name may lead
    /// elsewhere by now.
    pub(super) fn forget(&self) {
        *self.0.borrow_mut() = None;
    }

    fn forget_found(&self, failed: &Look) {
        let mut known = self.0.borrow_mut();
        if matches!(&*known, Some(look) if look.found.ptr_eq(&failed.found)) {
            *known = None;
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

    /// A look-up that takes a second, and counts how often it was begun.
    fn slowly(
        looks: &Cell<u16>,
    ) -> impl Future<Output = io::Result<std::iter::Once<SocketAddr>>> + use<> {
        looks.set(looks.get() + 1);
        let port = looks.get();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
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
        advance(GOOD_FOR - Duration::from_millis(1500)).await;
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
}
