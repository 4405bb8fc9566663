//! The control port: what the handle does, over HTTP, for people and scripts. No authentication.
//!
//! - `GET /` — this list, and what every switch takes and does
//! - `GET /journal?after=N` — requests received after number N, secrets masked
//! - `DELETE /journal` — forget them
//! - `GET /counters` — counters and violations; faults by kind and the least life left of tokens on
//!   arrival, where there were any
//! - `DELETE /counters` — set them back to 0
//! - `GET /switches` — every switch with its value, and `name.family` where a family differs
//! - `PUT /switches?name=value` — change switches (`token-life=2s`, `carriage.phone=header`)
//! - `GET /faults` — the faults that are set, and the kinds that exist
//! - `POST /faults` — set the fault written in the body, or in `?fault=`
//! - `DELETE /faults?id=N` — clear one, or all without `id`
//! - `POST /revoke?scope=client_b2b` — revoke tokens, or all without `scope`
//! - `POST /secret?value=…` — accept only this client secret from now on

use std::sync::Arc;
use std::time::Duration;

use super::date::DateLine;
use super::fault_grammar::KINDS;
use super::json::{Json, Object};
use super::message::{Answer, AnswerLength, Head};
use super::parameters::Parameters;
use super::scope::Scope;
use super::server::Serve;
use super::state::State;
use super::wire::{NextHead, Wire};

const IDLE: Duration = Duration::from_secs(60);
const BODY_KEPT: usize = 16 * 1024;
const HELP: &str = "GET /journal?after=N · DELETE /journal · GET /counters · DELETE /counters · GET /switches · \
PUT /switches?name=value · GET /faults · POST /faults (fault in the body) · DELETE /faults?id=N · \
POST /revoke?scope=client_b2b · POST /secret?value=…\n";

/// What a control connection goes through.
pub(crate) fn serve(state: Arc<State>) -> Serve {
    Box::new(move |stream| {
        let state = state.clone();
        Box::pin(async move {
            // The peer is gone: there is nobody to tell.
            let _ = converse(Wire::new(stream), &state).await;
        })
    })
}

async fn converse(mut wire: Wire<tokio::net::TcpStream>, state: &State) -> std::io::Result<()> {
    let mut date = DateLine::default();
    while let NextHead::Head(head) = wire.next_head(IDLE).await? {
        let Ok(head) = Head::parse(&head) else { break };
        let (body, _) = wire.body(head.framing, BODY_KEPT).await?;
        let answer = respond(&head, &body, state);
        let keep_open = head.keeps_alive();
        let mut bytes = answer.head(
            date.now(Duration::ZERO),
            AnswerLength::Known(answer.body.len()),
            !keep_open,
        );
        bytes.extend_from_slice(&answer.body);
        wire.send(&bytes).await?;
        if !keep_open {
            break;
        }
    }
    wire.close().await;
    Ok(())
}

fn respond(head: &Head, body: &[u8], state: &State) -> Answer {
    let query = Parameters::read(head.query(), b"", b"");
    let done = || Answer::json(200, Object::new().with("done", true));
    match (head.method.as_ref(), head.path()) {
        (b"GET", b"/") => {
            let switches = state.switches().written().explained();
            Answer::text(200, format!("{HELP}\nSwitches:\n{switches}"))
        }
        (b"GET", b"/journal") => {
            let after = query.text("after").parse().unwrap_or_default();
            let entries: Vec<Object> = state
                .journal_after(after)
                .iter()
                .map(|entry| state.shown(entry))
                .collect();
            Answer::json(200, Json::from(entries))
        }
        (b"DELETE", b"/journal") => {
            state.clear_journal();
            done()
        }
        (b"GET", b"/counters") => {
            let list = state.counters().list();
            Answer::json(
                200,
                list.into_iter()
                    .fold(Object::new(), |object, (name, value)| {
                        object.with(name, value)
                    }),
            )
        }
        (b"DELETE", b"/counters") => {
            state.tally.reset();
            done()
        }
        (b"GET", b"/switches") => switches(state),
        (b"PUT", b"/switches") => {
            for parameter in query.iter() {
                if let Err(error) = state.set_switch(&parameter.name, &parameter.value) {
                    return Answer::text(400, format!("{error}\n"));
                }
            }
            switches(state)
        }
        (b"GET", b"/faults") => faults(state),
        (b"POST", b"/faults") => {
            let body = String::from_utf8_lossy(body);
            let text = query.filled("fault").unwrap_or_else(|| body.trim());
            match state.set_fault(text) {
                Ok(id) => Answer::json(200, Object::new().with("id", id)),
                Err(error) => Answer::text(400, format!("{error}\n")),
            }
        }
        (b"DELETE", b"/faults") => match query.filled("id").map(str::parse) {
            None => {
                state.clear_faults();
                done()
            }
            Some(Ok(id)) if state.clear_fault(id) => done(),
            Some(_) => Answer::text(404, "there is no fault of this id\n"),
        },
        (b"POST", b"/revoke") => match (
            query.filled("scope"),
            query.filled("scope").and_then(Scope::from_name),
        ) {
            (Some(_), None) => Answer::text(400, "there is no such scope\n"),
            (_, scope) => Answer::json(200, Object::new().with("revoked", state.revoke(scope))),
        },
        (b"POST", b"/secret") => match query.filled("value") {
            Some(secret) => {
                state.set_secrets(vec![secret.to_owned()]);
                done()
            }
            None => Answer::text(400, "the secret goes into ?value=\n"),
        },
        _ => Answer::text(404, HELP),
    }
}

fn switches(state: &State) -> Answer {
    let list = state.switches().written().list();
    Answer::json(
        200,
        list.into_iter()
            .fold(Object::new(), |object, (name, value)| {
                object.with(name, value)
            }),
    )
}

fn faults(state: &State) -> Answer {
    let set: Vec<Object> = state
        .faults()
        .into_iter()
        .map(|fault| {
            Object::new()
                .with("id", fault.id)
                .with("fault", fault.text)
                .with("hits", fault.hits)
        })
        .collect();
    let kinds = KINDS.iter().fold(Object::new(), |object, (kind, does)| {
        object.with(*kind, *does)
    });
    Answer::json(200, Object::new().with("set", set).with("kinds", kinds))
}
