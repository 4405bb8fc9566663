//! What the token engine does for its readers, told over real sockets with
//! tokens that live for a second or two.

mod keeping_secrets;
mod refusing;
mod rejecting;
mod renewing;
mod rotating;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use super::scripted::{Endpoint, until};
use super::*;
use crate::egress::Egress;

const SECRET: &str = "pass-phrase-of-the-story";
const SECOND: Duration = Duration::from_secs(1);
/// Longer than anything is waited for here that comes.
const PATIENCE: Duration = Duration::from_secs(15);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn client() -> Client {
    let egress = Egress::build(&crate::egress::Settings::default(), false).unwrap();
    egress.token_client(SECOND).unwrap()
}

fn settings(url: String, scopes: &[Scope]) -> Settings {
    Settings {
        url,
        request: TokenRequest::default(),
        reading: Reading::default(),
        client_id: SecretString::from("LICENCE-CODE"),
        client_secret: SecretSource::Environment {
            name: "DQE_CLIENT_SECRET".into(),
            value: SecretString::from(SECRET),
        },
        next_client_secret: None,
        scopes: scopes.to_vec(),
        connect_timeout: SECOND,
    }
}

/// An engine with its renewal tasks running until the test ends.
fn running(settings: Settings) -> Arc<Engine> {
    let engine = Engine::new(settings, client()).unwrap();
    for cell in engine.cells() {
        tokio::spawn(engine.renew_forever(cell));
    }
    tokio::spawn(Arc::clone(&engine).watch_secrets_forever());
    engine
}

fn one_scope(endpoint: &Endpoint) -> (Arc<Engine>, Arc<Cell>) {
    let engine = running(settings(endpoint.url(), &[Scope::Email]));
    let cell = engine.cell(Scope::Email).unwrap();
    (engine, cell)
}

fn has_token(cell: &Cell) -> bool {
    cell.current(&Moment::now()).is_some()
}

/// Watches that no reader goes without a token until `condition` holds. A story that
/// has stood still for so long that no renewal could be in time is told no gap until
/// there is a token again.
async fn unseen(cell: &Cell, what: &str, mut condition: impl FnMut() -> bool) {
    let (mut last, mut stood_still) = (Instant::now(), false);
    until(20 * SECOND, what, || {
        stood_still |= last.elapsed() > millis(500);
        stood_still &= !has_token(cell);
        last = Instant::now();
        assert!(has_token(cell) || stood_still, "{what}: {:?}", cell.view());
        condition()
    })
    .await;
}

fn generation(cell: &Cell) -> u64 {
    cell.view().generation
}
