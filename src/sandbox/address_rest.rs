//! The RESTful address paths: the same world as the classic ones, under English names.

use super::address::MOST;
use super::answer::{Answered, require};
use super::json::Object;
use super::parameters::Parameters;
use super::place::{Place, by_id, cities_named, search, search_in};

/// `/v1/single/`.
pub(crate) fn suggest(parameters: &Parameters) -> Answered {
    require(parameters, &["Address", "Country"])?;
    let found = search(
        parameters.text("Address"),
        parameters.text("Country"),
        parameters.count("Limit", 10, MOST),
    );
    Ok(Object::listed(
        "Addresses",
        found.into_iter().map(record).collect(),
    ))
}

/// `/v1/compl/` and `/v1/funnelcompl/`.
pub(crate) fn complements(parameters: &Parameters) -> Answered {
    require(parameters, &["StreetId", "StreetNumber", "Country"])?;
    let Some(place) = by_id(parameters.text("StreetId"), parameters.text("StreetNumber")) else {
        return Ok(Object::listed("AdditionalAddresses", Vec::new()));
    };
    let list = place.buildings().iter().map(|building| {
        Object::new()
            .with("AdditionalAddress", *building)
            .with("PostalCode", place.city.postcode)
    });
    let (latitude, longitude) = place.position();
    let position = Object::new()
        .with("Latitude", latitude)
        .with("Longitude", longitude);
    Ok(Object::listed("AdditionalAddresses", list.collect()).with("Geolocalisation", position))
}

/// `/v1/funnelpostcode/`.
pub(crate) fn cities(parameters: &Parameters) -> Answered {
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
    Ok(Object::listed("Cities", list.collect()))
}

/// `/v1/funneladdress/`.
pub(crate) fn streets(parameters: &Parameters) -> Answered {
    require(parameters, &["CityId", "Country", "Street"])?;
    let most = parameters.count("Limit", 10, MOST);
    let found = search_in(parameters.text("CityId"), parameters.text("Street"), most);
    Ok(Object::listed(
        "Addresses",
        found.into_iter().map(record).collect(),
    ))
}

fn record(place: Place) -> Object {
    Object::new()
        .with("Label", place.label())
        .with("StreetId", place.street.id)
        .with("StreetNumber", place.number_text())
        .with("Street", place.street_line())
        .with("CityId", place.city.id)
        .with("City", place.city.name)
        .with("PostalCode", place.city.postcode)
        .with("Country", place.city.country)
}
