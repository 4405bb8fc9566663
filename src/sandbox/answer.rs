//! Request → answer: the token endpoint, the door, the families, and the faults that only change
//! what is said.

use std::time::Instant;

use super::credential::Verdict;
use super::fault::{Kind, Loss};
use super::message::{Answer, Head, JSON, TEXT};
use super::parameters::Parameters;
use super::route::{Endpoint, Route, Style};
use super::scope::Scope;
use super::state::State;
use super::switches::{ContentType, Switches};
use super::token_endpoint::{self, Client, Office};
use super::{
    address, address_check, address_rest, company, confirmation, email, gzip, household, json,
    mobile, name, phone, refusal,
};

/// A request, read and judged.
pub(crate) struct Received<'request> {
    pub(crate) head: &'request Head,
    pub(crate) parameters: &'request Parameters,
    pub(crate) route: Option<Route>,
    pub(crate) verdict: &'request Verdict,
    /// As this request sees them.
    pub(crate) switches: &'request Switches,
    /// Host and port of this server, for absolute locations.
    pub(crate) authority: &'request str,
}

/// Computes the answer of a server in good health.
pub(crate) fn compute(
    state: &State,
    received: &Received<'_>,
    refused: &[Scope],
    now: Instant,
) -> Answer {
    let Some(route) = received.route else {
        return Answer::text(404, "Not Found");
    };
    if !matches!(received.head.method.as_ref(), b"GET" | b"POST" | b"HEAD") {
        return Answer::text(405, "Method Not Allowed").with_header("allow", "GET, POST");
    }
    let switches = received.switches;
    if route.is_token_endpoint() {
        return token(state, received, route.endpoint, refused, now);
    }
    if switches.slash_redirect
        && route.style == Style::Classic
        && !received.head.path().ends_with(b"/")
    {
        return redirect(received);
    }
    let client = state.client();
    let refusal = match route.endpoint {
        Endpoint::IdMobile => refusal::mobile(received, &client.id),
        _ => refusal::credential(route, received.verdict, switches),
    };
    let answer = refusal.unwrap_or_else(|| family(route, received.parameters));
    if route.style == Style::Classic {
        classic_dress(answer, received.parameters, switches)
    } else {
        answer
    }
}

/// Packs a business answer when the switch says so and the caller accepts it.
pub(crate) fn packed(mut answer: Answer, received: &Received<'_>) -> Answer {
    let accepts = received.head.values("accept-encoding").any(|value| {
        value
            .split(|byte| *byte == b',')
            .filter_map(|coding| coding.split(|byte| *byte == b';').next())
            .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"gzip"))
    });
    let is_business = received
        .route
        .is_some_and(|route| !route.is_token_endpoint());
    if !received.switches.gzip || !is_business {
        return answer;
    }
    answer = answer.with_header("vary", "accept-encoding");
    if accepts && !answer.body.is_empty() {
        answer.body = gzip::pack(&answer.body);
        answer = answer.with_header("content-encoding", "gzip");
    }
    answer
}

/// The answer a fault puts in place of the computed one.
pub(crate) fn replaced(decisive: Option<&Kind>, received: &Received<'_>) -> Option<Answer> {
    let is_business = received
        .route
        .is_some_and(|route| !route.is_token_endpoint());
    match decisive? {
        Kind::Status { code, retry_after } => {
            let answer = Answer::text(
                *code,
                if *code == 204 {
                    ""
                } else {
                    "the sandbox was told to fail"
                },
            );
            Some(match retry_after {
                Some(seconds) => answer.with_header("retry-after", seconds.to_string()),
                None => answer,
            })
        }
        Kind::Redirect(place) => {
            Some(Answer::text(302, "").with_header("location", place.as_str()))
        }
        Kind::Html200 => Some(maintenance_page()),
        Kind::Empty200 => Some(Answer::new(200, JSON, "")),
        Kind::Refuse(outcome) if !is_business => {
            Some(token_endpoint::refusal(*outcome, received.switches))
        }
        // A business path refuses in its own words, see `altered`.
        Kind::Unauthorized if !is_business => {
            Some(Answer::text(401, "Unauthorized").with_header("www-authenticate", "Bearer"))
        }
        _ => None,
    }
}

fn maintenance_page() -> Answer {
    Answer::new(
        200,
        "text/html; charset=utf-8",
        "<!DOCTYPE html><html><body><h1>Maintenance</h1></body></html>",
    )
}

/// The computed answer with what a fault changes in its body.
pub(crate) fn altered(mut answer: Answer, decisive: Option<&Kind>) -> Answer {
    match decisive {
        Some(Kind::Unauthorized) if answer.status != 401 => {
            answer.status = 401;
            answer
                .headers
                .push(("www-authenticate", "Bearer".to_owned()));
        }
        Some(Kind::LoseReply(Loss::Empty)) => return Answer::new(200, JSON, ""),
        Some(Kind::LoseReply(Loss::Html)) => return maintenance_page(),
        Some(Kind::LoseReply(Loss::Status500)) => {
            return Answer::text(500, "Internal Server Error");
        }
        Some(Kind::TruncatedJson) => answer.body.truncate(answer.body.len() / 2),
        Some(Kind::WrongAnswer) if answer.content_type == JSON => {
            answer.body = br#"{"1":{"wrong":"this is not what was asked"}}"#.to_vec();
        }
        _ => {}
    }
    answer
}

fn token(
    state: &State,
    received: &Received<'_>,
    endpoint: Endpoint,
    refused: &[Scope],
    now: Instant,
) -> Answer {
    let client = state.client();
    let granted = client
        .granted
        .iter()
        .copied()
        .filter(|scope| !refused.contains(scope))
        .collect();
    let client = Client {
        granted,
        ..Client::clone(&client)
    };
    let office = Office {
        tokens: &mut state.tokens(),
        client: &client,
        switches: received.switches,
    };
    let (outcome, answer) = token_endpoint::answer(endpoint, received.parameters, office, now);
    state.tally.outcome(outcome);
    answer
}

fn redirect(received: &Received<'_>) -> Answer {
    let path = String::from_utf8_lossy(received.head.path());
    let query = String::from_utf8_lossy(received.head.query());
    let mark = if query.is_empty() { "" } else { "?" };
    Answer::text(301, "").with_header(
        "location",
        format!("{}{path}/{mark}{query}", received.authority),
    )
}

fn family(route: Route, parameters: &Parameters) -> Answer {
    let answered = match route.endpoint {
        Endpoint::SingleV2 | Endpoint::Single => address::suggest(parameters),
        Endpoint::SingleAround => address::around(parameters),
        Endpoint::ComplV2 => address::complements(parameters, true),
        Endpoint::Compl => address::complements(parameters, false),
        Endpoint::Cp => address::cities(parameters),
        Endpoint::Adr => address::streets(parameters),
        Endpoint::Num => address::numbers(parameters),
        Endpoint::LatLg => address::position(parameters),
        Endpoint::RestSingle => address_rest::suggest(parameters),
        Endpoint::RestCompl => address_rest::complements(parameters),
        Endpoint::RestFunnelPostcode => address_rest::cities(parameters),
        Endpoint::RestFunnelAddress => address_rest::streets(parameters),
        Endpoint::Rnvp => address_check::check(parameters),
        Endpoint::RestCheckAddress => address_check::rest_check(parameters),
        Endpoint::Tel => phone::classic(parameters),
        Endpoint::RestPhoneLookup => phone::rest_older(parameters),
        Endpoint::RestPhone => phone::rest(parameters),
        Endpoint::EmailLookup => email::classic(parameters),
        Endpoint::MailSuggest => email::suggest(parameters),
        Endpoint::RestLookupEmail => email::rest_older(parameters),
        Endpoint::RestEmailSuggest => email::rest_suggest(parameters),
        Endpoint::RestEmail => email::rest(parameters),
        Endpoint::FirstNameSuggest => name::first_names(parameters),
        Endpoint::LastNameSuggest => name::last_names(parameters),
        Endpoint::RecSiret => company::search(parameters),
        Endpoint::SiretInfo => company::information(parameters),
        Endpoint::RestCompanies => company::rest_search(parameters),
        Endpoint::RestCompanyList => {
            return match company::rest_list(parameters) {
                Ok(list) => Answer::json(200, list),
                Err(missing) => refusal::missing_parameter(route, missing.0),
            };
        }
        Endpoint::RestCompanyInfo => company::rest_information(parameters),
        Endpoint::Search => household::identity(parameters),
        Endpoint::Estocade => household::relocation(parameters),
        Endpoint::LifeStyle => household::life_style(parameters),
        Endpoint::IdMobile => mobile::answer(parameters),
        Endpoint::GdprMsg => confirmation::send(parameters),
        Endpoint::GdprVerif => confirmation::verify(parameters),
        // Answered before the families are asked.
        Endpoint::Token | Endpoint::MobileToken => Ok(json::Object::new()),
    };
    match answered {
        Ok(body) => Answer::json(200, body),
        Err(missing) => refusal::missing_parameter(route, missing.0),
    }
}

/// A mandatory parameter that did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing(pub(crate) &'static str);

/// What every family answers: a JSON object, or the parameter it lacks.
pub(crate) type Answered = Result<json::Object, Missing>;

/// Fails on the first of `names` that did not come at all; empty values are the family's affair.
pub(crate) fn require(parameters: &Parameters, names: &[&'static str]) -> Result<(), Missing> {
    parameters
        .first_absent(names)
        .map_or(Ok(()), |name| Err(Missing(name)))
}

/// Content type by switch, JSONP when asked for, readable from any origin.
fn classic_dress(mut answer: Answer, parameters: &Parameters, switches: &Switches) -> Answer {
    answer
        .headers
        .push(("access-control-allow-origin", "*".to_owned()));
    if answer.content_type != JSON {
        return answer;
    }
    if let Some(callback) = parameters
        .filled("callback")
        .filter(|name| is_callback(name))
    {
        let document = json::quoted(&String::from_utf8_lossy(&answer.body));
        answer.body = format!("{callback}({document})").into_bytes();
        answer.content_type = "application/javascript";
        return answer;
    }
    answer.content_type = match switches.classic_content_type {
        ContentType::Json => JSON,
        ContentType::Html => "text/html; charset=utf-8",
        ContentType::Text => TEXT,
    };
    answer
}

fn is_callback(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.'))
}
