//! Values that cannot be: of the wrong shape, without sense, or at odds with another.

use super::*;

#[test]
fn a_server_that_is_the_proxy_itself_is_refused() {
    let own = "this is an address the proxy itself listens on";
    for (listener, server, is_own) in [
        ("127.0.0.1:8600", "http://127.0.0.1:8600", true),
        ("127.0.0.1:8600", "http://localhost:8600", true),
        ("127.0.0.1:8600", "https://localhost:8600", true),
        ("[::1]:8600", "http://[::1]:8600", true),
        ("0.0.0.0:8600", "http://127.0.0.1:8600", true),
        ("127.0.0.1:8600", "http://127.0.0.1:9090", true),
        ("127.0.0.1:8600", "http://127.0.0.1:8601", false),
        ("127.0.0.1:8600", "http://127.0.0.2:8600", false),
        ("127.0.0.1:8600", "https://dqe.example:8600", false),
        ("127.0.0.1:0", "http://127.0.0.1:1", false),
    ] {
        let outcome = with_minimum(&format!(
            "[listener]\naddress = \"{listener}\"\nallow = [\"private\"]\n\
             [dqe]\nservers = [\"{server}\"]"
        ));
        let problems = outcome.map_or_else(|error| lines(&error), |_| Vec::new());
        let expected = is_own.then(|| format!("5:12: dqe.servers: {own}"));
        assert_eq!(problems, Vec::from_iter(expected), "{listener} {server}");
    }
}

#[test]
fn an_empty_item_hides_no_other_one() {
    let error = with_minimum("[listener]\nallow = [\"\", \"10.0.0.0/33\"]").unwrap_err();
    assert_eq!(
        lines(&error),
        [
            "2:10: listener.allow: an empty item",
            "2:14: listener.allow: not a network",
        ]
    );
}

#[test]
fn values_of_the_wrong_shape_are_refused() {
    for (text, expected, hint) in [
        (
            "[listener]\naddress = 8080",
            "2:11: listener.address: text is expected here, not a whole number",
            "\"127.0.0.1:8080\"",
        ),
        (
            "[listener]\naddress = \"\"",
            "2:11: listener.address: is empty",
            "value",
        ),
        (
            "[listener]\nallow = \"private\"",
            "2:9: listener.allow: a list of texts is expected here, not text",
            "[\"loopback\"]",
        ),
        (
            "[listener]\nallow = [\"private\", 1]",
            "2:21: listener.allow: an item that is a whole number, not text",
            "quotes",
        ),
        (
            "[listener]\nthreads = -1",
            "2:11: listener.threads: a whole number from 0 to 1024 is expected here",
            "threads = 0",
        ),
        (
            "[listener]\nthreads = 99999999999999999999",
            "2:11: listener.threads: a whole number from 0 to 1024 is expected here",
            "threads",
        ),
        (
            "[listener]\nthreads = \"4\"",
            "2:11: listener.threads: a whole number is expected here, not text",
            "threads = 0",
        ),
        (
            "[listener]\nidle_timeout = \"75\"",
            "2:16: listener.idle_timeout: a duration needs a unit",
            "\"3s\"",
        ),
        (
            "[listener]\nidle_timeout = 1.5",
            "2:16: listener.idle_timeout: a duration needs a unit",
            "\"3s\"",
        ),
        (
            "[listener]\nidle_timeout = \"1d\"",
            "2:16: listener.idle_timeout: not a duration",
            "\"3s\"",
        ),
        (
            "[listener]\nidle_timeout = \"0s\"",
            "2:16: listener.idle_timeout: this duration cannot be zero",
            "unit",
        ),
        (
            "[listener]\nmax_body = 1048576",
            "2:12: listener.max_body: a size needs a unit",
            "\"64KiB\" or \"10MiB\"",
        ),
        (
            "[listener]\nmax_body = \"10MB\"",
            "2:12: listener.max_body: not a unit of sizes",
            "\"64KiB\", \"10MiB\" or \"1GiB\"",
        ),
        (
            "[listener]\nmax_head = \"512B\"",
            "2:12: listener.max_head: a size from 1KiB to 1MiB is expected here",
            "unit",
        ),
        (
            "[listener]\nmax_memory = \"1MiB\"",
            "2:14: listener.max_memory: a size from 16MiB to 1024GiB is expected here",
            "or write \"0\"",
        ),
        (
            "[listener]\nmax_fields = 0",
            "2:14: listener.max_fields: a whole number from 1 to 1000 is expected here",
            "max_fields = 100",
        ),
        (
            "[[route]]\npath=\"/a\"\nscope=\"client_b2b\"\nmax_body = [1]",
            "4:12: route.max_body: a size is expected here, not a list",
            "\"64KiB\"",
        ),
        (
            "[drain]\ndelay = \"-2s\"",
            "2:9: drain.delay: a duration cannot be negative",
            "unit",
        ),
        (
            "[drain]\ndelay = 1979-05-27",
            "2:9: drain.delay: a duration is expected here, not a date",
            "\"2s\"",
        ),
        (
            "[log]\naccess = \"true\"",
            "2:10: log.access: true or false is expected here, not text",
            "true",
        ),
        (
            "[log]\nlevel = \"warning\"",
            "2:9: log.level: not a word this key knows",
            "did you mean \"warn\"?",
        ),
        (
            "[log]\nformat = \"xml\"",
            "2:10: log.format: not a word this key knows",
            "auto, json, text",
        ),
        (
            "[dqe]\nscopes = \"client_email\"",
            "2:10: dqe.scopes: \"auto\" or a list of texts is expected here, not text",
            "scopes = [\"…\"",
        ),
        (
            "[dqe]\nlicence = { a = 1 }",
            "2:11: dqe.licence: text is expected here, not a table",
            "licence",
        ),
    ] {
        check(text, expected, hint);
    }
}

#[test]
fn values_without_sense_are_refused() {
    for (text, expected, hint) in [
        (
            "[listener]\naddress = \"localhost:8080\"",
            "2:11: listener.address: not an address with a port",
            "127.0.0.1:8080",
        ),
        (
            "[listener]\naddress = \":8080\"",
            "2:11: listener.address: not an address with a port",
            "0.0.0.0:8080",
        ),
        (
            "[listener]\naddress = \"0.0.0.0:8080\"",
            "2:11: listener.address: an address other machines can reach needs to be told who may call",
            "allow = [\"private\"]",
        ),
        (
            "[listener]\nallow = []",
            "2:9: listener.allow: an empty list lets nobody call",
            "loopback, private, any",
        ),
        (
            "[listener]\nallow = [\"any\", \"privat\"]",
            "2:17: listener.allow: not a network",
            "did you mean \"private\"?",
        ),
        (
            "[listener]\nallow = [\"10.0.0.0/33\"]",
            "2:10: listener.allow: not a network",
            "10.1.0.0/16",
        ),
        (
            "[listener]\nhosts = [\"a\", \"dqe:8080\"]",
            "2:15: listener.hosts: a host has no port here",
            "without",
        ),
        (
            "[cors]\norigins = [\"https://a.example\", \"intranet\"]",
            "2:33: cors.origins: an origin begins with https:// or http://",
            "https://",
        ),
        (
            "[cors]\norigins = [\"any\"]",
            "2:12: cors.origins: origins are named one by one: any page could spend the account",
            "https://intranet.example",
        ),
        (
            "[cors]\norigins = \"https://a.example\"",
            "2:11: cors.origins: a list of texts is expected here, not text",
            "[",
        ),
        (
            "[listener]\naddress = \"127.0.0.1:9090\"",
            "2:11: listener.address: callers and operators need a port each",
            "same port",
        ),
        (
            "[admin]\naddress = \"127.0.0.1:8080\"",
            "2:11: admin.address: callers and operators need a port each",
            "same port",
        ),
        (
            "[admin]\naddress = \"on\"",
            "2:11: admin.address: not an address with a port",
            "or \"off\"",
        ),
        (
            "[dqe]\nservers = []",
            "2:11: dqe.servers: no server is named",
            "one server",
        ),
        (
            "[dqe]\nservers = [\"https://a.example\", \"https://b.example\"]",
            "2:33: dqe.servers: more than one server: failover is not available yet",
            "exactly one",
        ),
        (
            "[dqe]\nscopes = []",
            "2:10: dqe.scopes: an empty list leaves nothing to forward",
            "auto",
        ),
        (
            "[dqe]\nscopes = [\"auto\"]",
            "2:11: dqe.scopes: \"auto\" stands alone, not in a list",
            "scopes = \"auto\"",
        ),
        (
            "[dqe]\nscopes = [\"client_mail\"]",
            "2:11: dqe.scopes: not a scope of DQE",
            "client_email",
        ),
        (
            "[dqe]\nenable = [\"GDPR_MSGS\"]",
            "2:11: dqe.enable: not a path with side effects",
            "GDPR_MSG",
        ),
        (
            "[dqe]\nenable = [\"TEL\"]",
            "2:11: dqe.enable: this path has no side effects",
            "already",
        ),
        (
            "[dqe]\nenable = [\"IDMOBIL\"]",
            "2:11: dqe.enable: not a path with side effects",
            "did you mean \"IDMOBILE\"?",
        ),
        (
            "[dqe]\nscopes = [\"client_idmobile\"]",
            "2:11: dqe.scopes: ID Mobile has a token endpoint of its own",
            "when enable names IDMOBILE",
        ),
        (
            "[id_mobile]\nclient_secret = \"hunter2\"",
            "2:1: id_mobile.client_secret: a secret does not stand in the settings file",
            "client_secret_file",
        ),
    ] {
        check(text, expected, hint);
    }
    for server in [
        "http://dqe.example",
        "dqe.example",
        "https://dqe.example/path",
        "https://me:hunter2@dqe.example",
    ] {
        let error = with_minimum(&format!("[dqe]\nservers = [\"{server}\"]")).unwrap_err();
        assert_eq!(error.as_slice().len(), 1, "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn an_overridden_value_is_checked_all_the_same() {
    let file = Written::new("[log]\nlevel = \"loud\"\n");
    let error = file.load(&[MINIMUM[0], MINIMUM[1], ("DQE_PROXY_LOG_LEVEL", "info")]);
    assert_eq!(
        lines(&error.unwrap_err()),
        ["2:9: log.level: not a word this key knows"]
    );
}
