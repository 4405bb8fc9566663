//! `[[route]]`, the catalogue and the scopes they lead to.

use super::*;
use crate::dqe::{Carriage, Scope};
use crate::proxy::route::{Pattern, Rule};

fn route(path: &str) -> String {
    format!("[[route]]\npath = '{path}'\nscope = \"client_email\"\n")
}

fn rule(pattern: Pattern, scope: Scope, side_effects: bool) -> Rule {
    Rule {
        pattern,
        scope,
        carriage: Carriage::Header,
        parameter: "Licence",
        side_effects,
        max_body: None,
    }
}

/// As [`rule`], of a path with a documented licence parameter.
fn both(pattern: Pattern, scope: Scope, side_effects: bool) -> Rule {
    Rule {
        carriage: Carriage::Both,
        ..rule(pattern, scope, side_effects)
    }
}

#[test]
fn a_route_stands_after_the_catalogue() {
    let config = with_minimum(
        "[[route]]\npath = \"/v1/New/lookup\"\nscope = \"client_email\"\n[[route]]\npath = \"/x/*\"\nscope = \"client_b2b\"\nside_effects = true\n",
    )
    .unwrap();
    let routes = &config.proxy.routes;
    assert_eq!(
        routes[0],
        both(Pattern::Exact("/SINGLEV2/".into()), Scope::Address, false)
    );
    assert_eq!(
        routes[routes.len() - 2..],
        [
            rule(Pattern::Exact("/v1/New/lookup".into()), Scope::Email, false),
            rule(Pattern::Below("/x/".into()), Scope::B2b, true),
        ]
    );
}

#[test]
fn paths_that_act_are_routes_only_when_enabled() {
    let acting = |text: &str| -> Vec<Rule> {
        let routes = with_minimum(text).unwrap().proxy.routes;
        routes
            .into_iter()
            .filter(|rule| rule.side_effects)
            .collect()
    };
    assert_eq!(acting(""), []);
    let message = both(Pattern::Exact("/GDPR_MSG/".into()), Scope::General, true);
    assert_eq!(
        acting("[dqe]\nenable = [\"gdpr_msg\", \"/GDPR_MSG/\"]"),
        [message]
    );
    assert_eq!(
        acting("[dqe]\nenable = [\"GDPR_VERIF\", \"GDPR_MSG\"]").len(),
        2
    );
}

#[test]
fn a_route_cannot_make_an_acting_path_harmless() {
    for path in ["/GDPR_MSG/", "/v1/gdpr_msg", "/GDPR_MSG/*"] {
        let error = with_minimum(&route(path)).unwrap_err();
        assert_eq!(
            lines(&error),
            ["2:8: route.path: GDPR_MSG has side effects and is not enabled"],
            "{path}"
        );
        let enabled = format!("[dqe]\nenable = [\"GDPR_MSG\"]\n{}", route(path));
        let routes = with_minimum(&enabled).unwrap().proxy.routes;
        assert!(routes.last().unwrap().side_effects, "{path}");
    }
}

#[test]
fn the_token_endpoint_is_refused_in_every_spelling() {
    for path in [
        "/oauth/access_token/",
        "/OAuth/Access_Token",
        "/oauth/*",
        "/v1/oauth/access_token",
        "/%6fauth/access_token/",
        "/%256fauth/access_token/",
        "/x/../oauth/access_token/",
        "/x/%2e%2e/oauth/access_token/",
        "/./oauth/",
        "//oauth/access_token/",
        "/\\oauth/access_token",
        "oauth/access_token",
        "/access_token/",
        "/oauth/access_token/?x=1",
        "/oauth;a=b/access_token",
    ] {
        let error = with_minimum(&route(path)).expect_err(path);
        assert_eq!(
            lines(&error),
            ["2:8: route.path: the token endpoint is never forwarded to"],
            "{path}"
        );
    }
}

#[test]
fn a_path_that_is_none_is_refused() {
    for (path, message) in [
        ("email/lookup", "a path begins with a slash"),
        ("https://dqe/x", "a path begins with a slash"),
        ("/x?a=b", "a route is a path, without query and fragment"),
        ("/x#a", "a route is a path, without query and fragment"),
        ("/a b", "a character that has no place in a path"),
        ("/é", "a character that has no place in a path"),
        ("/a\\b", "a character that has no place in a path"),
        ("/a%20b", "a route has no percent-encoded characters"),
        ("/a//b", "a path has no empty, \".\" or \"..\" segments"),
        ("/a/./b", "a path has no empty, \".\" or \"..\" segments"),
        ("/a/..", "a path has no empty, \".\" or \"..\" segments"),
        ("/a*", "a star stands at the end only, after a slash"),
        ("/*/b", "a star stands at the end only, after a slash"),
        ("/a/*/*", "a star stands at the end only, after a slash"),
        (
            "/*",
            "this covers every path, those with side effects included",
        ),
        (
            "/v1/*",
            "this covers every path, those with side effects included",
        ),
    ] {
        let error = with_minimum(&route(path)).expect_err(path);
        assert_eq!(
            lines(&error),
            [format!("2:8: route.path: {message}")],
            "{path}"
        );
    }
}

#[test]
fn two_routes_for_one_path_are_refused() {
    for (first, second, same) in [
        ("/a", "/A/", true),
        ("/a/*", "/A/*", true),
        ("/a", "/a/*", false),
        ("/a", "/b", false),
    ] {
        let outcome = with_minimum(&format!("{}{}", route(first), route(second)));
        let expected = same.then(|| vec!["5:8: route.path: line 2 has the same path".to_owned()]);
        assert_eq!(
            outcome.err().map(|error| lines(&error)),
            expected,
            "{first} {second}"
        );
    }
}

#[test]
fn a_route_needs_a_path_and_a_scope() {
    let error = with_minimum("[log]\n\n[[route]]\n\n[[route]]\npath = \"/a\"\nscope = \"client_emial\"\nsideeffects = true").unwrap_err();
    assert_eq!(
        lines(&error),
        [
            "3:1: route.path: this route has none",
            "3:1: route.scope: this route has none",
            "7:9: route.scope: not a scope of DQE",
            "8:1: route.sideeffects: unknown key",
        ]
    );
}

#[test]
fn auto_keeps_a_token_for_every_scope_a_rule_needs() {
    assert_eq!(with_minimum("").unwrap().token.scopes, Scope::OAUTH);
    let listed =
        with_minimum("[dqe]\nscopes = [\"client_phone\", \"client_email\", \"client_phone\"]")
            .unwrap();
    assert_eq!(listed.token.scopes, [Scope::Phone, Scope::Email]);
    // What is not listed stays known, so that the proxy can say what is missing.
    assert!(
        listed
            .proxy
            .routes
            .iter()
            .any(|rule| rule.scope == Scope::Address)
    );
}

#[test]
fn the_token_travels_as_documented_unless_dqe_or_the_route_says_otherwise() {
    use Carriage::{Both, Header, Licence};
    let routes = "[[route]]\npath = \"/v1/TEL\"\nscope = \"client_phone\"\n\
        [[route]]\npath = \"/new/path\"\nscope = \"client_b2b\"\n\
        [[route]]\npath = \"/ADR/\"\nscope = \"client_address\"\ncarriage = \"header\"\n\
        [[route]]\npath = \"/v1/IDMOBILE\"\nscope = \"client_idmobile\"\n";
    let paths = [
        "/CP/",
        "/email/lookup/",
        "/v1/TEL",
        "/new/path",
        "/ADR/",
        "/IDMOBILE/",
        "/v1/IDMOBILE",
    ];
    for (setting, expected) in [
        ("", [Both, Header, Both, Header, Header, Licence, Licence]),
        (
            "carriage = \"auto\"\n",
            [Both, Header, Both, Header, Header, Licence, Licence],
        ),
        (
            "carriage = \"header\"\n",
            [Header, Header, Header, Header, Header, Licence, Licence],
        ),
        (
            "carriage = \"licence\"\n",
            [Licence, Licence, Licence, Licence, Header, Licence, Licence],
        ),
        (
            "carriage = \"both\"\n",
            [Both, Both, Both, Both, Header, Licence, Licence],
        ),
    ] {
        let text = format!("[dqe]\nenable = [\"IDMOBILE\"]\n{setting}{routes}");
        let rules = with_minimum(&text).unwrap().proxy.routes;
        let last = |path: &str| rules.iter().rfind(|rule| rule.name() == path).unwrap();
        let found = paths.map(|path| last(path).carriage);
        assert_eq!(found, expected, "{setting}");
        let named = |path| (last(path).parameter, last(path).side_effects);
        assert_eq!(named("/IDMOBILE/"), ("token", true));
        assert_eq!(named("/v1/IDMOBILE"), ("token", true));
        assert_eq!(named("/new/path"), ("Licence", false));
    }
}

#[test]
fn relay_paths_are_paths_of_their_own() {
    assert_eq!(with_minimum("").unwrap().proxy.relays, [""; 0]);
    let text = "[relay]\npaths = [\"/dqe.php\", \"/S/dqe.asmx/Call\"]\n[[route]]\npath = \"/s/*\"\nscope = \"client_email\"\n";
    let relays = with_minimum(text).unwrap().proxy.relays;
    assert_eq!(relays, ["/dqe.php", "/S/dqe.asmx/Call"]);
    let of_a_route = "this is the path of a route, which a relay would hide";
    for (path, message) in [
        ("dqe.php", "a path begins with a slash"),
        ("/x/*", "a relay is one whole path"),
        ("/a%20b", "a route has no percent-encoded characters"),
        ("/a?b", "a route is a path, without query and fragment"),
        ("/a/../b", "a path has no empty, \".\" or \"..\" segments"),
        (
            "/oauth/access_token",
            "the token endpoint is never forwarded to",
        ),
        ("/tel", of_a_route),
        ("/v1/email/lookup", of_a_route),
        ("/GDPR_MSG/", of_a_route),
        ("/idmobile/", of_a_route),
        ("/Other/", of_a_route),
        ("/FIRST/", "this path stands in the list already"),
    ] {
        let text = format!(
            "[relay]\npaths = [\"/first\", '{path}']\n[[route]]\npath = \"/other\"\nscope = \"client_email\"\n"
        );
        let error = with_minimum(&text).unwrap_err();
        let expected = format!("2:20: relay.paths: {message}");
        assert_eq!(lines(&error), [expected], "{path}");
    }
}

#[test]
fn id_mobile_is_on_when_enabled_with_a_token_endpoint_and_a_secret_of_its_own() {
    let secret = |settings: &token::Settings| {
        let secret = settings.client_secret.read().unwrap();
        secret.expose_secret().to_owned()
    };
    let text = "[dqe]\nenable = [\"/idmobile/\"]\nscopes = [\"client_phone\"]\n\
        [token]\nserver = \"https://tokens.example\"\nmethod = \"get\"\nscope_parameter = \"scope\"\nextra_parameters = [\"key=value\"]\n";
    let config = with_minimum(text).unwrap();
    let own = config.id_mobile.unwrap();
    assert_eq!(own.url, "https://tokens.example/ACCESS_TOKEN/");
    assert_eq!(own.scopes, [Scope::IdMobile]);
    assert_eq!(secret(&own), "hunter2");
    assert_eq!(config.token.scopes, [Scope::Phone]);
    // Another parameter would be an error there.
    let asked = own.request.encoded("L", "S", Scope::IdMobile);
    assert_eq!(
        asked.as_str(),
        "licence=L&client_secret=S&grant_type=client_idmobile"
    );
    assert_eq!(own.request.method, crate::dqe::Method::Get);

    let file = Written::new(
        "[dqe]\nenable = [\"IDMOBILE\"]\nclient_secret_next_env = \"A_B\"\n[id_mobile]\nclient_secret_env = \"C_D\"\n",
    );
    let variables = [&MINIMUM[..], &[("A_B", "hunter3"), ("C_D", "hunter4")]].concat();
    let config = file.load(&variables).unwrap();
    assert!(!config.summary.to_string().contains("hunter"));
    assert!(
        config
            .summary
            .to_string()
            .contains("[id_mobile]\nclient_secret_env = \"C_D\"")
    );
    let own = config.id_mobile.unwrap();
    assert_eq!(
        (secret(&own), secret(&config.token)),
        ("hunter4".into(), "hunter2".into())
    );
    assert!(own.next_client_secret.is_none());
    assert!(config.token.next_client_secret.is_some());

    let file = Written::new("[id_mobile]\nclient_secret_env = \"C_D\"\n");
    let config = file.load(&variables).unwrap();
    assert!(config.id_mobile.is_none());
    let [warning] = &config.warnings[..] else {
        panic!("{:?}", config.warnings);
    };
    assert_eq!(warning.message, "ID Mobile is off: the secret is not used");
}

#[test]
fn id_mobile_and_its_scope_belong_together() {
    let enabled = "[dqe]\nenable = [\"IDMOBILE\"]\n[[route]]\npath = ";
    for (path, scope, message) in [
        (
            "/IDMOBILE/",
            "client_general",
            "ID Mobile takes tokens of its own",
        ),
        (
            "/new/",
            "client_idmobile",
            "this scope is for the path of ID Mobile alone",
        ),
    ] {
        let error = with_minimum(&format!("{enabled}\"{path}\"\nscope = \"{scope}\"\n"));
        let expected = format!("5:9: route.scope: {message}");
        assert_eq!(lines(&error.unwrap_err()), [expected], "{path}");
    }
    let off = with_minimum("[[route]]\npath = \"/IDMOBILE/\"\nscope = \"client_idmobile\"\n");
    assert_eq!(
        lines(&off.unwrap_err()),
        ["2:8: route.path: IDMOBILE has side effects and is not enabled"]
    );
}
