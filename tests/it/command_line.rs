//! The program as its users start it.

use std::process::{Command, Output};

use crate::support::Stopwatch;

fn dqe_proxy(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dqe-proxy"));
    command.args(arguments).env_clear();
    for (name, value) in variables {
        command.env(name, value);
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_demonstration_is_right_when_dqe_is_and_says_so_when_it_is_not() {
    let right = dqe_proxy(&["demo", "--once"], &[]);
    let shown = text(&right.stdout);
    assert!(right.status.success(), "{shown}{}", text(&right.stderr));
    for word in [
        "/SINGLEV2/",
        "/TEL/",
        "/DQEEMAILLOOKUP/",
        "/FIRSTNAMESUGGEST/",
        "/RECSIRET/",
        "/SEARCH/",
    ] {
        assert!(shown.contains(&format!("caller  → GET {word}")), "{word}");
        assert!(shown.contains(&format!("DQE got → GET {word}")), "{word}");
    }
    assert!(shown.contains("authorization: Bearer TK"), "{shown}");
    let received = || shown.lines().filter(|line| line.contains("DQE got → "));
    let licences: Vec<&str> = received()
        .filter_map(|line| Some(line.split_once("Licence=")?.1))
        .collect();
    assert_eq!(licences.len(), 7, "{shown}");
    for licence in licences {
        assert!(licence.starts_with("TK"), "the caller's own: {licence}");
        assert_eq!(licence.chars().count(), 9, "a whole token: {licence}");
    }
    assert!(!shown.contains("sandbox-secret"));

    for fault in [
        "business:wrong-answer",
        "business:status=500",
        "token:status=503",
        "business:unauthorized",
    ] {
        let wrong = dqe_proxy(&["demo", "--once", "--fault", fault], &[]);
        assert_eq!(wrong.status.code(), Some(1), "{fault}");
        assert!(text(&wrong.stderr).contains("wrong:"), "{fault}");
    }
}

#[test]
fn bad_settings_end_with_78_and_bad_usage_with_2() {
    assert_eq!(dqe_proxy(&["run"], &[]).status.code(), Some(78));
    assert_eq!(
        dqe_proxy(&[], &[]).status.code(),
        Some(78),
        "run is the default"
    );
    assert_eq!(dqe_proxy(&["check"], &[]).status.code(), Some(78));
    assert_eq!(dqe_proxy(&["chekc"], &[]).status.code(), Some(2));
    assert_eq!(dqe_proxy(&["run", "--unknown"], &[]).status.code(), Some(2));
    for (arguments, told) in [
        (["demo", "--fault", "hung"], "there is no fault \"hung\""),
        (["sandbox", "--fault", "token:status=x"], "status"),
        (
            ["sandbox", "--switch", "nope=1"],
            "there is no switch \"nope\"",
        ),
        (["sandbox", "--switch", "gzip"], "name=value"),
        (["token", "--scope", "client_adress"], "client_address"),
    ] {
        let output = dqe_proxy(&arguments, &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}

#[test]
fn a_port_in_use_is_a_runtime_failure_that_names_the_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = dqe_proxy(
        &["run"],
        &[
            ("DQE_LICENCE", "X"),
            ("DQE_CLIENT_SECRET", "hunter2"),
            ("DQE_PROXY_LISTENER_ADDRESS", &address),
            ("DQE_PROXY_ADMIN_ADDRESS", "off"),
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains(&address) && said.contains("listener.address"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn healthcheck_of_nobody_fails_within_a_second() {
    let watch = Stopwatch::start();
    let output = dqe_proxy(&["healthcheck", "--address", "127.0.0.1:1"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(watch.elapsed() < std::time::Duration::from_secs(2));
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_no_text_is_wrong_usage() {
    use std::os::unix::ffi::OsStrExt;
    let output = Command::new(env!("CARGO_BIN_EXE_dqe-proxy"))
        .arg(std::ffi::OsStr::from_bytes(b"\xff"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(target_os = "linux")]
#[test]
fn output_nobody_takes_changes_no_exit_code() {
    let full = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_dqe-proxy"))
            .args(arguments)
            .env_clear()
            .stdout(full())
            .stderr(full())
            .status()
            .unwrap()
            .code()
    };
    assert_eq!(run(&["demo", "--once"]), Some(0));
    assert_eq!(run(&["check"]), Some(78));
    assert_eq!(run(&["run"]), Some(78));
    assert_eq!(run(&["token"]), Some(78));
    assert_eq!(run(&["chekc"]), Some(2));
}
