//! Finding streets and cities among the few the sandbox knows. Pure.

use std::sync::LazyLock;

use super::data::{CITIES, City, Street};
use super::spelling::fold;

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

    /// `5 RUE DES PYRENEES|75020 PARIS`.
    pub(crate) fn label(self) -> String {
        format!("{}|{} {}", self.line(), self.city.postcode, self.city.name)
    }

    /// The buildings at this house number.
    pub(crate) fn buildings(self) -> &'static [&'static str] {
        if self.number == Some(5) {
            self.street.buildings
        } else {
            &[]
        }
    }

    /// The statistical district: made up, but always the same for the same street.
    pub(crate) fn iris(self) -> String {
        self.street.id.chars().skip(5).collect()
    }
}

/// Streets every word of `typed` fits, best first: those that have the typed house number.
pub(crate) fn search(typed: &str, country: &str, most: usize) -> Vec<Place> {
    let cities = CITIES
        .iter()
        .filter(|city| city.country.eq_ignore_ascii_case(country.trim()));
    matching(cities, typed, most)
}

/// The same within one city.
pub(crate) fn search_in(city_id: &str, typed: &str, most: usize) -> Vec<Place> {
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

/// Cities whose postcode or name begins as typed.
pub(crate) fn cities_named(typed: &str, country: &str) -> Vec<&'static City> {
    let typed = fold(typed);
    let in_country = |city: &&City| city.country.eq_ignore_ascii_case(country.trim());
    let named = |city: &&City| city.postcode.starts_with(&typed) || city.name.starts_with(&typed);
    CITIES.iter().filter(in_country).filter(named).collect()
}

/// A street by its id, and the house if its number exists.
pub(crate) fn by_id(street_id: &str, number: &str) -> Option<Place> {
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

/// `1;2;3…`, at most 1024 characters, as documented.
pub(crate) fn house_numbers(street: &Street) -> &'static str {
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

    #[test]
    fn the_house_number_decides_who_comes_first() {
        let found = search("300 rue des pyr", "FRA", 20);
        assert_eq!(found.first().map(|place| place.number), Some(Some(300)));
        assert!(found.len() > 1);
    }
}
