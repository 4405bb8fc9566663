//! The small world the sandbox knows: cities, streets, companies, names. Invented or public
//! knowledge; nobody lives here.

/// A city under one postcode.
#[derive(Debug)]
pub(crate) struct City {
    /// `IDLocalite`.
    pub(crate) id: &'static str,
    pub(crate) postcode: &'static str,
    pub(crate) name: &'static str,
    pub(crate) country: &'static str,
    /// Large towns have error codes of their own in `/RNVP/`.
    pub(crate) large: bool,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) streets: &'static [Street],
}

/// A street, its houses numbered from 1 to `houses`.
#[derive(Debug)]
pub(crate) struct Street {
    /// `IDVoie`.
    pub(crate) id: &'static str,
    /// `RUE`, `AVENUE`…
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
    pub(crate) houses: u32,
    /// Buildings at house number 5.
    pub(crate) buildings: &'static [&'static str],
}

const fn street(id: &'static str, kind: &'static str, name: &'static str, houses: u32) -> Street {
    Street {
        id,
        kind,
        name,
        houses,
        buildings: &[],
    }
}

/// Every city known.
pub(crate) const CITIES: &[City] = &[
    City {
        id: "75120",
        postcode: "75020",
        name: "PARIS",
        country: "FRA",
        large: true,
        latitude: 48.8634,
        longitude: 2.4012,
        streets: &[
            Street {
                id: "751207837",
                kind: "RUE",
                name: "DES PYRENEES",
                houses: 403,
                buildings: &["BATIMENT A", "BATIMENT B", "ESCALIER 1"],
            },
            street("751200722", "RUE", "DE BAGNOLET", 180),
            street("751203921", "AVENUE", "GAMBETTA", 256),
            street("751205955", "RUE", "DE MENILMONTANT", 156),
            street("751201919", "BOULEVARD", "DE CHARONNE", 214),
            street("751207835", "PASSAGE", "DES PYRENEES", 12),
        ],
    },
    City {
        id: "75101",
        postcode: "75001",
        name: "PARIS",
        country: "FRA",
        large: true,
        latitude: 48.8626,
        longitude: 2.3363,
        streets: &[
            street("751018224", "RUE", "DE RIVOLI", 248),
            street("751018475", "RUE", "SAINT HONORE", 274),
            street("751018037", "RUE", "DES PYRAMIDES", 29),
            street("751017511", "PLACE", "VENDOME", 28),
        ],
    },
    City {
        id: "75116",
        postcode: "75016",
        name: "PARIS",
        country: "FRA",
        large: true,
        latitude: 48.8637,
        longitude: 2.2769,
        streets: &[
            street("751169862", "AVENUE", "VICTOR HUGO", 203),
            street("751163575", "AVENUE", "FOCH", 90),
            street("751167310", "RUE", "DE PASSY", 96),
        ],
    },
    City {
        id: "69383",
        postcode: "69003",
        name: "LYON",
        country: "FRA",
        large: true,
        latitude: 45.7597,
        longitude: 4.8556,
        streets: &[
            street("693833855", "COURS", "LAFAYETTE", 280),
            street("693830925", "RUE", "DE BONNEL", 148),
            street("693833110", "AVENUE", "GEORGES POMPIDOU", 60),
        ],
    },
    City {
        id: "13201",
        postcode: "13001",
        name: "MARSEILLE",
        country: "FRA",
        large: true,
        latitude: 43.2980,
        longitude: 5.3800,
        streets: &[
            street("132011560", "", "LA CANEBIERE", 140),
            street("132018410", "RUE", "SAINT FERREOL", 90),
            street("132016480", "RUE", "PARADIS", 80),
        ],
    },
    City {
        id: "59350",
        postcode: "59000",
        name: "LILLE",
        country: "FRA",
        large: true,
        latitude: 50.6320,
        longitude: 3.0570,
        streets: &[
            street("593506620", "RUE", "NATIONALE", 320),
            street("593503710", "RUE", "FAIDHERBE", 44),
            street("593505320", "BOULEVARD", "DE LA LIBERTE", 220),
        ],
    },
    City {
        id: "44109",
        postcode: "44000",
        name: "NANTES",
        country: "FRA",
        large: true,
        latitude: 47.2130,
        longitude: -1.5610,
        streets: &[
            street("441092210", "RUE", "CREBILLON", 28),
            street("441091330", "RUE", "DU CALVAIRE", 36),
            street("441091590", "PLACE", "DE L EGLISE", 9),
        ],
    },
    City {
        id: "01004",
        postcode: "01500",
        name: "AMBERIEU EN BUGEY",
        country: "FRA",
        large: false,
        latitude: 45.9583,
        longitude: 5.3590,
        streets: &[
            street("010040030", "RUE", "ALEXANDRE BERARD", 112),
            street("010040310", "AVENUE", "GENERAL SARRAIL", 70),
            street("010040650", "RUE", "DE LA REPUBLIQUE", 85),
        ],
    },
    City {
        id: "01007",
        postcode: "01500",
        name: "AMBRONAY",
        country: "FRA",
        large: false,
        latitude: 46.0060,
        longitude: 5.3610,
        streets: &[
            street("010070120", "GRANDE RUE", "", 60),
            street("010070040", "PLACE", "DE L ABBAYE", 14),
        ],
    },
    City {
        id: "92040",
        postcode: "92130",
        name: "ISSY LES MOULINEAUX",
        country: "FRA",
        large: false,
        latitude: 48.8240,
        longitude: 2.2700,
        streets: &[
            street("920404680", "AVENUE", "VICTOR CRESSON", 118),
            street("920402150", "RUE", "ERNEST RENAN", 74),
        ],
    },
    City {
        id: "21004",
        postcode: "1000",
        name: "BRUXELLES",
        country: "BEL",
        large: true,
        latitude: 50.8503,
        longitude: 4.3517,
        streets: &[
            street("210040510", "RUE", "NEUVE", 150),
            street("210040820", "RUE", "ROYALE", 300),
        ],
    },
];

/// An establishment.
#[derive(Debug)]
pub(crate) struct Company {
    pub(crate) name: &'static str,
    pub(crate) siret: &'static str,
    pub(crate) address: &'static str,
    pub(crate) postcode: &'static str,
    pub(crate) city: &'static str,
    pub(crate) activity: &'static str,
}

const fn company(
    name: &'static str,
    siret: &'static str,
    address: &'static str,
    postcode: &'static str,
    city: &'static str,
    activity: &'static str,
) -> Company {
    Company {
        name,
        siret,
        address,
        postcode,
        city,
        activity,
    }
}

/// Every company known, all invented: their numbers fail the check digit, so that they are
/// nobody's.
pub(crate) const COMPANIES: &[Company] = &[
    company(
        "BOULANGERIE DES PYRENEES",
        "00000000100011",
        "12 RUE DES PYRENEES",
        "75020",
        "PARIS",
        "1071C",
    ),
    company(
        "LIBRAIRIE GAMBETTA",
        "00000000200019",
        "40 AVENUE GAMBETTA",
        "75020",
        "PARIS",
        "4761Z",
    ),
    company(
        "ATELIER RIVOLI",
        "00000000300017",
        "18 RUE DE RIVOLI",
        "75001",
        "PARIS",
        "7410Z",
    ),
    company(
        "ATELIER LAFAYETTE",
        "00000000400015",
        "77 COURS LAFAYETTE",
        "69003",
        "LYON",
        "7410Z",
    ),
    company(
        "TRANSPORTS DU BUGEY",
        "00000000500012",
        "3 AVENUE GENERAL SARRAIL",
        "01500",
        "AMBERIEU EN BUGEY",
        "4941A",
    ),
    company(
        "PHARMACIE NATIONALE",
        "00000000600010",
        "101 RUE NATIONALE",
        "59000",
        "LILLE",
        "4773Z",
    ),
    company(
        "MENUISERIE CREBILLON",
        "00000000700018",
        "7 RUE CREBILLON",
        "44000",
        "NANTES",
        "4332A",
    ),
    company(
        "SAVONNERIE CANEBIERE",
        "00000000800016",
        "55 LA CANEBIERE",
        "13001",
        "MARSEILLE",
        "2041Z",
    ),
];

/// First names with `F`, `M` or `I` (either).
pub(crate) const FIRST_NAMES: &[(&str, &str)] = &[
    ("F", "ALICE"),
    ("F", "ALICE-ANNE"),
    ("F", "ALICIA"),
    ("M", "ALEXANDRE"),
    ("F", "ALEXANDRA"),
    ("I", "ALEX"),
    ("M", "ANTOINE"),
    ("F", "BEATRICE"),
    ("M", "BENOIT"),
    ("I", "CAMILLE"),
    ("F", "CHLOE"),
    ("I", "DOMINIQUE"),
    ("F", "ELODIE"),
    ("M", "ETIENNE"),
    ("M", "FRANCOIS"),
    ("F", "FRANCOISE"),
    ("M", "JEAN"),
    ("M", "JEAN-PIERRE"),
    ("F", "JEANNE"),
    ("M", "LOUIS"),
    ("F", "LOUISE"),
    ("F", "MARIE"),
    ("F", "MARIE-CLAUDE"),
    ("M", "PAUL"),
    ("M", "PIERRE"),
    ("F", "SOPHIE"),
    ("M", "THEO"),
    ("F", "ZOE"),
];

/// Last names.
pub(crate) const LAST_NAMES: &[&str] = &[
    "BERNARD", "BERTRAND", "DAVID", "DUBOIS", "DUPOND", "DUPONT", "DUPRE", "DURAND", "FONTAINE",
    "FOURNIER", "GARCIA", "GIRARD", "LAMBERT", "LEFEBVRE", "LEROY", "MARTIN", "MERCIER", "MOREAU",
    "PETIT", "RICHARD", "ROBERT", "ROUX", "SIMON", "THOMAS",
];

/// E-mail domains in common use, for suggestions and corrections.
pub(crate) const MAIL_DOMAINS: &[&str] = &[
    "gmail.com",
    "hotmail.com",
    "hotmail.fr",
    "outlook.com",
    "outlook.fr",
    "yahoo.fr",
    "yahoo.com",
    "orange.fr",
    "free.fr",
    "sfr.fr",
    "laposte.net",
    "wanadoo.fr",
    "icloud.com",
    "example.com",
    "example.fr",
];
