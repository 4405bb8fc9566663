//! `/RNVP/`: a whole address, put into its postal form, with a verdict.
//!
//! Detail codes, as clients use them: 10 right · 20 put right · 21 house number unknown · 30 and 50
//! street unknown in a small, in a large town · 70 postcode and city do not go together · 80 no
//! such city · 90 abroad.

use super::answer::{Answered, require};
use super::data::{CITIES, City};
use super::json::Object;
use super::parameters::Parameters;
use super::place::{Place, house_number_first, unabbreviated};
use super::spelling::{fold, likeness};

/// How alike a street must be to be taken for the one that was meant.
const ALIKE: f64 = 0.92;

/// An address taken apart: complement, street, locality, postcode, city.
#[derive(Debug, Default)]
struct Parts {
    complement: String,
    street: String,
    locality: String,
    postcode: String,
    city: String,
}

/// An address with its verdict.
#[derive(Debug)]
struct Checked {
    parts: Parts,
    place: Option<Place>,
    city: Option<&'static City>,
    detail: u8,
}

/// `/RNVP/`.
pub(crate) fn check(parameters: &Parameters) -> Answered {
    require(parameters, &["Adresse", "Pays"])?;
    let country = parameters.text("Pays");
    let checked = judge(parameters.text("Adresse"), country);
    let first = record(&checked, parameters);
    let others = match (parameters.text("Proposition"), checked.detail) {
        ("O", 30..) => propositions(&checked),
        _ => Vec::new(),
    };
    let others = others.into_iter().map(|place| {
        let parts = Parts {
            complement: checked.parts.complement.clone(),
            ..Parts::default()
        };
        record(
            &Checked {
                parts,
                place: Some(place),
                city: Some(place.city),
                detail: 10,
            },
            parameters,
        )
    });
    Ok(Object::numbered("", std::iter::once(first).chain(others)))
}

/// `/v1/checkaddress/`.
pub(crate) fn rest_check(parameters: &Parameters) -> Answered {
    require(parameters, &["Address", "Country"])?;
    let checked = judge(parameters.text("Address"), parameters.text("Country"));
    let information = Object::new()
        .with("DQEDetailCode", checked.detail.to_string())
        .with("DQEErrorAddressLabel", label(checked.detail));
    let address = Object::new()
        .with("Address", line(&checked))
        .with(
            "PostalCode",
            checked
                .city
                .map_or(checked.parts.postcode.as_str(), |city| city.postcode),
        )
        .with(
            "City",
            checked
                .city
                .map_or(checked.parts.city.as_str(), |city| city.name),
        )
        .with("Country", parameters.text("Country"))
        .with("Informations", information);
    Ok(Object::listed("Addresses", vec![address]))
}

fn judge(address: &str, country: &str) -> Checked {
    let (parts, had_pipes) = take_apart(address);
    if !country.trim().eq_ignore_ascii_case("FRA") {
        return Checked {
            parts,
            place: None,
            city: None,
            detail: 90,
        };
    }
    let (city, city_detail) = find_city(&parts);
    let Some(city) = city else {
        return Checked {
            parts,
            place: None,
            city: None,
            detail: city_detail,
        };
    };
    let (place, street_detail) = find_street(&parts.street, city);
    // An address without pipes is parsed, and yet left to be checked by a person.
    let floor = if had_pipes { 10 } else { 40 };
    let detail = city_detail.max(street_detail).max(floor);
    Checked {
        parts,
        place,
        city: Some(city),
        detail,
    }
}

/// The last two parts are postcode and city whatever the number of pipes, as in older callers.
fn take_apart(address: &str) -> (Parts, bool) {
    let fields: Vec<String> = address.split('|').map(fold).collect();
    let field = |at: usize| fields.get(at).cloned().unwrap_or_default();
    match fields.len() {
        0 | 1 => (take_apart_free(&field(0)), false),
        2 => (
            Parts {
                street: field(0),
                city: field(1),
                ..Parts::default()
            },
            true,
        ),
        3 => (
            Parts {
                street: field(0),
                postcode: field(1),
                city: field(2),
                ..Parts::default()
            },
            true,
        ),
        4 => {
            let parts = Parts {
                complement: field(0),
                street: field(1),
                postcode: field(2),
                city: field(3),
                ..Parts::default()
            };
            (parts, true)
        }
        _ => {
            let parts = Parts {
                complement: field(0),
                street: field(1),
                locality: field(2),
                postcode: field(3),
                city: field(4),
            };
            (parts, true)
        }
    }
}

/// `5 rue x 75020 paris`: the five digits divide it.
fn take_apart_free(folded: &str) -> Parts {
    let words: Vec<&str> = folded.split(' ').collect();
    let is_postcode =
        |word: &&str| word.len() == 5 && word.bytes().all(|byte| byte.is_ascii_digit());
    match words.iter().position(is_postcode) {
        Some(at) => Parts {
            street: words[..at].join(" "),
            postcode: words[at].to_owned(),
            city: words[at + 1..].join(" "),
            ..Parts::default()
        },
        None => Parts {
            street: folded.to_owned(),
            ..Parts::default()
        },
    }
}

fn find_city(parts: &Parts) -> (Option<&'static City>, u8) {
    let french = || CITIES.iter().filter(|city| city.country == "FRA");
    let named = |city: &&City| city.name == parts.city;
    let coded = |city: &&City| city.postcode == parts.postcode;
    if let Some(city) = french().find(|city| coded(city) && named(city)) {
        return (Some(city), 10);
    }
    // One of the two is wrong, or half-typed, and the other tells which city was meant.
    let alike = |city: &&City| !parts.city.is_empty() && likeness(city.name, &parts.city) >= ALIKE;
    if let Some(city) = french().find(|city| coded(city) && (parts.city.is_empty() || alike(city)))
    {
        return (Some(city), 20);
    }
    if parts.postcode.is_empty()
        && let Some(city) = french().find(alike)
    {
        return (Some(city), 20);
    }
    (
        None,
        if french().any(|city| coded(&city) || named(&city)) {
            70
        } else {
            80
        },
    )
}

fn find_street(typed: &str, city: &'static City) -> (Option<Place>, u8) {
    let (number, words) = house_number_first(typed);
    let words: Vec<&str> = words.split(' ').map(unabbreviated).collect();
    let wanted = words.join(" ");
    let unknown = if city.large { 50 } else { 30 };
    let places = city.streets.iter().map(|street| Place {
        city,
        street,
        number: None,
    });
    let best = places
        .map(|place| (likeness(&place.street_line(), &wanted), place))
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    let Some((alike, place)) = best.filter(|(alike, _)| *alike >= ALIKE) else {
        return (None, unknown);
    };
    let exact = alike >= 1.0;
    match number {
        Some(number) if number == 0 || number > place.street.houses => (Some(place), 21),
        number => (Some(Place { number, ..place }), if exact { 10 } else { 20 }),
    }
}

fn propositions(checked: &Checked) -> Vec<Place> {
    let Some(city) = checked.city else {
        return Vec::new();
    };
    let (number, _) = house_number_first(&checked.parts.street);
    let places = city.streets.iter().map(|street| Place {
        city,
        street,
        number: number.filter(|number| (1..=street.houses).contains(number)),
    });
    places.take(5).collect()
}

fn record(checked: &Checked, parameters: &Parameters) -> Object {
    let place = checked.place;
    let (latitude, longitude) = place.map(Place::position).unwrap_or_default();
    let number = place.map(Place::number_text).unwrap_or_default();
    let failed = u8::from(checked.detail >= 30);
    Object::new()
        .with("Instance", parameters.text("Instance"))
        .with("Adresse", line(checked))
        .with("Numero", number.as_str())
        .with("NumSeul", number)
        .with("TypeVoie", place.map_or("", |place| place.street.kind))
        .with("Voie", place.map_or("", |place| place.street.name))
        .with("Complement", checked.parts.complement.as_str())
        .with("LieuDit", checked.parts.locality.as_str())
        .with(
            "CodePostal",
            checked
                .city
                .map_or(checked.parts.postcode.as_str(), |city| city.postcode),
        )
        .with(
            "Localite",
            checked
                .city
                .map_or(checked.parts.city.as_str(), |city| city.name),
        )
        .with("IDLocalite", checked.city.map_or("", |city| city.id))
        .with("IDVoie", place.map_or("", |place| place.street.id))
        .with("Pays", parameters.text("Pays"))
        .with("Latitude", latitude)
        .with("Longitude", longitude)
        .with("DQECodeErreur", failed.to_string())
        .with("DQECodeDetail", checked.detail.to_string())
        .with("DQELibErreur", label(checked.detail))
        .with("iris", place.map(Place::iris).unwrap_or_default())
}

fn line(checked: &Checked) -> String {
    checked
        .place
        .map_or_else(|| checked.parts.street.clone(), Place::line)
}

fn label(detail: u8) -> &'static str {
    if detail < 30 { "OK" } else { "KO" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_put_into_its_postal_form_with_a_verdict() {
        for (address, country, detail, expected) in [
            (
                "|5 rue des Pyrénées||75020|Paris",
                "FRA",
                10,
                "5 RUE DES PYRENEES",
            ),
            (
                "bat A|5 rue des pyrenee||75020|Paris",
                "FRA",
                20,
                "5 RUE DES PYRENEES",
            ),
            (
                "|12 av Gambetta||75020|Paris",
                "FRA",
                10,
                "12 AVENUE GAMBETTA",
            ),
            (
                "|5 rue des pyrenees||75020|pariss",
                "FRA",
                20,
                "5 RUE DES PYRENEES",
            ),
            (
                "|9999 rue des pyrenees||75020|paris",
                "FRA",
                21,
                "RUE DES PYRENEES",
            ),
            (
                "|5 rue inconnue xyz||75020|paris",
                "FRA",
                50,
                "5 RUE INCONNUE XYZ",
            ),
            (
                "|5 chemin perdu||01500|ambronay",
                "FRA",
                30,
                "5 CHEMIN PERDU",
            ),
            ("|5 rue x||75020|lyon", "FRA", 70, "5 RUE X"),
            ("|5 rue x||99999|nulle part", "FRA", 80, "5 RUE X"),
            ("|5 rue neuve||1000|bruxelles", "BEL", 90, "5 RUE NEUVE"),
            (
                "5 rue des pyrenees 75020 paris",
                "FRA",
                40,
                "5 RUE DES PYRENEES",
            ),
            ("", "FRA", 80, ""),
            ("||||", "FRA", 80, ""),
        ] {
            let checked = judge(address, country);
            assert_eq!(
                (checked.detail, line(&checked).as_str()),
                (detail, expected),
                "{address}"
            );
        }
    }

    #[test]
    fn propositions_come_when_asked_for() {
        let ask = |query: &str| {
            check(&Parameters::read(query.as_bytes(), b"", b""))
                .unwrap()
                .to_string()
        };
        let query = "Adresse=%7C5 rue inconnue xyz%7C%7C75020%7Cparis&Pays=FRA&Instance=7";
        assert!(!ask(query).contains("\"2\":{"));
        let with = ask(&format!("{query}&Proposition=O"));
        assert!(with.contains("\"2\":{\"Instance\":\"7\""), "{with}");
    }
}
