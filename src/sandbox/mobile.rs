//! `/IDMOBILE/`: what an operator says about a number. Errors are told in the body.

use super::answer::Answered;
use super::json::Object;
use super::parameters::Parameters;
use super::refusal::mobile_error;

const SCOPES: [&str; 7] = [
    "matching",
    "matching_notp",
    "formfilling",
    "billing",
    "simswap",
    "numVerify",
    "multiscope",
];

/// Answers one or several scopes, separated by a space or a comma.
pub(crate) fn answer(parameters: &Parameters) -> Answered {
    let is_complete = ["number", "name", "scope"]
        .iter()
        .all(|name| parameters.filled(name).is_some());
    if !is_complete {
        return Ok(mobile_error("invalid request", "01"));
    }
    // The meaning of the other codes is not public: the two known ones are enough here.
    let scopes: Vec<&str> = parameters
        .text("scope")
        .split([' ', ',', ';'])
        .filter(|scope| !scope.is_empty())
        .collect();
    if scopes.is_empty() || scopes.iter().any(|scope| !SCOPES.contains(scope)) {
        return Ok(mobile_error("invalid scope", "04"));
    }
    // Consent is given by the user on another device: the first answer is `pending`.
    if scopes
        .iter()
        .any(|scope| matches!(*scope, "formfilling" | "billing"))
    {
        return Ok(Object::new()
            .with("status", "pending")
            .with("operator", "Orange"));
    }
    let mut answer = Object::new()
        .with("status", "success")
        .with("operator", "Orange");
    for scope in scopes {
        answer = match scope {
            "simswap" => answer.with("swapped", "false"),
            "numVerify" => answer.with("verified", "true"),
            _ => answer.with("match", "true"),
        };
    }
    Ok(answer)
}
