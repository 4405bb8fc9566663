//! Typing an address to its end: suggestions, cities, streets, numbers, complements, positions.

use super::answer::{Answered, Missing, require};
use super::data::{CITIES, City};
use super::json::Object;
use super::parameters::Parameters;
use super::place::{Place, by_id, cities_named, house_numbers, search, search_in};

/// Most suggestions in one answer, as documented.
pub(crate) const MOST: usize = 20;

/// `/SINGLEV2/`, and `/SINGLE/` asked for an address.
pub(crate) fn suggest(parameters: &Parameters) -> Answered {
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
    let buildings = place
        .buildings()
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
        .with("iris", place.iris()))
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

/// `/SINGLE/` asked for a position: streets around it.
pub(crate) fn around(parameters: &Parameters) -> Answered {
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
        .with("label", place.label())
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
        let answer = ask(around, "Pays=FRA&Lat=48.8634&Lon=2.4012&DistAdr=0.5");
        assert!(
            answer.contains("PYRENEES") && !answer.contains("LYON"),
            "{answer}"
        );
    }
}
