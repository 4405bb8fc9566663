//! Typing an address to its end: suggestions, cities, streets, numbers, complements, positions.

use std::sync::LazyLock;

use super::answer::{Answered, Missing, require};
use super::data::{CITIES, City, Street};
use super::json::{Json, Object};
use super::parameters::Parameters;
use super::spelling::fold;

/// Most suggestions in one answer, as documented.
const MOST: usize = 20;

/// A street in its city, with the house number that was typed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) city: &'static City,
    pub(crate) street: &'static Street,
    pub(crate) number: Option<u32>,
}

impl Place {
    /// `RUE DES PYRENEES`.
    pub(crate) fn street_line(self) -> String {
        format!("{} {}", self.street.kind, self.street.name)
            .trim()
            .to_owned()
    }

    /// `5 RUE DES PYRENEES`.
    pub(crate) fn line(self) -> String {
        format!("{} {}", self.number_text(), self.street_line())
            .trim()
            .to_owned()
    }

    /// `5`, or nothing.
    pub(crate) fn number_text(self) -> String {
        self.number
            .map(|number| number.to_string())
            .unwrap_or_default()
    }

    /// Somewhere near the city's centre, always the same for the same house.
    pub(crate) fn position(self) -> (String, String) {
        let spread = self
            .street
            .id
            .bytes()
            .fold(0_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 997);
        let along = f64::from(self.number.unwrap_or_default()) / 100_000.0;
        let latitude = self.city.latitude + f64::from(spread) / 200_000.0 + along;
        let longitude = self.city.longitude - f64::from(spread) / 300_000.0 + along;
        (format!("{latitude:.6}"), format!("{longitude:.6}"))
    }
}

/// `/SINGLEV2/`, and `/SINGLE/` in both its products.
pub(crate) fn suggest(parameters: &Parameters) -> Answered {
    if parameters.has("Lat") && parameters.has("Lon") && !parameters.has("Adresse") {
        return near(parameters);
    }
    require(parameters, &["Adresse", "Pays"])?;
    let found = search(
        parameters.text("Adresse"),
        parameters.text("Pays"),
        parameters.count("NbMax", 10, MOST),
    );
    Ok(Object::numbered(
        "",
        found.into_iter().map(|place| record(place, parameters)),
    ))
}

/// `/COMPLV2/`; without coordinates `/COMPL/`.
pub(crate) fn complements(parameters: &Parameters, with_position: bool) -> Answered {
    require(parameters, &["IDVoie", "IDNum", "Pays"])?;
    let Some(place) = by_id(parameters.text("IDVoie"), parameters.text("IDNum")) else {
        return Ok(Object::new());
    };
    let buildings = buildings(place)
        .iter()
        .map(|building| Object::new().with("Batiment", *building));
    let answer = Object::numbered("", buildings);
    if !with_position {
        return Ok(answer);
    }
    let (latitude, longitude) = place.position();
    Ok(answer
        .with("Latitude", latitude)
        .with("Longitude", longitude)
        .with("iris", iris(place)))
}

/// `/CP/`: cities by postcode or by the beginning of their name.
pub(crate) fn cities(parameters: &Parameters) -> Answered {
    require(parameters, &["CodePostal", "Pays"])?;
    if let Ok(address) = parameters.text("CodePostal").parse::<std::net::IpAddr>() {
        return Ok(position_of_network_address(address, parameters));
    }
    let found = cities_named(parameters.text("CodePostal"), parameters.text("Pays"));
    let by_id = |city: &&City| {
        parameters
            .filled("IDLocalite")
            .is_none_or(|id| id == city.id)
    };
    let records = found
        .into_iter()
        .filter(by_id)
        .take(parameters.count("NbMax", 10, MOST))
        .map(|city| {
            Object::new()
                .with("IDLocalite", city.id)
                .with("CodePostal", city.postcode)
                .with("Localite", city.name)
                .with("LieuDit", "")
                .with("Voie", "")
                .with("Pays", city.country)
                .with("Instance", parameters.text("Instance"))
        });
    Ok(Object::numbered("", records))
}

/// `/ADR/`: streets of a city.
pub(crate) fn streets(parameters: &Parameters) -> Answered {
    require(parameters, &["IDLocalite", "Adresse", "Pays"])?;
    let found = search_in(
        parameters.text("IDLocalite"),
        parameters.text("Adresse"),
        MOST,
    );
    let records = found.into_iter().map(|place| {
        Object::new()
            .with("IDVoie", place.street.id)
            .with("Voie", place.street_line())
            .with("TypeVoie", place.street.kind)
            .with("Numero", place.number_text())
            .with("ListeNumero", house_numbers(place.street))
            .with("CodePostal", place.city.postcode)
            .with("Localite", place.city.name)
            .with("IDLocalite", place.city.id)
            .with("Pays", place.city.country)
            .with("Instance", parameters.text("Instance"))
    });
    Ok(Object::numbered("", records))
}

/// `/NUM/`: the house numbers of a street.
pub(crate) fn numbers(parameters: &Parameters) -> Answered {
    require(parameters, &["IDVoie"])?;
    let found = by_id(parameters.text("IDVoie"), "");
    let records = found.map(|place| Object::new().with("ListeNumero", house_numbers(place.street)));
    Ok(Object::numbered("", records))
}

/// `/LATLG/`: where a house stands; both coordinates `0.00` when it is not known.
pub(crate) fn position(parameters: &Parameters) -> Answered {
    require(parameters, &["IDVoie", "Num", "Pays"])?;
    let record = match by_id(parameters.text("IDVoie"), parameters.text("Num")) {
        Some(place) => {
            let (latitude, longitude) = place.position();
            let (code, label) = if place.number.is_some() {
                ("1", "ENTREE")
            } else {
                ("3", "VOIE")
            };
            Object::new()
                .with("Latitude", latitude)
                .with("Longitude", longitude)
                .with("CodeQualiteGeo", code)
                .with("LibelleQualiteGeo", label)
        }
        None => Object::new()
            .with("Latitude", "0.00")
            .with("Longitude", "0.00")
            .with("CodeQualiteGeo", "")
            .with("LibelleQualiteGeo", ""),
    };
    Ok(Object::numbered(
        "",
        [record.with("Instance", parameters.text("Instance"))],
    ))
}

/// `/v1/single/`.
pub(crate) fn rest_suggest(parameters: &Parameters) -> Answered {
    require(parameters, &["Address", "Country"])?;
    let found = search(
        parameters.text("Address"),
        parameters.text("Country"),
        parameters.count("Limit", 10, MOST),
    );
    Ok(listed(
        "Addresses",
        found.into_iter().map(rest_record).collect(),
    ))
}

/// `/v1/compl/` and `/v1/funnelcompl/`.
pub(crate) fn rest_complements(parameters: &Parameters) -> Answered {
    require(parameters, &["StreetId", "StreetNumber", "Country"])?;
    let Some(place) = by_id(parameters.text("StreetId"), parameters.text("StreetNumber")) else {
        return Ok(listed("AdditionalAddresses", Vec::new()));
    };
    let list = buildings(place).iter().map(|building| {
        Object::new()
            .with("AdditionalAddress", *building)
            .with("PostalCode", place.city.postcode)
    });
    let (latitude, longitude) = place.position();
    let position = Object::new()
        .with("Latitude", latitude)
        .with("Longitude", longitude);
    Ok(listed("AdditionalAddresses", list.collect()).with("Geolocalisation", position))
}

/// `/v1/funnelpostcode/`.
pub(crate) fn rest_cities(parameters: &Parameters) -> Answered {
    require(parameters, &["PostalCode", "Country"])?;
    let found = cities_named(parameters.text("PostalCode"), parameters.text("Country"));
    let list = found
        .into_iter()
        .take(parameters.count("Limit", 10, MOST))
        .map(|city| {
            Object::new()
                .with("CityId", city.id)
                .with("PostalCode", city.postcode)
                .with("City", city.name)
                .with("Country", city.country)
        });
    Ok(listed("Cities", list.collect()))
}

/// `/v1/funneladdress/`.
pub(crate) fn rest_streets(parameters: &Parameters) -> Answered {
    require(parameters, &["CityId", "Country", "Street"])?;
    let most = parameters.count("Limit", 10, MOST);
    let found = search_in(parameters.text("CityId"), parameters.text("Street"), most);
    Ok(listed(
        "Addresses",
        found.into_iter().map(rest_record).collect(),
    ))
}

/// The RESTful frame: how many, and the list.
pub(crate) fn listed(name: &str, list: Vec<Object>) -> Object {
    Object::new()
        .with("Found", list.len())
        .with(name, Json::from(list))
}

/// Streets every word of `typed` fits, best first: those that have the typed house number.
pub(crate) fn search(typed: &str, country: &str, most: usize) -> Vec<Place> {
    let cities = CITIES
        .iter()
        .filter(|city| city.country.eq_ignore_ascii_case(country.trim()));
    matching(cities, typed, most)
}

fn search_in(city_id: &str, typed: &str, most: usize) -> Vec<Place> {
    matching(
        CITIES.iter().filter(|city| city.id == city_id.trim()),
        typed,
        most,
    )
}

fn matching(cities: impl Iterator<Item = &'static City>, typed: &str, most: usize) -> Vec<Place> {
    let typed = fold(typed);
    let (number, words) = house_number_first(&typed);
    let words: Vec<&str> = words
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(unabbreviated)
        .collect();
    let places = cities.flat_map(|city| city.streets.iter().map(move |street| (city, street)));
    let mut found: Vec<Place> = places
        .filter(|(city, street)| fits(&words, city, street))
        .map(|(city, street)| {
            let number = number.filter(|number| (1..=street.houses).contains(number));
            Place {
                city,
                street,
                number,
            }
        })
        .collect();
    found.sort_by_key(|place| number.is_some() && place.number.is_none());
    found.truncate(most);
    found
}

fn fits(words: &[&str], city: &City, street: &Street) -> bool {
    let known = [street.kind, street.name, city.postcode, city.name];
    words.iter().all(|word| {
        known
            .iter()
            .flat_map(|text| text.split(' '))
            .any(|known| known.starts_with(word))
    })
}

/// A leading number is the house's unless it looks like a postcode; `5B` and `5 bis` are number 5.
pub(crate) fn house_number_first(folded: &str) -> (Option<u32>, &str) {
    const SUFFIXES: [&str; 3] = ["BIS", "TER", "QUATER"];
    let (first, rest) = folded.split_once(' ').unwrap_or((folded, ""));
    let digits = first.trim_end_matches(|one: char| one.is_ascii_alphabetic());
    let suffix = &first[digits.len()..];
    let is_house =
        (1..=4).contains(&digits.len()) && (suffix.len() < 2 || SUFFIXES.contains(&suffix));
    match digits.parse() {
        Ok(number) if is_house => {
            let (next, after) = rest.split_once(' ').unwrap_or((rest, ""));
            (
                Some(number),
                if SUFFIXES.contains(&next) {
                    after
                } else {
                    rest
                },
            )
        }
        Ok(_) | Err(_) => (None, folded),
    }
}

/// The long form of the usual abbreviations.
pub(crate) fn unabbreviated(word: &str) -> &str {
    match word {
        "AV" | "AVE" => "AVENUE",
        "BD" | "BLD" | "BVD" => "BOULEVARD",
        "PL" => "PLACE",
        "ST" => "SAINT",
        "CRS" => "COURS",
        "GAL" => "GENERAL",
        other => other,
    }
}

fn cities_named(typed: &str, country: &str) -> Vec<&'static City> {
    let typed = fold(typed);
    let in_country = |city: &&City| city.country.eq_ignore_ascii_case(country.trim());
    let named = |city: &&City| city.postcode.starts_with(&typed) || city.name.starts_with(&typed);
    CITIES.iter().filter(in_country).filter(named).collect()
}

fn by_id(street_id: &str, number: &str) -> Option<Place> {
    let all = CITIES
        .iter()
        .flat_map(|city| city.streets.iter().map(move |street| (city, street)));
    let (city, street) = all
        .into_iter()
        .find(|(_, street)| street.id == street_id.trim())?;
    let number = house_number_first(&fold(number))
        .0
        .filter(|number| (1..=street.houses).contains(number));
    Some(Place {
        city,
        street,
        number,
    })
}

fn near(parameters: &Parameters) -> Answered {
    require(parameters, &["Pays", "Lat", "Lon", "DistAdr"])?;
    let number = |name: &'static str| {
        parameters
            .text(name)
            .replace(',', ".")
            .parse::<f64>()
            .map_err(|_| Missing(name))
    };
    let (latitude, longitude, kilometres) = (number("Lat")?, number("Lon")?, number("DistAdr")?);
    let distance = |city: &City| {
        // Flat enough at the scale of a town: 111 km a degree.
        let north = (city.latitude - latitude) * 111.0;
        let east = (city.longitude - longitude) * 111.0 * latitude.to_radians().cos();
        north.hypot(east)
    };
    let cities = CITIES.iter().filter(|city| {
        city.country
            .eq_ignore_ascii_case(parameters.text("Pays").trim())
            && distance(city) <= kilometres + 2.0
    });
    let places = cities.flat_map(|city| {
        city.streets.iter().map(move |street| Place {
            city,
            street,
            number: Some(1),
        })
    });
    let most = parameters.count("NbMax", 10, MOST);
    Ok(Object::numbered(
        "",
        places.take(most).map(|place| record(place, parameters)),
    ))
}

/// The IP tracker: every public address lives in Paris here.
fn position_of_network_address(address: std::net::IpAddr, parameters: &Parameters) -> Object {
    let Some(city) = CITIES.first().filter(|_| !address.is_loopback()) else {
        return Object::new();
    };
    let record = Object::new()
        .with("Latitude", city.latitude.to_string())
        .with("Longitude", city.longitude.to_string())
        .with("CodePostal", city.postcode)
        .with("Localite", city.name)
        .with("Pays", city.country)
        .with("Instance", parameters.text("Instance"));
    Object::numbered("", [record])
}

fn record(place: Place, parameters: &Parameters) -> Object {
    Object::new()
        .with("Instance", parameters.text("Instance"))
        .with("IDLocalite", place.city.id)
        .with("CodePostal", place.city.postcode)
        .with("Localite", place.city.name)
        .with("Pays", place.city.country)
        .with("LieuDit", "")
        .with("IDVoie", place.street.id)
        .with("Voie", place.street_line())
        .with("TypeVoie", "")
        .with("Numero", place.number_text())
        .with("NumSeul", place.number_text())
        .with("ListeNumero", house_numbers(place.street))
        .with("Nbnumero", place.street.houses.to_string())
        .with("Complement", "")
        .with(
            "label",
            format!(
                "{}|{} {}",
                place.line(),
                place.city.postcode,
                place.city.name
            ),
        )
}

fn rest_record(place: Place) -> Object {
    Object::new()
        .with(
            "Label",
            format!(
                "{}|{} {}",
                place.line(),
                place.city.postcode,
                place.city.name
            ),
        )
        .with("StreetId", place.street.id)
        .with("StreetNumber", place.number_text())
        .with("Street", place.street_line())
        .with("CityId", place.city.id)
        .with("City", place.city.name)
        .with("PostalCode", place.city.postcode)
        .with("Country", place.city.country)
}

fn buildings(place: Place) -> &'static [&'static str] {
    if place.number == Some(5) {
        place.street.buildings
    } else {
        &[]
    }
}

/// The statistical district: made up, but always the same for the same street.
pub(crate) fn iris(place: Place) -> String {
    place.street.id.chars().skip(5).collect()
}

/// `1;2;3…`, at most 1024 characters, as documented.
fn house_numbers(street: &Street) -> &'static str {
    /// The longest list, and where the number of each house ends in it. Every street begins at 1,
    /// so that every list is the beginning of this one.
    static LONGEST: LazyLock<(String, Vec<usize>)> = LazyLock::new(|| {
        let (mut list, mut ends) = (String::new(), Vec::new());
        for number in 1_u32.. {
            let next = format!("{}{number}", if list.is_empty() { "" } else { ";" });
            if list.len() + next.len() > 1024 {
                break;
            }
            list.push_str(&next);
            ends.push(list.len());
        }
        (list, ends)
    });
    let (list, ends) = &*LONGEST;
    let last = usize::try_from(street.houses)
        .ok()
        .and_then(|houses| ends.get(houses.checked_sub(1)?));
    last.map_or(list.as_str(), |end| &list[..*end])
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
    fn typing_an_address_completes_it() {
        for (typed, label) in [
            ("5 rue des pyr", "5 RUE DES PYRENEES|75020 PARIS"),
            (
                "5%20rue%20des%20pyr%C3%A9n",
                "5 RUE DES PYRENEES|75020 PARIS",
            ),
            ("12 bis av gamb 75020", "12 AVENUE GAMBETTA|75020 PARIS"),
            ("12bis av gamb 75020", "12 AVENUE GAMBETTA|75020 PARIS"),
            ("12B av gamb 75020", "12 AVENUE GAMBETTA|75020 PARIS"),
            ("18 rue de riv", "18 RUE DE RIVOLI|75001 PARIS"),
            ("canebi", "LA CANEBIERE|13001 MARSEILLE"),
            (
                "3 st ferreol marseille",
                "3 RUE SAINT FERREOL|13001 MARSEILLE",
            ),
        ] {
            let answer = ask(suggest, &format!("Adresse={typed}&Pays=FRA&Instance=0"));
            let first = answer.split("\"label\":\"").nth(1).unwrap_or_default();
            assert!(first.starts_with(label), "{typed}: {answer}");
        }
        assert_eq!(ask(suggest, "Adresse=zzz&Pays=FRA"), "{}");
        assert_eq!(ask(suggest, "Adresse=5 rue des pyr&Pays=USA"), "{}");
    }

    #[test]
    fn the_house_number_decides_who_comes_first() {
        let found = search("300 rue des pyr", "FRA", 20);
        assert_eq!(found.first().map(|place| place.number), Some(Some(300)));
        assert!(found.len() > 1);
    }

    #[test]
    fn the_funnel_goes_from_city_to_street_to_house() {
        assert!(ask(cities, "CodePostal=01500&Pays=FRA&Alpha=True").contains("AMBRONAY"));
        assert!(
            ask(cities, "CodePostal=amb%C3%A9r&Pays=FRA")
                .starts_with(r#"{"1":{"IDLocalite":"01004""#)
        );
        assert!(ask(streets, "IDLocalite=75120&Adresse=gamb&Pays=FRA").contains("751203921"));
        assert!(ask(numbers, "IDVoie=441091590").contains("1;2;3;4;5;6;7;8;9\""));
        let complements = ask(
            |parameters| complements(parameters, true),
            "IDVoie=751207837&IDNum=5&Pays=FRA",
        );
        assert!(
            complements.starts_with(r#"{"1":{"Batiment":"BATIMENT A"},"#),
            "{complements}"
        );
        assert!(complements.contains("\"Latitude\":\"48."), "{complements}");
    }

    #[test]
    fn an_unknown_house_stands_at_zero() {
        assert!(
            ask(position, "IDVoie=0&Num=5&Pays=FRA")
                .contains(r#""Latitude":"0.00","Longitude":"0.00""#)
        );
        assert!(ask(position, "IDVoie=751207837&Num=5&Pays=FRA").contains("ENTREE"));
        assert_eq!(position(&Parameters::default()), Err(Missing("IDVoie")));
    }

    #[test]
    fn coordinates_find_streets_around() {
        let answer = ask(suggest, "Pays=FRA&Lat=48.8634&Lon=2.4012&DistAdr=0.5");
        assert!(
            answer.contains("PYRENEES") && !answer.contains("LYON"),
            "{answer}"
        );
    }
}
