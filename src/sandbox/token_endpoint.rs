//! `/oauth/access_token/` and ID Mobile's `/ACCESS_TOKEN/`: parameters in, token or refusal out.
//!
//! Follows DQE's page on OAuth2 row by row. Inferred: a wrong secret is refused as an unknown
//! client, and every unknown parameter name is a misspelt one.

use std::time::Instant;

use super::json::Object;
use super::message::Answer;
use super::parameters::Parameters;
use super::refusal;
use super::route::Endpoint;
use super::scope::Scope;
use super::switches::{ErrorBody, ExpiresIn, Switches, TokenReuse};
use super::token::{Issued, Issuing, Tokens};

/// What the endpoint knows of its clients.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secrets: Vec<String>,
    pub(crate) granted: Vec<Scope>,
}

/// How a token request ended; also the label it is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of DQE's error table")]
pub enum Outcome {
    Issued(Scope),
    Renewed(Scope),
    InvalidRequest,
    InvalidClient,
    UnauthorizedClient,
    UnsupportedGrantType,
    MisspeltParameter,
    RenewalRefused,
}

/// The endpoint's collaborators for one request.
pub(crate) struct Office<'state> {
    pub(crate) tokens: &'state mut Tokens,
    pub(crate) client: &'state Client,
    pub(crate) switches: &'state Switches,
}

/// Answers one token request.
pub(crate) fn answer(
    endpoint: Endpoint,
    parameters: &Parameters,
    mut office: Office<'_>,
    now: Instant,
) -> (Outcome, Answer) {
    let decided = match endpoint {
        Endpoint::MobileToken => mobile(parameters, &mut office, now),
        _ => oauth(parameters, &mut office, now),
    };
    match decided {
        Ok((outcome, issued)) => (outcome, success(&issued, office.switches)),
        Err(outcome) => (outcome, refusal(outcome, office.switches)),
    }
}

/// The scope a token request asks for, in either dialect; for targeting faults.
pub(crate) fn asked_scope(parameters: &Parameters) -> Option<Scope> {
    Scope::from_name(
        parameters
            .filled("scope")
            .or_else(|| parameters.filled("grant_type"))?,
    )
}

fn oauth(
    parameters: &Parameters,
    office: &mut Office<'_>,
    now: Instant,
) -> Result<(Outcome, Issued), Outcome> {
    const KNOWN: [&str; 6] = [
        "client_id",
        "client_secret",
        "scope",
        "grant_type",
        "access_token",
        "refresh_token",
    ];
    refuse_misspelt(parameters, &KNOWN)?;
    let asked = parameters
        .filled("scope")
        .or_else(|| parameters.filled("grant_type"));
    if asked == Some("refresh_token") {
        return renewal(parameters, office, now);
    }
    let id = parameters
        .filled("client_id")
        .ok_or(Outcome::InvalidRequest)?;
    let secret = parameters
        .filled("client_secret")
        .ok_or(Outcome::InvalidRequest)?;
    let asked = asked.ok_or(Outcome::InvalidRequest)?;
    check_client(id, secret, office.client)?;
    let scope = Scope::OAUTH
        .into_iter()
        .find(|scope| scope.name() == asked)
        .ok_or(Outcome::UnsupportedGrantType)?;
    if !office.client.granted.contains(&scope) {
        return Err(Outcome::UnauthorizedClient);
    }
    let issued = office.tokens.issue(scope, issuing(office.switches), now);
    Ok((Outcome::Issued(scope), issued))
}

fn mobile(
    parameters: &Parameters,
    office: &mut Office<'_>,
    now: Instant,
) -> Result<(Outcome, Issued), Outcome> {
    refuse_misspelt(parameters, &["licence", "client_secret", "grant_type"])?;
    let id = parameters
        .filled("licence")
        .ok_or(Outcome::InvalidRequest)?;
    let secret = parameters
        .filled("client_secret")
        .ok_or(Outcome::InvalidRequest)?;
    let grant = parameters
        .filled("grant_type")
        .ok_or(Outcome::InvalidRequest)?;
    // Documented here as an invalid request, unlike an unknown scope of the other endpoint.
    if grant != Scope::IdMobile.name() {
        return Err(Outcome::InvalidRequest);
    }
    check_client(id, secret, office.client)?;
    let issued = office
        .tokens
        .issue(Scope::IdMobile, issuing(office.switches), now);
    Ok((Outcome::Issued(Scope::IdMobile), issued))
}

fn renewal(
    parameters: &Parameters,
    office: &mut Office<'_>,
    now: Instant,
) -> Result<(Outcome, Issued), Outcome> {
    let access = parameters
        .filled("access_token")
        .ok_or(Outcome::InvalidRequest)?;
    let refresh = parameters
        .filled("refresh_token")
        .ok_or(Outcome::InvalidRequest)?;
    let scope = office
        .tokens
        .renewable(access, refresh, now)
        .ok_or(Outcome::RenewalRefused)?;
    // A renewal always gives a new pair, even while the present token lives.
    let issuing = Issuing {
        reuse: TokenReuse::Off,
        ..issuing(office.switches)
    };
    Ok((
        Outcome::Renewed(scope),
        office.tokens.issue(scope, issuing, now),
    ))
}

fn refuse_misspelt(parameters: &Parameters, known: &[&str]) -> Result<(), Outcome> {
    let all_known = parameters
        .iter()
        .all(|parameter| known.contains(&parameter.name.as_str()));
    if all_known {
        Ok(())
    } else {
        Err(Outcome::MisspeltParameter)
    }
}

fn check_client(id: &str, secret: &str, client: &Client) -> Result<(), Outcome> {
    let known = id == client.id && client.secrets.iter().any(|accepted| accepted == secret);
    if known {
        Ok(())
    } else {
        Err(Outcome::InvalidClient)
    }
}

fn issuing(switches: &Switches) -> Issuing {
    Issuing {
        life: switches.token_life,
        reuse: switches.token_reuse,
        reuse_tells_life: switches.token_reuse_tells_life,
        only_one: switches.one_token,
        special_characters: switches.special_tokens,
    }
}

/// Seconds are announced rounded down, so that the announcement is honest; a life below one
/// second is announced as `1`, because `0` is a switch of its own.
fn success(issued: &Issued, switches: &Switches) -> Answer {
    let seconds = issued.life.as_secs().max(1);
    let body = Object::new()
        .with("access_token", issued.access_token.as_str())
        .with("token_type", "Bearer");
    let body = match switches.expires_in {
        ExpiresIn::String => body.with("expires_in", seconds.to_string()),
        ExpiresIn::Number => body.with("expires_in", seconds),
        ExpiresIn::Missing => body,
        ExpiresIn::Zero => body.with("expires_in", "0"),
        ExpiresIn::Negative => body.with("expires_in", "-300"),
        ExpiresIn::Absurd => body.with("expires_in", "99999999999999999999999999"),
        ExpiresIn::Word => body.with("expires_in", "soon"),
    };
    Answer::json(
        200,
        body.with("refresh_token", issued.refresh_token.as_str()),
    )
}

/// A refusal in the documented words, in the format the switch says.
pub(crate) fn refusal(outcome: Outcome, switches: &Switches) -> Answer {
    let (status, sentence, code) = match outcome {
        Outcome::InvalidRequest => (400, "Invalid Request", "invalid_request"),
        Outcome::InvalidClient => (400, "Invalid Client", "invalid_client"),
        Outcome::UnauthorizedClient => (400, "Unauthorized Client", "unauthorized_client"),
        Outcome::UnsupportedGrantType => (400, "Unsupported Grant Type", "unsupported_grant_type"),
        Outcome::RenewalRefused => (
            switches.renewal_refusal,
            "Invalid Request",
            "invalid_request",
        ),
        Outcome::MisspeltParameter | Outcome::Issued(_) | Outcome::Renewed(_) => {
            (500, "Internal Server Error", "server_error")
        }
    };
    match switches.token_errors {
        ErrorBody::Text => Answer::text(status, sentence),
        ErrorBody::Mobile if status == 500 => Answer::text(status, sentence),
        ErrorBody::Mobile => Answer::json(200, mobile_error(outcome)),
        ErrorBody::Json => Answer::json(status, Object::new().with("error", code)),
        ErrorBody::Restful => Answer::json(
            status,
            Object::new()
                .with("status", i64::from(status))
                .with("message", sentence)
                .with("details", "")
                .with("error", code),
        ),
    }
}

/// As older pages on ID Mobile have it, with their numbers; no status is documented.
fn mobile_error(outcome: Outcome) -> Object {
    let (sentence, id) = match outcome {
        Outcome::InvalidClient => ("invalid client secret", "03"),
        Outcome::UnauthorizedClient => ("unauthorized client", "22"),
        Outcome::UnsupportedGrantType => ("unsupported grant type", "31"),
        Outcome::InvalidRequest
        | Outcome::RenewalRefused
        | Outcome::MisspeltParameter
        | Outcome::Issued(_)
        | Outcome::Renewed(_) => ("invalid request", "01"),
    };
    refusal::mobile_error(sentence, id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sandbox::random::Random;

    fn ask(endpoint: Endpoint, query: &str, switches: &Switches) -> (Outcome, Answer) {
        let mut tokens = Tokens::new(Random::seeded(Some(3)));
        let client = Client {
            id: "CODE".to_owned(),
            secrets: vec!["secret".to_owned()],
            granted: vec![Scope::Address, Scope::Phone],
        };
        let office = Office {
            tokens: &mut tokens,
            client: &client,
            switches,
        };
        answer(
            endpoint,
            &Parameters::read(query.as_bytes(), b"", b""),
            office,
            Instant::now(),
        )
    }

    #[test]
    fn each_row_of_the_error_table_is_answered_as_documented() {
        for (query, status, body) in [
            (
                "client_secret=secret&scope=client_address",
                400,
                "Invalid Request",
            ),
            (
                "client_secret=secret&scope=client_address&client_id=",
                400,
                "Invalid Request",
            ),
            (
                "client_secret=secret&scope=client_address&client_id=OTHER",
                400,
                "Invalid Client",
            ),
            (
                "client_secret=wrong&scope=client_address&client_id=CODE",
                400,
                "Invalid Client",
            ),
            (
                "client_secret=secret&scope=client_b2b&client_id=CODE",
                400,
                "Unauthorized Client",
            ),
            (
                "client_secret=secret&scope=client&client_id=CODE",
                400,
                "Unsupported Grant Type",
            ),
            (
                "scope=client_address&client_id=CODE",
                400,
                "Invalid Request",
            ),
            (
                "client_secret=&scope=client_address&client_id=CODE",
                400,
                "Invalid Request",
            ),
            (
                "client_secret=secret&client_id=CODE",
                400,
                "Invalid Request",
            ),
            (
                "client_secret=secret&scope=&client_id=CODE",
                400,
                "Invalid Request",
            ),
            (
                "client_scret=secret&scope=client_address&client_id=CODE",
                500,
                "Internal Server Error",
            ),
        ] {
            let (_, answer) = ask(Endpoint::Token, query, &Switches::default());
            assert_eq!(
                (
                    answer.status,
                    String::from_utf8(answer.body).unwrap().as_str()
                ),
                (status, body),
                "{query}"
            );
        }
    }

    #[test]
    fn a_token_is_answered_in_the_documented_members_and_types() {
        let (outcome, answer) = ask(
            Endpoint::Token,
            "client_secret=secret&scope=client_phone&client_id=CODE",
            &Switches::default(),
        );
        assert_eq!(outcome, Outcome::Issued(Scope::Phone));
        let body = String::from_utf8(answer.body).unwrap();
        assert!(body.starts_with(r#"{"access_token":"TK"#), "{body}");
        assert!(
            body.contains(r#""token_type":"Bearer","expires_in":"300","refresh_token":"*TK"#),
            "{body}"
        );
    }

    #[test]
    fn both_older_dialects_are_spoken() {
        let query = "client_secret=secret&grant_type=client_phone&client_id=CODE";
        assert_eq!(
            ask(Endpoint::Token, query, &Switches::default()).0,
            Outcome::Issued(Scope::Phone)
        );
        let query = "client_secret=secret&grant_type=client_idmobile&licence=CODE";
        assert_eq!(
            ask(Endpoint::MobileToken, query, &Switches::default()).0,
            Outcome::Issued(Scope::IdMobile)
        );
        let query = "client_secret=secret&grant_type=test&licence=CODE";
        assert_eq!(
            ask(Endpoint::MobileToken, query, &Switches::default()).0,
            Outcome::InvalidRequest
        );
        let query = "client_secret=secret&scope=client_idmobile&client_id=CODE";
        assert_eq!(
            ask(Endpoint::Token, query, &Switches::default()).0,
            Outcome::UnsupportedGrantType
        );
    }

    #[test]
    fn expires_in_takes_every_shape() {
        for (switch, expected) in [
            ("expires-in=number", r#""expires_in":2,"#),
            ("expires-in=zero", r#""expires_in":"0","#),
            (
                "expires-in=missing",
                r#""token_type":"Bearer","refresh_token""#,
            ),
            ("expires-in=word", r#""expires_in":"soon","#),
        ] {
            let mut switches = Switches {
                token_life: Duration::from_millis(2900),
                ..Switches::default()
            };
            switches.set_from(switch).unwrap();
            let query = "client_secret=secret&scope=client_phone&client_id=CODE";
            let body = String::from_utf8(ask(Endpoint::Token, query, &switches).1.body).unwrap();
            assert!(body.contains(expected), "{switch}: {body}");
        }
    }
}
