use super::*;

fn table(extra: &[(&str, Scope)]) -> RouteTable {
    table_beside(TokenPath::default(), extra)
}

fn table_beside(token_path: TokenPath, extra: &[(&str, Scope)]) -> RouteTable {
    let known = catalogue::CATALOGUE.iter().map(|entry| Rule {
        pattern: Pattern::Exact(format!("/{}/", entry.path)),
        scope: entry.scope,
        carriage: entry.carriage(),
        parameter: catalogue::LICENCE,
        side_effects: entry.side_effects,
        max_body: None,
    });
    let extra = extra.iter().map(|(path, scope)| Rule {
        pattern: match path.strip_suffix('*') {
            Some(prefix) => Pattern::Below(prefix.to_owned()),
            None => Pattern::Exact((*path).to_owned()),
        },
        scope: *scope,
        carriage: Carriage::Header,
        parameter: catalogue::LICENCE,
        side_effects: false,
        max_body: None,
    });
    let rules: Vec<Rule> = known.chain(extra).collect();
    RouteTable::new(&rules, token_path, |_| None)
}

fn scope(table: &RouteTable, path: &str) -> Result<Scope, NoRoute> {
    table.find(path).map(|index| table.route(index).scope)
}

#[test]
fn the_longest_path_a_rule_can_name_is_found_between_its_slashes() {
    let longest = format!("/{}", "x".repeat(MAX_PATH - 1));
    let table = table(&[(&longest, Scope::Phone)]);
    assert_eq!(scope(&table, &longest), Ok(Scope::Phone));
    assert_eq!(scope(&table, &format!("{longest}/")), Ok(Scope::Phone));
    let longer = format!("{longest}x");
    assert_eq!(scope(&table, &longer), Err(NoRoute::Unknown));
    assert_eq!(scope(&table, &longer.repeat(9)), Err(NoRoute::Unknown));
}

#[test]
fn a_catalogue_path_is_found_whole_in_any_case_with_or_without_slash_and_version() {
    let table = table(&[]);
    for (path, expected) in [
        ("/TEL/", Ok(Scope::Phone)),
        ("/TEL", Ok(Scope::Phone)),
        ("/tel/", Ok(Scope::Phone)),
        ("/v1/TEL/", Ok(Scope::Phone)),
        ("/V2/tel", Ok(Scope::Phone)),
        ("/v1/email/lookup", Ok(Scope::Email)),
        ("/v1/Email/Lookup/", Ok(Scope::Email)),
        ("/email/lookup", Ok(Scope::Email)),
        ("/SINGLE/", Ok(Scope::Address)),
        ("/v1/single/", Ok(Scope::Address)),
        ("/TEL/anything", Err(NoRoute::Unknown)),
        ("/TELX/", Err(NoRoute::Unknown)),
        ("/x/TEL/", Err(NoRoute::Unknown)),
        ("/v1/v1/TEL/", Err(NoRoute::Unknown)),
        ("/email", Err(NoRoute::Unknown)),
        ("/", Err(NoRoute::Unknown)),
        ("*", Err(NoRoute::Unknown)),
        ("", Err(NoRoute::Unknown)),
        ("/TEL//", Err(NoRoute::Ambiguous)),
        ("//TEL/", Err(NoRoute::Ambiguous)),
        ("/./TEL/", Err(NoRoute::Ambiguous)),
        ("/x/../TEL/", Err(NoRoute::Ambiguous)),
        ("/%54EL/", Err(NoRoute::Unknown)),
    ] {
        assert_eq!(scope(&table, path), expected, "{path}");
    }
    assert_eq!(
        scope(&table, &format!("/{}", "x".repeat(5000))),
        Err(NoRoute::Unknown)
    );
}

#[test]
fn a_rule_of_the_settings_replaces_and_extends_the_catalogue() {
    let table = table(&[
        ("/TEL/", Scope::General),
        ("/v1/email/lookup", Scope::General),
        ("/new/path", Scope::B2b),
        ("/old/*", Scope::Civility),
        ("/old/deep/*", Scope::IdCheck),
    ]);
    for (path, expected) in [
        ("/TEL/", Ok(Scope::General)),
        ("/v1/tel", Ok(Scope::General)),
        ("/v1/email/lookup", Ok(Scope::General)),
        ("/v2/email/lookup", Ok(Scope::Email)),
        ("/NEW/path/", Ok(Scope::B2b)),
        ("/v1/new/path", Err(NoRoute::Unknown)),
        ("/old/x", Ok(Scope::Civility)),
        ("/OLD/x/y", Ok(Scope::Civility)),
        ("/old/deep/x", Ok(Scope::IdCheck)),
        ("/old", Err(NoRoute::Unknown)),
    ] {
        assert_eq!(scope(&table, path), expected, "{path}");
    }
}

#[test]
fn each_pattern_stands_once_and_the_last_word_counts() {
    let rule = |pattern, scope| Rule {
        pattern,
        scope,
        carriage: Carriage::Header,
        parameter: catalogue::LICENCE,
        side_effects: false,
        max_body: None,
    };
    let exact = |path: &str| Pattern::Exact(path.to_owned());
    let below = |path: &str| Pattern::Below(path.to_owned());
    let rules = [
        rule(exact("/TEL/"), Scope::Phone),
        rule(below("/x/"), Scope::Phone),
        rule(exact("/x"), Scope::Email),
        rule(exact("/tel"), Scope::General),
        rule(below("/X/"), Scope::B2b),
    ];
    let kept: Vec<(String, Scope)> = in_force(&rules)
        .iter()
        .map(|rule| (rule.name(), rule.scope))
        .collect();
    let expected = [
        ("/tel", Scope::General),
        ("/X/*", Scope::B2b),
        ("/x", Scope::Email),
    ];
    assert_eq!(kept, expected.map(|(name, scope)| (name.to_owned(), scope)));
}

#[test]
fn no_spelling_reaches_the_token_endpoint_even_with_everything_below_root_routed() {
    let table = table(&[("/*", Scope::General), ("/v1/*", Scope::Email)]);
    assert_eq!(scope(&table, "/whatever"), Ok(Scope::General));
    for path in [
        "/oauth/access_token/",
        "/OAUTH/access_token/",
        "/oauth/access_token",
        "/v1/oauth/access_token/",
        "/v1/../oauth/access_token/",
        "//oauth/access_token/",
        "/%6fauth/access_token/",
        "/%6Fauth/access_token/",
        "/oauth%2faccess_token/",
        "/%2e%2e/oauth/access_token/",
        "/x\\..\\oauth/access_token/",
        "/x;/oauth/access_token/",
        "/./oauth/access_token/",
        "/oauth/%61ccess_token/",
        "/access_token/",
        "/ACCESS%5FTOKEN/",
        "/%256fauth/access_token/",
        "/%00/oauth/access_token/",
    ] {
        assert!(table.find(path).is_err(), "{path}");
    }
}

#[test]
fn an_encoded_path_goes_only_where_it_leads_decoded_too() {
    let table = table(&[
        ("/*", Scope::General),
        ("/x/*", Scope::Civility),
        ("/x/deep/*", Scope::IdCheck),
        ("/x/one", Scope::B2b),
    ]);
    for (path, expected) in [
        ("/x/%41%20b", Ok(Scope::Civility)),
        ("/x/50%25", Ok(Scope::Civility)),
        ("/x/%E9t%C3%A9", Ok(Scope::Civility)),
        ("/x/deep/%64eep", Ok(Scope::IdCheck)),
        ("/%79/z", Ok(Scope::General)),
        ("/x/%64eep/y", Err(NoRoute::Ambiguous)),
        ("/x/%2564eep/y", Err(NoRoute::Ambiguous)),
        ("/%78/y", Err(NoRoute::Ambiguous)),
        ("/x/%6fne", Err(NoRoute::Ambiguous)),
        ("/%54EL/", Err(NoRoute::Ambiguous)),
        ("/v1/T%45L", Err(NoRoute::Ambiguous)),
        ("/x/%252e%252e/oauth/access_token/", Err(NoRoute::Ambiguous)),
        ("/x/%25252e%25252e/TEL/", Err(NoRoute::Ambiguous)),
        ("/x/%252f/y", Err(NoRoute::Ambiguous)),
        ("/x/y%255cz", Err(NoRoute::Ambiguous)),
        ("/x/y%253bz", Err(NoRoute::Ambiguous)),
        ("/oauth%3fx", Err(NoRoute::Ambiguous)),
        ("/TEL%23", Err(NoRoute::Ambiguous)),
    ] {
        assert_eq!(scope(&table, path), expected, "{path}");
    }
}

#[test]
fn no_spelling_reaches_a_token_endpoint_that_the_settings_name() {
    let path = TokenPath::parse("/x/Auth/token/").unwrap();
    let routes = [("/x/*", Scope::General), ("/x/auth/token", Scope::Email)];
    let table = table_beside(path, &routes);
    for (path, expected) in [
        ("/x/auth/tokens", Ok(Scope::General)),
        ("/x/auth/", Ok(Scope::General)),
        ("/TEL/", Ok(Scope::Phone)),
        ("/x/auth/token/", Err(NoRoute::Unknown)),
        ("/x/auth/token", Err(NoRoute::Unknown)),
        ("/X/AUTH/TOKEN/", Err(NoRoute::Unknown)),
        ("/x/auth/token/more", Err(NoRoute::Unknown)),
        ("/x/%61uth/token/", Err(NoRoute::Unknown)),
        ("/x/%2561uth/token/", Err(NoRoute::Unknown)),
        ("/x/auth/tok%65n", Err(NoRoute::Unknown)),
        ("/x/auth/token%20", Err(NoRoute::Unknown)),
        ("/x/auth./token./", Err(NoRoute::Unknown)),
        ("/x/./auth/token/", Err(NoRoute::Ambiguous)),
        ("/x//auth/token/", Err(NoRoute::Ambiguous)),
        ("/x/auth%2ftoken/", Err(NoRoute::Ambiguous)),
        ("/x/auth;a=b/token/", Err(NoRoute::Ambiguous)),
        ("/x/y/../auth/token/", Err(NoRoute::Ambiguous)),
        // DQE's own stays closed besides.
        ("/oauth/access_token/", Err(NoRoute::Unknown)),
    ] {
        assert_eq!(scope(&table, path), expected, "{path}");
    }
}
