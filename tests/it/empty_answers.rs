//! An empty answer with status 200: as DQE says no on many paths when the token
//! is dead, and as it says that nothing was found. The first is replayed, the
//! second is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dqe_proxy::sandbox::Scope;

use crate::support::{Connection, Running, Setup, eventually};

const FOUND: &str = "/SINGLEV2/?Adresse=5%20rue%20des%20pyr&Pays=FRA";
const NOT_FOUND: &str = "/SINGLEV2/?Adresse=zzzzzz&Pays=FRA";

fn replays(running: &Running, route: &str) -> f64 {
    let line = format!("dqe_proxy_replays_total{{route=\"{route}\"}}");
    running.metric(&line).unwrap_or_default()
}

/// Calls to the token endpoint for one scope.
fn token_calls(running: &Running, scope: Scope) -> usize {
    let journal = running.dqe.sandbox.journal();
    let of_scope = journal
        .iter()
        .filter(|entry| entry.token_endpoint && entry.scope == Some(scope));
    of_scope.count()
}

/// The paths whose refusal looks like an honest empty answer: `{}`, nothing at
/// all (`ADR`, `MAILSUGGEST`), or coordinates of nothing (`LATLG`, `SINGLE`).
const SILENT: &[(&str, Scope, &str)] = &[
    (FOUND, Scope::Address, "PYRENEES"),
    (
        "/ADR/?IDLocalite=75120&Adresse=pyr&Pays=FRA",
        Scope::Address,
        "PYRENEES",
    ),
    (
        "/CP/?CodePostal=75020&Pays=FRA&Alpha=True",
        Scope::Address,
        "PARIS",
    ),
    (
        "/RNVP/?Adresse=|5+rue+des+pyrenees||75020|PARIS&Pays=FRA",
        Scope::Address,
        "75120",
    ),
    (
        "/COMPLV2/?IDVoie=751207837&IDNum=5&Pays=FRA",
        Scope::Address,
        "BATIMENT",
    ),
    (
        "/NUM/?IDVoie=751207837&IDLocalite=75120&CodePostal=75020&Pays=FRA&Numero=5",
        Scope::Address,
        "ListeNumero",
    ),
    (
        "/LATLG/?IDVoie=751207837&Num=5&Pays=FRA",
        Scope::Address,
        "48.",
    ),
    (
        "/SINGLE/?Pays=FRA&Lat=48.86&Lon=2.40&DistAdr=1",
        Scope::Address,
        "PYRENEES",
    ),
    ("/FIRSTNAMESUGGEST/?Firstname=ali", Scope::Civility, "ALI"),
    (
        "/FIRSTNAMESUGGEST/?Firstname=ali&callback=cb",
        Scope::Civility,
        "ALI",
    ),
    (
        "/LASTNAMESUGGEST/?Lastname=dupont",
        Scope::Civility,
        "DUPONT",
    ),
    (
        "/MAILSUGGEST/?Nom=doe&Prenom=john&Email=j",
        Scope::Email,
        "suggest",
    ),
    (
        "/RECSIRET/?CompanyName=boulangerie&Country=FRA&Dictionary=Y",
        Scope::B2b,
        "BOULANGERIE",
    ),
    (
        "/SIRETINFO/?SEARCH_REF=_1&Country=FRA",
        Scope::B2b,
        "BOULANGERIE",
    ),
    (
        "/SEARCH/?LastName=DUPONT&FirstName=JEAN&Address=5+RUE+DES+PYRENEES&PostalCode=75020&City=PARIS&Version=2",
        Scope::IdCheck,
        "FOUND",
    ),
    (
        "/GETINFOLIFESTYLE/?Address=5+rue+des+pyrenees&PostalCode=75020",
        Scope::General,
        "TYPE",
    ),
];

#[test]
fn an_empty_answer_counts_when_the_token_is_past_its_renewal_point() {
    let threads: Vec<_> = SILENT
        .iter()
        .map(|(target, scope, expected)| {
            std::thread::spawn(move || {
                let running = Setup::default()
                    .switch("classic-refusal=200")
                    .set("TOKEN_WAIT", "5s")
                    .token_life(Duration::from_secs(20))
                    .start();
                running.wait_until_ready();
                // The renewal that comes at half of the life takes its time.
                let sandbox = &running.dqe.sandbox;
                sandbox.set_switch("token-latency", "800ms").unwrap();
                let before = token_calls(&running, *scope);
                eventually("a renewal is under way", || {
                    token_calls(&running, *scope) > before
                });
                sandbox.revoke(*scope);
                let answer = running.get(target);
                assert_eq!(answer.status, 200, "{target}");
                assert!(
                    answer.text().contains(expected),
                    "{target}: {}",
                    answer.text()
                );
                assert_eq!(running.received().len(), 2, "{target}");
                assert_eq!(running.token_generation(*scope), Some(2.0), "{target}");
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn an_empty_answer_is_delivered_while_nothing_speaks_against_a_fresh_token() {
    let running = Running::start();
    running.wait_until_ready();
    for _ in 0..15 {
        let answer = running.get(NOT_FOUND);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    }
    assert_eq!(running.received().len(), 15);
    assert_eq!(running.token_generation(Scope::Address), Some(1.0));
}

#[test]
fn twenty_empty_answers_in_a_row_cause_one_renewal_and_no_replay() {
    let running = Setup::default()
        .switch("classic-refusal=200")
        .set("LISTENER_THREADS", "1")
        .start();
    running.wait_until_ready();
    running.dqe.sandbox.revoke(Scope::Address);
    let generation = || running.token_generation(Scope::Address);
    for number in 1..=20 {
        assert_eq!(generation(), Some(1.0), "before call {number}");
        assert_eq!(running.get(FOUND).text(), "{}", "call {number}");
    }
    eventually("the token is renewed", || generation() == Some(2.0));
    eventually("calls are answered again", || {
        running.get(FOUND).text() != "{}"
    });
    for _ in 0..50 {
        assert_eq!(running.get(NOT_FOUND).text(), "{}");
    }
    assert_eq!(generation(), Some(2.0), "at most once a minute");
    assert_eq!(replays(&running, "/SINGLEV2/"), 0.0);
}

#[test]
fn honest_empty_answers_at_load_are_hardly_ever_replayed() {
    const LIFE: Duration = Duration::from_secs(12);
    const CALLERS: usize = 4;
    let begun = Instant::now();
    let running = Setup::default().token_life(LIFE).start();
    running.wait_until_ready();
    let generation = || running.token_generation(Scope::Address);
    let stop = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (stop, calls, address) = (Arc::clone(&stop), Arc::clone(&calls), running.address);
            std::thread::spawn(move || {
                let mut connection = Connection::open(address);
                while !stop.load(Ordering::Relaxed) {
                    // An answer that finds something ends the row, which the four
                    // callers together never make twenty long.
                    for target in std::iter::repeat_n(NOT_FOUND, 4).chain([FOUND]) {
                        connection.send_get(target);
                        assert_eq!(connection.answer().status, 200);
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let made = || calls.load(Ordering::Relaxed);
    // However long that takes, as long as they go on.
    while made() < 8_000 || generation() == Some(1.0) {
        let before = made();
        eventually("calls go on", || made() > before);
    }
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    let calls = calls.load(Ordering::Relaxed) as f64;
    let replays = replays(&running, "/SINGLEV2/");
    let renewals = generation().unwrap() - 1.0;
    // One that comes while a renewal is due is replayed: one for each caller. Of the few
    // calls that a busy machine makes between two renewals that may be more.
    let most = (calls / 1000.0).max(renewals * CALLERS as f64);
    assert!(replays <= most, "{replays} of {calls}, {renewals} renewals");
    // A token is renewed when 45 % of its life are over, and not before.
    let most = (begun.elapsed().as_secs_f64() / LIFE.mul_f64(0.45).as_secs_f64()).floor();
    assert!(renewals <= most, "{renewals} where {most} were due");
}

#[test]
fn an_empty_answer_takes_no_token_out_of_use_while_the_token_endpoint_is_down() {
    let running = Setup::default().token_life(Duration::from_secs(6)).start();
    running.wait_until_ready();
    running.dqe.sandbox.set_fault("token:status=503").unwrap();
    let before = token_calls(&running, Scope::Address);
    eventually("a renewal has failed", || {
        token_calls(&running, Scope::Address) > before
    });
    for _ in 0..5 {
        let empty = running.get(NOT_FOUND);
        assert_eq!((empty.status, empty.text().as_str()), (200, "{}"));
        assert_eq!(running.get(FOUND).status, 200);
    }
    assert_eq!(replays(&running, "/SINGLEV2/"), 0.0);
}
