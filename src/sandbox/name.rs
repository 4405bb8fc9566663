//! First and last names that begin as typed.

use super::answer::Answered;
use super::data::{FIRST_NAMES, LAST_NAMES};
use super::json::{Json, Object};
use super::parameters::Parameters;
use super::spelling::fold;

/// `/FIRSTNAMESUGGEST/`; a missing name suggests nothing, as documented.
pub(crate) fn first_names(parameters: &Parameters) -> Answered {
    let gender = parameters
        .filled("Gender")
        .unwrap_or_default()
        .to_ascii_uppercase();
    let fits = |kind: &str| gender.is_empty() || gender == "I" || kind == gender || kind == "I";
    let known = FIRST_NAMES.iter().copied().filter(|(kind, _)| fits(kind));
    Ok(suggested(known, "Firstname", parameters))
}

/// `/LASTNAMESUGGEST/`.
pub(crate) fn last_names(parameters: &Parameters) -> Answered {
    Ok(suggested(
        LAST_NAMES.iter().map(|name| ("I", *name)),
        "Lastname",
        parameters,
    ))
}

fn suggested<'data>(
    known: impl Iterator<Item = (&'data str, &'data str)>,
    parameter: &str,
    parameters: &Parameters,
) -> Object {
    let typed = fold(parameters.text(parameter));
    let fits = |name: &str| !typed.is_empty() && fold(name).starts_with(&typed);
    let list: Vec<Json> = known
        .filter(|(_, name)| fits(name))
        .take(parameters.count("NBResponse", 10, 100))
        .map(|(kind, name)| {
            Json::from(vec![
                kind.to_owned(),
                written(name, parameters.text("Format")),
            ])
        })
        .collect();
    Object::new().with("suggest", Json::List(list))
}

/// Inferred. Format 0: upper case · 1: capitals at the beginning of words · 2: lower case.
fn written(name: &str, format: &str) -> String {
    match format.trim() {
        "1" => {
            let word = |word: &str| {
                let (first, rest) = word.split_at(word.len().min(1));
                format!("{first}{}", rest.to_lowercase())
            };
            name.split('-').map(word).collect::<Vec<_>>().join("-")
        }
        "2" => name.to_lowercase(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_suggested_by_their_beginning() {
        let ask = |answer: fn(&Parameters) -> Answered, query: &str| {
            answer(&Parameters::read(query.as_bytes(), b"", b""))
                .unwrap()
                .to_string()
        };
        let both = r#"{"suggest":[["F","ALICE"],["F","ALICE-ANNE"]]}"#;
        assert_eq!(ask(first_names, "Firstname=alice"), both);
        assert_eq!(
            ask(first_names, "Firstname=Alice-a&Format=1"),
            r#"{"suggest":[["F","Alice-Anne"]]}"#
        );
        assert_eq!(
            ask(first_names, "Firstname=ale&Gender=M&NBResponse=1"),
            r#"{"suggest":[["M","ALEXANDRE"]]}"#
        );
        assert_eq!(ask(first_names, "Gender=F"), r#"{"suggest":[]}"#);
        assert_eq!(
            ask(last_names, "Lastname=dupont"),
            r#"{"suggest":[["I","DUPONT"]]}"#
        );
    }
}
