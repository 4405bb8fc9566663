//! Companies by name, by place, by number. How `/SIRETINFO/` names most of its members is inferred.

use super::answer::{Answered, Missing, require};
use super::data::{COMPANIES, Company};
use super::json::{Json, Object};
use super::parameters::Parameters;
use super::spelling::fold;

/// What a search goes by; an empty text does not narrow it.
struct Wanted<'request> {
    name: &'request str,
    number: &'request str,
    postcode: &'request str,
    address: &'request str,
    city: &'request str,
}

/// `/RECSIRET/`.
pub(crate) fn search(parameters: &Parameters) -> Answered {
    require(parameters, &["Country"])?;
    let by_place = parameters.has("Address") && parameters.has("CP") && parameters.has("City");
    if !by_place {
        require(parameters, &["CompanyName"])?;
    }
    let wanted = Wanted {
        name: parameters.text("CompanyName"),
        number: "",
        postcode: parameters
            .filled("ZIP_Code")
            .or_else(|| parameters.filled("CP"))
            .unwrap_or_default(),
        address: parameters.text("Address"),
        city: parameters.text("City"),
    };
    let found = matching(
        &wanted,
        parameters.text("Country"),
        parameters.count("NbMax", 10, 50),
    );
    let records = found.into_iter().map(|(reference, company)| {
        Object::new()
            .with("SEARCH_REF", reference)
            .with("CompanyName", company.name)
            .with("CompanyNumber", company.siret)
            .with("Address", company.address)
            .with("Locality", company.city)
            .with("ZIP_Code", company.postcode)
    });
    Ok(Object::numbered("DATA", records))
}

/// `/SIRETINFO/`.
pub(crate) fn information(parameters: &Parameters) -> Answered {
    let Some(asked) = parameters
        .filled("Siret")
        .or_else(|| parameters.filled("SEARCH_REF"))
    else {
        return Err(Missing("SEARCH_REF"));
    };
    let record = match by_reference(asked) {
        Some(company) => Object::new()
            .with("DQE_status", "FOUND")
            .with("CompanyName", company.name)
            .with("CompanyNumber", company.siret)
            .with("SIREN", siren(company))
            .with("NAF", company.activity)
            .with("Address", company.address)
            .with("ZIP_Code", company.postcode)
            .with("Locality", company.city),
        None => Object::new().with("DQE_status", "NOT FOUND"),
    };
    Ok(Object::numbered("DATA", [record]))
}

/// `/v1/lookupcname/` and its variants.
pub(crate) fn rest_search(parameters: &Parameters) -> Answered {
    let records = rest_found(parameters)?
        .into_iter()
        .map(|(reference, company)| rest_record(&reference, company));
    Ok(Object::listed("Companies", records.collect()))
}

/// `/v1/b2b/lookup`: as its newest page shows it, a bare array of flat objects.
pub(crate) fn rest_list(parameters: &Parameters) -> Result<Vec<Object>, Missing> {
    let records = rest_found(parameters)?
        .into_iter()
        .map(|(reference, company)| {
            Object::new()
                .with("SearchRef", reference)
                .with("CompanyName", company.name)
                .with("Siren", siren(company))
                .with("Siret", company.siret)
                .with("Address", company.address)
                .with("PostalCode", company.postcode)
                .with("City", company.city)
        });
    Ok(records.collect())
}

fn rest_found(parameters: &Parameters) -> Result<Vec<(String, &'static Company)>, Missing> {
    require(parameters, &["Country"])?;
    let name = ["CompanyName", "CompanyNumber", "Address"]
        .into_iter()
        .find(|name| parameters.filled(name).is_some());
    name.ok_or(Missing("CompanyName"))?;
    let wanted = Wanted {
        name: parameters.text("CompanyName"),
        number: parameters.text("CompanyNumber"),
        postcode: parameters.text("PostalCode"),
        address: parameters.text("Address"),
        city: parameters.text("City"),
    };
    Ok(matching(
        &wanted,
        parameters.text("Country"),
        parameters.count("Limit", 10, 50),
    ))
}

/// `/v1/b2b/get-info`.
pub(crate) fn rest_information(parameters: &Parameters) -> Answered {
    require(parameters, &["SearchRef"])?;
    let asked = parameters.text("SearchRef");
    Ok(Object::listed(
        "Companies",
        by_reference(asked)
            .map(|company| rest_record(asked, company))
            .into_iter()
            .collect(),
    ))
}

fn rest_record(reference: &str, company: &Company) -> Object {
    let number = |kind: &str, value: &str| Object::new().with("Type", kind).with("Value", value);
    Object::new()
        .with("SearchRef", reference)
        .with("CompanyName", company.name)
        .with("Address", company.address)
        .with("PostalCode", company.postcode)
        .with("City", company.city)
        .with(
            "CompanyNumber",
            Json::from(vec![
                number("SIREN", siren(company)),
                number("SIRET", company.siret),
            ]),
        )
}

fn matching(wanted: &Wanted<'_>, country: &str, most: usize) -> Vec<(String, &'static Company)> {
    if !country.trim().eq_ignore_ascii_case("FRA") {
        return Vec::new();
    }
    let words = |text: &str| -> Vec<String> { fold(text).split(' ').map(str::to_owned).collect() };
    let (name, address, city) = (
        words(wanted.name),
        words(wanted.address),
        words(wanted.city),
    );
    let number: String = wanted.number.chars().filter(char::is_ascii_digit).collect();
    let has = |known: &str, words: &[String]| {
        words.iter().all(|word| {
            known
                .split(' ')
                .any(|known| known.starts_with(word.as_str()))
        })
    };
    COMPANIES
        .iter()
        .enumerate()
        .filter(|(_, company)| {
            has(company.name, &name)
                && has(company.address, &address)
                && has(company.city, &city)
                && company.postcode.starts_with(wanted.postcode.trim())
                && company.siret.starts_with(&number)
        })
        .map(|(at, company)| (format!("_{}", at + 1), company))
        .take(most)
        .collect()
}

/// By SIRET, by SIREN, or by the reference a search gave.
fn by_reference(asked: &str) -> Option<&'static Company> {
    let asked: String = asked.chars().filter(|one| !one.is_whitespace()).collect();
    if let Some(at) = asked.strip_prefix('_') {
        return COMPANIES.get(at.parse::<usize>().ok()?.checked_sub(1)?);
    }
    COMPANIES
        .iter()
        .find(|company| company.siret == asked || siren(company) == asked)
}

/// The first nine digits of the number.
fn siren(company: &Company) -> &str {
    company.siret.get(..9).unwrap_or(company.siret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(answer: fn(&Parameters) -> Answered, query: &str) -> String {
        answer(&Parameters::read(query.as_bytes(), b"", b""))
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_company_is_found_then_asked_about() {
        let found = ask(search, "CompanyName=atelier&Country=FRA&Dictionary=Y");
        assert!(
            found.starts_with(r#"{"DATA1":{"SEARCH_REF":"_3","CompanyName":"ATELIER RIVOLI""#),
            "{found}"
        );
        assert!(found.contains("DATA2"), "{found}");
        let place = ask(
            search,
            "Address=12 rue des pyr%C3%A9n%C3%A9es&CP=75020&City=paris&Country=FRA",
        );
        assert!(place.contains("BOULANGERIE"), "{place}");
        assert!(ask(information, "SEARCH_REF=_3").contains("ATELIER RIVOLI"));
        assert!(ask(information, "Siret=000 000 003 00017").contains(r#""DQE_status":"FOUND""#));
        assert!(ask(information, "Siret=1").contains("NOT FOUND"));
        assert_eq!(ask(search, "CompanyName=zzz&Country=FRA"), "{}");
        assert_eq!(
            search(&Parameters::read(b"Country=FRA", b"", b"")),
            Err(Missing("CompanyName"))
        );
    }

    #[test]
    fn the_restful_paths_find_the_same() {
        assert!(
            ask(rest_search, "CompanyName=pharma&Country=FRA")
                .starts_with(r#"{"Found":1,"Companies":[{"#)
        );
        assert!(
            ask(rest_search, "CompanyNumber=000000006&Country=FRA").contains("PHARMACIE NATIONALE")
        );
        assert!(ask(rest_information, "SearchRef=_1").contains("BOULANGERIE"));
        assert_eq!(
            ask(rest_information, "SearchRef=_99"),
            r#"{"Found":0,"Companies":[]}"#
        );
    }
}
