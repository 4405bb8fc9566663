//! People at an address: identity check, relocation, life style. Requests and answers are known
//! from client code only. Everybody whose last name the sandbox knows lives in every
//! street it knows.

use super::answer::Answered;
use super::data::{FIRST_NAMES, LAST_NAMES};
use super::json::Object;
use super::parameters::Parameters;
use super::place::search;
use super::spelling::fold;

/// `/SEARCH/`: in `Check_…`, `E` is equal, `S` similar, `N` not found.
pub(crate) fn identity(parameters: &Parameters) -> Answered {
    let (last_name, last_distance) =
        nearest(parameters.text("LastName"), LAST_NAMES.iter().copied());
    let (first_name, first_distance) = nearest(
        parameters.text("FirstName"),
        FIRST_NAMES.iter().map(|(_, name)| *name),
    );
    let place = format!(
        "{} {} {}",
        parameters.text("Address"),
        parameters.text("PostalCode"),
        parameters.text("City")
    );
    let house = search(&place, "FRA", 1).into_iter().next();
    let address = if house.is_some() { "E" } else { "N" };
    let found = house.is_some() && last_name != "N";
    let household = house
        .map(|house| format!("{}{}", house.street.id, house.number_text()))
        .unwrap_or_default();
    let record = Object::new()
        .with("Result", if found { "FOUND" } else { "NOT FOUND" })
        .with("Check_LastName", last_name)
        .with("Check_FirstName", first_name)
        .with("Check_Address", address)
        .with("Check_City", address)
        .with("Check_PostalCode", address)
        .with(
            "Check_Number",
            if house.is_some_and(|house| house.number.is_some()) {
                "True"
            } else {
                "False"
            },
        )
        .with("HOUSEHOLDID", if found { household } else { String::new() })
        .with("FirstName_Dist", first_distance.to_string())
        .with("LastName_Dist", last_distance.to_string());
    Ok(Object::numbered("DATA", [record]))
}

/// `/ESTOCADE/`: who has moved away; here everybody called Moreau.
pub(crate) fn relocation(parameters: &Parameters) -> Answered {
    let moved = fold(parameters.text("Nom")) == "MOREAU";
    Ok(Object::new().with("RESULT", if moved { "TRUE" } else { "FALSE" }))
}

/// `/GETINFOLIFESTYLE/`: a type per postcode.
pub(crate) fn life_style(parameters: &Parameters) -> Answered {
    let sum: u32 = parameters.text("PostalCode").bytes().map(u32::from).sum();
    Ok(Object::numbered(
        "DATA",
        [Object::new().with("TYPO_1", format!("TYPE {}", sum % 9 + 1))],
    ))
}

/// How the nearest known name compares, and how many letters differ.
fn nearest<'data>(typed: &str, known: impl Iterator<Item = &'data str>) -> (&'static str, usize) {
    let typed = fold(typed);
    // Longer than any name: comparing it would only cost time.
    if typed.is_empty() || typed.len() > 60 {
        return ("N", typed.len());
    }
    match known
        .map(|known| strsim::levenshtein(&fold(known), &typed))
        .min()
    {
        Some(0) => ("E", 0),
        Some(distance @ 1..=2) => ("S", distance),
        Some(distance) => ("N", distance),
        None => ("N", 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_checked_member_by_member() {
        let query = "LastName=Dupont&FirstName=Alicee&Address=5 rue des pyrenees&PostalCode=75020&City=Paris";
        let answer = identity(&Parameters::read(query.as_bytes(), b"", b""))
            .unwrap()
            .to_string();
        for part in [
            r#""Result":"FOUND""#,
            r#""Check_LastName":"E""#,
            r#""Check_FirstName":"S""#,
            r#""FirstName_Dist":"1""#,
            r#""Check_Number":"True""#,
            r#""HOUSEHOLDID":"7512078375""#,
        ] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
    }
}
