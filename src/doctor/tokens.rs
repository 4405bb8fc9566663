//! What the token endpoint's answers point to. Pure.

use std::time::Duration;

use super::observation::{Asked, LicenceAlone, Observations, TokenAnswer};
use super::report::{Finding, Side};
use super::steps::shown;
use crate::dqe::Scope;
use crate::token::Reason;

/// Causes by token answers: one finding for each reason, whatever the number of scopes.
pub(super) fn of_tokens(seen: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut reasons: Vec<Reason> = Vec::new();
    for asked in &seen.tokens {
        match &asked.answer {
            TokenAnswer::Refused { reason, .. } if !reasons.contains(reason) => {
                reasons.push(*reason);
            }
            TokenAnswer::Impossible(why) if findings.is_empty() => findings.push(Finding::problem(
                "token_settings",
                Side::Settings,
                format!("no token can be asked for: {why}"),
                "check [dqe]",
            )),
            TokenAnswer::Refused { .. }
            | TokenAnswer::Impossible(_)
            | TokenAnswer::Granted { .. }
            | TokenAnswer::NotAsked => {}
        }
    }
    findings.extend(reasons.into_iter().map(|reason| of_reason(reason, seen)));
    findings.extend(of_pace(&seen.tokens));
    findings
}

fn of_reason(reason: Reason, seen: &Observations) -> Finding {
    let scopes = scopes_refused_for(reason, &seen.tokens);
    let some_granted = seen
        .tokens
        .iter()
        .any(|asked| matches!(asked.answer, TokenAnswer::Granted { .. }));
    match reason {
        Reason::InvalidClient
        | Reason::UnauthorizedScope
        | Reason::UnsupportedScope
        | Reason::InvalidRequest
            if is_of_id_mobile(reason, &seen.tokens) =>
        {
            Finding::problem(
                "id_mobile_refused",
                Side::Contract,
                format!("DQE gives no token for ID Mobile: {}", reason.sentence()),
                "ask DQE whether your contract has ID Mobile, and whether it has a secret of its own, which [id_mobile] client_secret_file names; or take IDMOBILE out of dqe.enable",
            )
        }
        Reason::InvalidClient => of_credential(seen.licence_alone),
        Reason::UnauthorizedScope => Finding::problem(
            "scope_not_granted",
            Side::Contract,
            format!("the licence is not entitled to {scopes}"),
            "ask DQE to add it to the contract, or name only the scopes you have in dqe.scopes",
        ),
        Reason::UnsupportedScope => Finding::problem(
            "scope_unknown",
            Side::Settings,
            format!("the token endpoint does not know {scopes}"),
            "check dqe.scopes and that dqe.servers names a DQE server of today",
        ),
        Reason::InvalidRequest => Finding::problem(
            "token_request_incomplete",
            Side::Settings,
            "the token endpoint misses a parameter, or finds one empty",
            "check dqe.licence, the client secret and the settings of the token request",
        ),
        Reason::InternalError | Reason::NeverWorked if some_granted => Finding::problem(
            "token_endpoint_failing",
            Side::Dqe,
            format!("the token endpoint answers 500 for {scopes} while it grants others"),
            "try again later; when it stays so, tell DQE, with the time",
        ),
        Reason::InternalError | Reason::NeverWorked => Finding::problem(
            "token_parameter_name",
            Side::Settings,
            "the token endpoint answers 500 and has granted nothing: DQE answers so to a misspelt parameter name, so it is probably that and no outage",
            "check the settings of the token request and its path; when there are none, DQE has changed its parameters or is down: ask DQE",
        ),
        Reason::Redirect => Finding::problem(
            "token_endpoint_redirect",
            Side::Settings,
            match &seen.redirect {
                Some(place) => format!("the token endpoint redirects to {place}, which is never followed with a secret"),
                None => "the token endpoint answers with a redirect, which is never followed with a secret".to_owned(),
            },
            "when the new place is DQE's, write it in the settings; otherwise something on the way answers in DQE's place, such as a login page",
        ),
        Reason::HtmlReply => Finding::problem(
            "token_endpoint_page",
            Side::Network,
            "a web page comes where a token should be",
            "check that dqe.servers names the API server; a captive portal, an inspecting proxy or a maintenance page of DQE look like this",
        ),
        Reason::ClientError => Finding::problem(
            "token_endpoint_refuses",
            Side::Settings,
            format!(
                "the token endpoint refuses the request in no documented words{}",
                detail_of(reason, &seen.tokens)
            ),
            "404 means another path or server; 403 that DQE does not let this machine's address in",
        ),
        Reason::TimedOut => Finding::problem(
            "token_endpoint_silent",
            Side::Dqe,
            "the token endpoint takes connections and gives no reply in 3 s, which is all the proxy waits",
            "try again; when it stays so, tell DQE, with the time",
        ),
        Reason::Unreachable | Reason::Broken => Finding::problem(
            "token_endpoint_breaks",
            Side::Dqe,
            format!(
                "the connection to the token endpoint breaks off{}",
                detail_of(reason, &seen.tokens)
            ),
            "try again; when it stays so, look at firewalls on the way, then tell DQE",
        ),
        Reason::Throttled => Finding::problem(
            "token_endpoint_throttles",
            Side::Dqe,
            "the token endpoint answers 429: too many token calls",
            "see whether another program asks for tokens with the same licence; ask DQE for its limit",
        ),
        Reason::EndpointUnavailable => Finding::problem(
            "token_endpoint_failing",
            Side::Dqe,
            format!(
                "the token endpoint is not in service{}",
                detail_of(reason, &seen.tokens)
            ),
            "try again later; when it stays so, tell DQE, with the time",
        ),
        Reason::TooLarge
        | Reason::EmptyReply
        | Reason::UnparsableReply
        | Reason::NoAccessToken
        | Reason::IllegalAccessToken
        | Reason::NotBearer
        | Reason::UnreadableLife
        | Reason::NoLife
        | Reason::ErrorMember
        | Reason::SecretUnreadable
        | Reason::Starting
        | Reason::Renewing => Finding::problem(
            "token_reply_unusable",
            Side::Dqe,
            reason.sentence(),
            "when it stays so, ask DQE: its reply is not as documented",
        ),
    }
}

/// Whether ID Mobile, which has an endpoint of its own, is alone with this
/// reason, so that it says nothing about the rest.
fn is_of_id_mobile(reason: Reason, tokens: &[Asked]) -> bool {
    let was_refused = |asked: &&Asked| matches!(asked.answer, TokenAnswer::Refused { reason: why, .. } if why == reason);
    let mut refused = tokens.iter().filter(was_refused);
    refused.all(|asked| asked.scope == Scope::IdMobile)
}

/// DQE has one answer for a wrong licence code and for a wrong secret. The licence code alone,
/// used as callers without OAuth2 use it, tells the two apart where DQE takes it.
fn of_credential(licence_alone: Option<LicenceAlone>) -> Finding {
    match licence_alone {
        Some(LicenceAlone::Taken) => Finding::problem(
            "client_secret_refused",
            Side::Settings,
            "DQE refuses the licence code and the client secret together, and takes the licence code alone: the secret is wrong",
            "check the client secret with DQE; was it renewed?",
        ),
        Some(LicenceAlone::Refused) => Finding::problem(
            "licence_refused",
            Side::Settings,
            "DQE refuses the licence code and the client secret together, and the licence code alone as well: the licence code is wrong, or the licence has ended",
            "check dqe.licence with DQE; a contract for OAuth2 alone looks the same with a wrong secret, so check that too",
        ),
        Some(LicenceAlone::Unclear) | None => Finding::problem(
            "credential_refused",
            Side::Settings,
            "DQE refuses the licence code or the client secret; it does not say which",
            "check dqe.licence and the client secret with DQE, and that the licence has not ended",
        ),
    }
}

fn of_pace(tokens: &[Asked]) -> Option<Finding> {
    let slowest = tokens.iter().filter_map(pace).max_by_key(|(took, _)| *took);
    let (took, patience) = slowest.filter(|(took, patience)| *took * 2 > *patience)?;
    Some(Finding::problem(
        "token_endpoint_slow",
        Side::Dqe,
        format!(
            "the token endpoint took {} for a token; the proxy waits {} for one",
            shown(took),
            shown(patience)
        ),
        "look at the network on the way; when it stays so, tell DQE",
    ))
}

fn pace(asked: &Asked) -> Option<(Duration, Duration)> {
    match asked.answer {
        TokenAnswer::Granted { took, patience, .. } => Some((took, patience)),
        TokenAnswer::Refused { .. } | TokenAnswer::Impossible(_) | TokenAnswer::NotAsked => None,
    }
}

fn scopes_refused_for(wanted: Reason, tokens: &[Asked]) -> String {
    let scopes: Vec<&str> = tokens
        .iter()
        .filter(
            |asked| matches!(asked.answer, TokenAnswer::Refused { reason, .. } if reason == wanted),
        )
        .map(|asked| asked.scope.as_str())
        .collect();
    scopes.join(", ")
}

/// What the layers below say to the first scope refused for this reason.
fn detail_of(wanted: Reason, tokens: &[Asked]) -> String {
    let detail = tokens.iter().find_map(|asked| match &asked.answer {
        TokenAnswer::Refused { reason, detail } if *reason == wanted => detail.as_deref(),
        TokenAnswer::Refused { .. }
        | TokenAnswer::Granted { .. }
        | TokenAnswer::Impossible(_)
        | TokenAnswer::NotAsked => None,
    });
    detail.map_or_else(String::new, |detail| format!(" ({detail})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqe::Scope;

    fn asked(scope: Scope, reason: Option<Reason>) -> Asked {
        let answer = match reason {
            Some(reason) => TokenAnswer::Refused {
                reason,
                detail: Some("status 400".to_owned()),
            },
            None => TokenAnswer::Granted {
                life: Duration::from_secs(300),
                life_was_assumed: false,
                took: Duration::from_millis(20),
                patience: Duration::from_secs(3),
            },
        };
        Asked { scope, answer }
    }

    fn found(tokens: Vec<Asked>, licence_alone: Option<LicenceAlone>) -> Vec<Finding> {
        of_tokens(&Observations {
            tokens,
            licence_alone,
            ..Observations::default()
        })
    }

    #[test]
    fn every_reason_is_found_once_whatever_the_number_of_scopes() {
        for reason in Reason::FAILURES {
            let scopes = [Scope::Phone, Scope::Email];
            let tokens = scopes.map(|scope| asked(scope, Some(reason)));
            let found = found(tokens.into(), None);
            assert_eq!(found.len(), 1, "{reason:?}");
            assert!(found[0].is_problem, "{reason:?}");
            assert!(
                !found[0].says.is_empty() && !found[0].remedy.is_empty(),
                "{reason:?}"
            );
        }
        assert!(found(vec![asked(Scope::Phone, None)], None).is_empty());
    }

    #[test]
    fn a_500_means_another_thing_once_something_was_granted() {
        let fails = || asked(Scope::Phone, Some(Reason::InternalError));
        let [never] = found(vec![fails()], None).try_into().unwrap();
        assert_eq!(
            (never.cause, never.side),
            ("token_parameter_name", Side::Settings)
        );
        let mixed = vec![asked(Scope::Email, None), fails()];
        let [sometimes] = found(mixed, None).try_into().unwrap();
        assert_eq!(
            (sometimes.cause, sometimes.side),
            ("token_endpoint_failing", Side::Dqe)
        );
        assert!(
            sometimes.says.contains("client_phone"),
            "{}",
            sometimes.says
        );
    }

    #[test]
    fn a_refused_credential_is_as_exact_as_what_is_known() {
        for (licence_alone, cause) in [
            (None, "credential_refused"),
            (Some(LicenceAlone::Unclear), "credential_refused"),
            (Some(LicenceAlone::Taken), "client_secret_refused"),
            (Some(LicenceAlone::Refused), "licence_refused"),
        ] {
            let tokens = vec![asked(Scope::Phone, Some(Reason::InvalidClient))];
            assert_eq!(found(tokens, licence_alone)[0].cause, cause);
        }
    }

    #[test]
    fn a_reply_that_takes_half_of_the_patience_is_slow() {
        let mut tokens = vec![asked(Scope::Phone, None)];
        for (took, is_slow) in [(1500, false), (1501, true)] {
            if let TokenAnswer::Granted { took: of_token, .. } = &mut tokens[0].answer {
                *of_token = Duration::from_millis(took);
            }
            assert_eq!(of_pace(&tokens).is_some(), is_slow, "{took}");
        }
    }
}
