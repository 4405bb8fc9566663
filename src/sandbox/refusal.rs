//! How each family says no: to a credential, and to a missing parameter.

use super::answer::Received;
use super::credential::Verdict;
use super::json::Object;
use super::message::{Answer, JSON};
use super::route::{Endpoint, Family, Route, Style};
use super::switches::{Nothing, Switches};

/// The answer to a request whose credential is not good enough; none when it was admitted.
pub(crate) fn credential(route: Route, verdict: &Verdict, switches: &Switches) -> Option<Answer> {
    let refused = match verdict {
        Verdict::Admitted => return None,
        Verdict::Missing | Verdict::Empty => None,
        Verdict::Refused(value) => Some(value.as_str()),
    };
    let answer = match (route.style, route.family) {
        (Style::Lookup, _) => unauthorized(refused, switches),
        (Style::Restful, Family::B2b) => unauthorized(refused, switches),
        (Style::Restful, _) => match verdict {
            Verdict::Missing => missing_parameter_restful("Licence"),
            Verdict::Empty => bad_request("Licence must be filled", ""),
            Verdict::Refused(_) | Verdict::Admitted => unauthorized(refused, switches),
        },
        (Style::Classic, _) => classic(route.endpoint, refused.is_some(), switches),
    };
    Some(challenged(answer))
}

/// A 401 says how to authenticate (RFC 9110 §15.5.2).
fn challenged(answer: Answer) -> Answer {
    if answer.status == 401 {
        answer.with_header("www-authenticate", "Bearer")
    } else {
        answer
    }
}

/// ID Mobile's refusal: the licence is looked at first, then the token. Told in the body; no
/// status is documented.
pub(crate) fn mobile(received: &Received<'_>, client_id: &str) -> Option<Answer> {
    let (sentence, id) = match received.verdict {
        _ if received.parameters.filled("licence") != Some(client_id) => {
            ("invalid licence key", "02")
        }
        Verdict::Missing | Verdict::Empty | Verdict::Refused(_) => {
            ("invalid or expired token", "30")
        }
        Verdict::Admitted => return None,
    };
    let status = received.switches.classic_refusal;
    Some(challenged(Answer::json(status, mobile_error(sentence, id))))
}

/// The answer to a request that lacks a mandatory parameter.
pub(crate) fn missing_parameter(route: Route, name: &str) -> Answer {
    match (route.style, route.family) {
        (Style::Restful | Style::Lookup, _) => missing_parameter_restful(name),
        (Style::Classic, Family::Geocoding) => Answer::text(500, "Internal Server Error"),
        (Style::Classic, _) => Answer::text(400, "Bad Request"),
    }
}

fn classic(endpoint: Endpoint, was_filled: bool, switches: &Switches) -> Answer {
    let status = switches.classic_refusal;
    match endpoint {
        Endpoint::MailSuggest if was_filled => Answer::text(status, ""),
        // The one classic refusal whose status is documented.
        Endpoint::MailSuggest => Answer::text(400, "Bad Request"),
        Endpoint::EmailLookup if was_filled => Answer::text(status, "unauthorized_client"),
        Endpoint::EmailLookup => {
            let record = Object::new()
                .with("IdError", "** LICENCE KO **")
                .with("eMail", "");
            Answer::json(status, Object::numbered("", [record]))
        }
        Endpoint::Tel => {
            let record = [
                "TelOrigine",
                "Tel",
                "Geolocation",
                "Ported",
                "Operator",
                "OldOperator",
            ]
            .into_iter()
            .fold(Object::new(), |record, name| record.with(name, ""))
            .with("IdError", "Licence Down")
            .with("Type", "");
            Answer::json(status, Object::numbered("", [record]))
        }
        Endpoint::LatLg | Endpoint::SingleAround => {
            let record = Object::new()
                .with("Latitude", "0.00")
                .with("Longitude", "0.00");
            Answer::json(status, Object::numbered("", [record]))
        }
        endpoint => {
            let is_empty = match switches.classic_nothing {
                Nothing::Documented => endpoint == Endpoint::Adr,
                Nothing::Object => false,
                Nothing::Empty => true,
            };
            if is_empty {
                Answer::new(status, JSON, "")
            } else {
                Answer::json(status, Object::new())
            }
        }
    }
}

/// ID Mobile's error object.
pub(crate) fn mobile_error(sentence: &str, id: &str) -> Object {
    Object::new()
        .with("status", "error")
        .with("error_type", sentence)
        .with("error_id", id)
}

fn unauthorized(refused: Option<&str>, switches: &Switches) -> Answer {
    let details = refused
        .filter(|_| switches.echo_credential)
        .unwrap_or_default();
    let body = Object::new()
        .with("status", 401_i64)
        .with("message", "licence not allowed for this function")
        .with("details", details)
        .with("error", "unauthorized_client");
    Answer::json(401, body)
}

fn missing_parameter_restful(name: &str) -> Answer {
    bad_request("Missing parameters", name)
}

fn bad_request(message: &str, details: &str) -> Answer {
    let body = Object::new()
        .with("status", 400_i64)
        .with("message", message)
        .with("details", details)
        .with("error", "bad request");
    Answer::json(400, body)
}
