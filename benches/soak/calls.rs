//! One call for each scope, and the body that DQE itself answers to it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::Failure;
use crate::process::{Dqe, Ground, LICENCE, SECRET};
use crate::wire::Caller;

/// Scope and target.
pub(crate) const CALLS: [(&str, &str); 7] = [
    (
        "client_address",
        "/SINGLEV2/?Adresse=18%20rue%20de%20rivoli%20paris&Pays=FRA&NbMax=1&Instance=0",
    ),
    ("client_phone", "/TEL/?Tel=0612345678&Pays=FRA"),
    (
        "client_email",
        "/DQEEMAILLOOKUP/?Email=somebody%40example.com",
    ),
    (
        "client_civility",
        "/FIRSTNAMESUGGEST/?Firstname=jean&Country=FRA",
    ),
    (
        "client_b2b",
        "/RECSIRET/?CompanyName=boulangerie&Country=FRA&Dictionary=Y",
    ),
    ("client_idcheck", "/SEARCH/?Nom=x"),
    ("client_general", "/GETINFOLIFESTYLE/?Nom=Martin"),
];

/// A call and what is to come back.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) scope: &'static str,
    pub(crate) target: &'static str,
    pub(crate) body: Arc<[u8]>,
}

/// Asks a fake DQE directly, with a token of each scope.
pub(crate) async fn expected(ground: &Ground) -> Result<Vec<Call>, Failure> {
    let dqe = Dqe::start(ground, Duration::from_secs(60), &[], &[SECRET]).await?;
    let mut caller = Caller::of(dqe.address);
    let mut calls = Vec::new();
    for (scope, target) in CALLS {
        let asking = format!(
            "/oauth/access_token/?client_id={LICENCE}&client_secret={SECRET}&scope={scope}"
        );
        let reply: Value = serde_json::from_slice(&caller.get(&asking).await?.body)?;
        let token = reply.get("access_token").and_then(Value::as_str);
        let bearer = format!("Bearer {}", token.ok_or("the fake DQE gives no token")?);
        let answer = caller
            .call("GET", target, &[("Authorization", &bearer)], "")
            .await?;
        if answer.status != 200 || answer.body.len() < 3 {
            return Err(format!("the fake DQE answers {} to {target}", answer.status).into());
        }
        calls.push(Call {
            scope,
            target,
            body: answer.body.into(),
        });
    }
    Ok(calls)
}
