//! The engine's decisions played against scripted endpoints in simulated time:
//! hours and days pass in milliseconds, and clocks do as they like.

mod hedge;
mod million;
mod world;

use std::time::Duration;

use self::world::{Answer, HOUR, LIFE, SECOND, Token, World, failing};
use super::error::Reason;
use super::moment::Moment;
use super::schedule::{Granted, Rejection, Schedule};
use super::timing::Term;

#[test]
fn a_calm_day_is_gentle_and_never_without_a_token() {
    let mut world = World::new(1, 1);
    let endpoint = |world: &mut World, _| world.grant(LIFE);
    world.run(SECOND, endpoint, |_| {});
    world.run(24 * HOUR, endpoint, |world| assert!(world.usable(0)));
    let calls = world.calls.len();
    assert!(calls > 500 && calls <= 600, "{calls} calls");
}

#[test]
fn a_wrong_secret_costs_at_most_twenty_calls_in_the_first_hour() {
    for reason in [
        Reason::InvalidClient,
        Reason::ClientError,
        Reason::InvalidRequest,
        Reason::UnauthorizedScope,
        Reason::InternalError,
        Reason::Redirect,
    ] {
        let worlds = [(1, 1), (2, 1), (7, 1), (1, 2), (2, 2), (7, 2)];
        let paces = [50, 400, 1000, 2900].map(Duration::from_millis);
        for ((cells, secrets), after) in worlds.into_iter().flat_map(|it| paces.map(|p| (it, p))) {
            let mut world = World::new(cells, 2).with_secrets(secrets);
            let mut tried = [0; 2];
            let endpoint = |world: &mut World, _| {
                tried[world.secret] += 1;
                Answer {
                    after,
                    ..failing(reason)
                }
            };
            world.run(HOUR, endpoint, |_| {});
            let calls = world.calls.len();
            let context =
                format!("{reason:?}, {cells} scopes, {secrets} secrets, {after:?}: {calls} calls");
            assert!(calls <= 20, "{context}");
            assert!(calls >= 5, "{context}: given up");
            assert!(
                !reason.may_be_the_secret() || tried[secrets - 1] >= 2,
                "{context}, of them {tried:?}"
            );
        }
    }
}

#[test]
fn a_secret_that_stops_working_costs_few_calls() {
    let mut world = World::new(7, 3);
    world.run(HOUR, |world, _| world.grant(LIFE), |_| {});
    for reason in [Reason::InvalidClient, Reason::ClientError] {
        let before = world.calls.len();
        let end = world.time + HOUR;
        world.run(end, |_, _| failing(reason), |_| {});
        let calls = world.calls.len() - before;
        assert!(calls <= 40, "{reason:?}: {calls} calls");
        let end = world.time + HOUR;
        world.run(end, |world, _| world.grant(LIFE), |_| {});
        assert!((0..7).all(|cell| world.usable(cell)), "all come back");
    }
}

#[test]
fn every_scope_comes_back_with_the_probe_that_succeeds() {
    let mut world = World::new(7, 4);
    world.run(HOUR, |_, _| failing(Reason::ClientError), |_| {});
    let mut first = None;
    let end = world.time + HOUR;
    world.run(
        end,
        |world, _| world.grant(LIFE),
        |world| {
            if first.is_none() && (0..7).any(|cell| world.usable(cell)) {
                first = Some(world.time);
            }
            if let Some(first) = first
                && world.time > first + SECOND
            {
                assert!((0..7).all(|cell| world.usable(cell)));
            }
        },
    );
    assert!(first.is_some());
}

#[test]
fn a_scope_that_is_refused_never_keeps_the_others() {
    for reason in [
        Reason::InvalidClient,
        Reason::ClientError,
        Reason::UnauthorizedScope,
        Reason::InternalError,
        Reason::EndpointUnavailable,
    ] {
        for refused in 0..7 {
            let mut world = World::new(7, 5);
            let endpoint = |world: &mut World, index| {
                if index == refused {
                    failing(reason)
                } else {
                    world.grant(LIFE)
                }
            };
            // A refusal that speaks of the client is believed for 30 s at most.
            world.run(40 * SECOND, endpoint, |_| {});
            world.run(4 * HOUR, endpoint, |world| {
                for index in (0..7).filter(|index| *index != refused) {
                    assert!(world.usable(index), "{reason:?} at {:?}", world.time);
                }
            });
        }
    }
}

#[test]
fn an_outage_of_two_minutes_is_ridden_through_from_any_phase() {
    for phase in 0..100 {
        let mut world = World::new(1, phase);
        let begins = HOUR + LIFE.mul_f64(phase as f64 / 100.0);
        world.run(begins, |world, _| world.grant(LIFE), |_| {});
        // Normal operation: at least 45 % of the life is left.
        let left = world.seats[0].newest.unwrap().dies - world.time;
        if left < LIFE.mul_f64(0.45) {
            continue;
        }
        let ends = begins + 120 * SECOND;
        let down = |_: &mut World, _| failing(Reason::Unreachable);
        world.run(ends, down, |world| assert!(world.usable(0)));
        let after = ends + 20 * SECOND;
        world.run(
            after,
            |world, _| world.grant(LIFE),
            |world| {
                assert!(world.usable(0));
            },
        );
        let calls = world.calls.iter().filter(|(at, _)| *at >= begins).count();
        assert!(calls < 150, "{calls} calls during the outage");
    }
}

#[test]
fn after_a_long_outage_recovery_takes_less_than_a_second() {
    for (seed, reason) in [
        (1, Reason::Unreachable),
        (2, Reason::EndpointUnavailable),
        (3, Reason::InternalError),
        (4, Reason::HtmlReply),
        (5, Reason::Throttled),
    ] {
        let mut world = World::new(7, seed);
        world.run(HOUR, |world, _| world.grant(LIFE), |_| {});
        world.run(2 * HOUR, |_, _| failing(reason), |_| {});
        assert!(!world.usable(0));
        let back = 2 * HOUR + SECOND;
        world.run(back, |world, _| world.grant(LIFE), |_| {});
        for index in 0..7 {
            assert!(world.usable(index), "{reason:?}");
        }
    }
}

#[test]
fn retry_after_is_honoured_in_full_only_while_a_token_lives() {
    let ten_minutes = Some(600 * SECOND);
    let mut world = World::new(1, 6);
    world.run(SECOND, |world, _| world.grant(LIFE), |_| {});
    let throttled = |_: &mut World, _| Answer {
        what: Err((Reason::Throttled, ten_minutes)),
        ..failing(Reason::Throttled)
    };
    world.run(HOUR, throttled, |_| {});
    let calls: Vec<u64> = world.calls.iter().map(|(at, _)| at.as_secs()).collect();
    // One at the start, one near half life, then none until the token is unusable.
    assert!(calls[1] >= 135 && calls[1] <= 165, "{calls:?}");
    assert!(calls[2] >= 291 && calls[2] <= 292, "{calls:?}");
    for pair in calls[2..].windows(2) {
        assert!(
            pair[1] - pair[0] >= 60 && pair[1] - pair[0] <= 62,
            "{calls:?}"
        );
    }
}

/// A server that hands out one token until it dies, and tells the life it had
/// at first or what is left of it.
fn repeating(tells_rest: bool) -> impl FnMut(&mut World, usize) -> Answer {
    let mut issued: Option<Token> = None;
    move |world, _| {
        let mut token = issued
            .filter(|token| world.time < token.dies)
            .unwrap_or_else(|| world.token(LIFE));
        issued = Some(token);
        if tells_rest {
            token.says = Duration::from_secs((token.dies - world.time).as_secs());
        }
        let what = if token.says.is_zero() {
            Err((Reason::NoLife, None))
        } else {
            Ok(token)
        };
        Answer {
            after: Duration::from_millis(50),
            what,
        }
    }
}

#[test]
fn a_server_that_repeats_its_token_leaves_only_the_physical_gap() {
    for tells_rest in [false, true] {
        let mut world = World::new(1, 7);
        let mut endpoint = repeating(tells_rest);
        world.run(SECOND, &mut endpoint, |_| {});
        let (mut gap, mut lost) = (Duration::ZERO, None);
        world.run(24 * HOUR, &mut endpoint, |world| {
            if world.usable(0) {
                lost = None;
            } else {
                gap = gap.max(world.time - *lost.get_or_insert(world.time));
            }
        });
        assert!(gap <= Duration::from_millis(250), "{gap:?}, {tells_rest}");
        let calls = world.calls.len();
        assert!(tells_rest || calls <= 600, "{calls} calls");
        assert!(calls <= 1500, "{calls} calls");
        assert!(world.seats[0].repeats > 50);
    }
}

#[test]
fn a_server_that_stops_repeating_is_renewed_early_again() {
    let mut world = World::new(1, 8);
    world.run(HOUR, repeating(false), |_| {});
    let endpoint = |world: &mut World, _| world.grant(LIFE);
    world.run(2 * HOUR, endpoint, |_| {});
    world.run(3 * HOUR, endpoint, |world| assert!(world.usable(0)));
}

#[test]
fn wall_clock_jumps_and_suspends_never_let_a_dead_token_out() {
    for seed in 0..200 {
        let mut world = World::new(1, seed);
        let endpoint = |world: &mut World, _| world.grant(LIFE);
        world.run(SECOND, endpoint, |_| {});
        for _ in 0..50 {
            let quiet = SECOND.mul_f64(2.0 + world.chance() * 200.0);
            let end = world.time + quiet;
            world.run(end, endpoint, |_| {});
            assert!(world.usable(0), "well again within two seconds");
            match world.chance() {
                kind if kind < 0.3 => world.wall_shift += 3600,
                kind if kind < 0.6 => world.wall_shift -= 3600,
                kind if kind < 0.8 => {
                    world.wall_shift -= 3600;
                    // The jump is noticed within a second; then the machine sleeps.
                    let end = world.time + SECOND + SECOND;
                    world.run(end, endpoint, |_| {});
                    world.suspend(600 * SECOND);
                }
                _ => world.suspend(600 * SECOND),
            }
            world.assert_no_dead_token();
        }
    }
}

#[test]
fn a_clock_that_drifts_by_a_twentieth_lets_no_dead_token_out() {
    for rate in [
        (0.95, 1.0),
        (1.0, 0.95),
        (1.05, 1.0),
        (1.0, 1.05),
        (0.97, 0.97),
    ] {
        let mut world = World::new(1, 9);
        world.rate = rate;
        let endpoint = |world: &mut World, _| world.grant(LIFE);
        world.run(SECOND, endpoint, |_| {});
        world.run(6 * HOUR, endpoint, |world| assert!(world.usable(0)));
    }
}

#[test]
fn bursts_of_failures_shorter_than_the_slack_are_invisible() {
    // Half of the time the endpoint fails, in bursts of up to 100 s.
    let mut world = World::new(1, 10);
    let mut changes = Duration::ZERO;
    let mut is_down = false;
    let mut endpoint = |world: &mut World, _: usize| {
        while world.time >= changes {
            changes = world.time + SECOND.mul_f64(world.chance() * 100.0);
            is_down = !is_down && world.values > 0;
        }
        if is_down {
            failing(Reason::EndpointUnavailable)
        } else {
            world.grant(LIFE)
        }
    };
    world.run(SECOND, &mut endpoint, |_| {});
    world.run(100 * HOUR, &mut endpoint, |world| assert!(world.usable(0)));
    assert!(world.values > 1500, "{} renewals", world.values);
}

#[test]
fn rejections_without_end_force_fewer_and_fewer_renewals() {
    let mut schedule = Schedule::default();
    let start = Moment::now();
    schedule.begin(&start, false);
    schedule.granted(start, LIFE, false, &start, 0.5);
    let mut forced = Vec::new();
    // Every token is rejected at once, ten times a second for five minutes.
    for tenth in 0..3000 {
        let now = start.later(Duration::from_millis(100) * tenth);
        let generation = schedule.generation();
        if schedule.reject(generation, false, &now) == Rejection::Forced {
            forced.push(now.since(&start).as_secs());
            schedule.begin(&now, false);
            let granted = schedule.granted(now, LIFE, false, &now, 0.5);
            assert!(matches!(granted, Granted::Publish { .. }));
        }
    }
    assert_eq!(forced, [0, 5, 15, 35, 75, 135, 195, 255]);
}

#[test]
fn a_rejection_is_joined_and_an_old_one_is_outdated() {
    let mut schedule = Schedule::default();
    let now = Moment::now();
    assert_eq!(
        schedule.reject(1, false, &now),
        Rejection::TooSoon,
        "there is none"
    );
    schedule.begin(&now, false);
    schedule.granted(now, LIFE, false, &now, 0.5);
    assert_eq!(schedule.reject(1, false, &now), Rejection::Forced);
    assert_eq!(schedule.reject(1, false, &now), Rejection::Joined);
    assert!(schedule.is_renewing_after(1));
    assert!(!schedule.is_usable(&now));
    schedule.begin(&now, false);
    schedule.granted(now, LIFE, false, &now, 0.5);
    assert_eq!(schedule.reject(1, false, &now), Rejection::Outdated);
    // A renewal under way for its own reasons is joined, and forces nothing.
    schedule.begin(&now, false);
    assert_eq!(schedule.reject(2, false, &now), Rejection::Hastened);
    assert_eq!(schedule.reject(2, false, &now), Rejection::Joined);
}

#[test]
fn a_rejected_token_that_the_server_repeats_is_kept() {
    let mut schedule = Schedule::default();
    let now = Moment::now();
    schedule.begin(&now, false);
    schedule.granted(now, LIFE, false, &now, 0.5);
    assert_eq!(schedule.reject(1, false, &now), Rejection::Forced);
    schedule.begin(&now, false);
    let granted = schedule.granted(now, LIFE, true, &now, 0.5);
    let Granted::Keep {
        term: Term { life, .. },
    } = granted
    else {
        panic!("{granted:?}");
    };
    assert_eq!(life, LIFE);
    assert!(schedule.is_usable(&now));
    assert!(
        !schedule.is_renewing_after(1),
        "nobody waits for a newer one"
    );
    assert_eq!(schedule.reject(1, false, &now), Rejection::TooSoon);
}

#[test]
fn a_slow_reply_at_the_end_does_not_make_a_repeated_token_live_anew() {
    let mut schedule = Schedule::default();
    let start = Moment::now();
    schedule.begin(&start, false);
    schedule.granted(start, LIFE, false, &start, 0.5);
    // Our clock is 5 % fast: for the server, the token lives for 0.3 s yet.
    let asked = start.later(SECOND.mul_f64(314.7));
    schedule.begin(&asked, false);
    let now = asked.later(SECOND);
    let granted = schedule.granted(asked, LIFE, true, &now, 0.5);
    assert_eq!(granted, Granted::Ended);
    assert!(!schedule.is_usable(&now));
}

#[test]
fn a_wall_clock_set_forward_does_not_make_a_repeated_token_live_anew_at_its_end() {
    let mut schedule = Schedule::default();
    let start = Moment::now();
    schedule.begin(&start, false);
    schedule.granted(start, LIFE, false, &start, 0.5);
    // The monotonic clock is 5 % fast: for the server, the token lives for 2 s yet.
    let mut now = start.later(SECOND * 313);
    now.wall += HOUR;
    schedule.begin(&now, false);
    let granted = schedule.granted(now, LIFE, true, &now, 0.5);
    assert_eq!(granted, Granted::Ended);
    assert!(!schedule.is_usable(&now));
}

#[test]
fn suspicion_renews_at_most_once_a_minute_and_keeps_the_token() {
    let mut schedule = Schedule::default();
    let now = Moment::now();
    schedule.begin(&now, false);
    schedule.granted(now, LIFE, false, &now, 0.5);
    assert!(schedule.suspect(1, &now));
    assert!(schedule.is_usable(&now));
    assert_eq!(schedule.wait(&now), Duration::ZERO);
    schedule.begin(&now, false);
    schedule.granted(now, LIFE, false, &now, 0.5);
    assert!(!schedule.suspect(2, &now.later(59 * SECOND)));
    assert!(
        !schedule.suspect(1, &now.later(61 * SECOND)),
        "not the newest"
    );
    assert!(schedule.suspect(2, &now.later(61 * SECOND)));
}

#[test]
fn an_endpoint_known_to_be_slow_is_given_its_time() {
    let mut schedule = Schedule::default();
    let now = Moment::now();
    let cold = schedule.begin(&now, false);
    assert_eq!(cold.hedge_after, Some(Duration::from_millis(350)));
    schedule.answered_in(Duration::from_millis(600));
    schedule.granted(now, SECOND * 2, false, &now, 0.5);
    let living = schedule.begin(&now, false);
    assert_eq!(living.patience, Duration::from_millis(1200));
    let probing = schedule.begin(&now, true);
    assert_eq!(probing.hedge_after, None);
}
