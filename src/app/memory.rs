//! The memory of the process, looked at now and then from the control thread,
//! so that the request path is told of it and never looks itself.

use std::fs::{self, File};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use crate::proxy::Admission;

/// Longest time between two looks. What is let in meanwhile is bounded by what each
/// look finds left.
const LOOK: Duration = Duration::from_millis(100);
/// Shortest time between two looks, while there are not enough places for those who
/// come.
const SOONEST: Duration = Duration::from_millis(5);
/// Memory is no longer short below this part of the limit, in percent.
const ENOUGH: u64 = 95;

/// What the process takes without requests.
const BASE: u64 = 16 * 1024 * 1024;
/// What a request is reckoned at, besides its connection: its share of [`HELD`], and
/// some 200 KiB that it takes when both its bodies stand still at the same time. Over
/// HTTPS that may be 80 KiB more.
const OF_REQUEST: u64 = 256 * 1024;
/// What a request takes at the least when its caller takes nothing of a long answer. It
/// may take it long after it was let in: when a slow server answers.
const AT_LEAST: u64 = 32 * 1024;
/// One part in this many of the memory for requests is for answers that their callers
/// do not take.
const HELD: u64 = 5;
/// Requests there is always room for.
const FEWEST: usize = 16;

/// How many requests there is room for within `limit`, however large they are.
pub(super) fn requests_within(limit: u64) -> usize {
    places(limit.saturating_sub(BASE), OF_REQUEST).max(FEWEST)
}

fn places(bytes: u64, of_one: u64) -> usize {
    usize::try_from(bytes / of_one).unwrap_or(usize::MAX)
}

/// How many bytes of answers each of `threads` holds for callers who do not take them
/// before it reads answers in shorter pieces.
pub(super) fn held_within(limit: u64, threads: usize) -> usize {
    let held = limit.saturating_sub(BASE) / HELD;
    usize::try_from(held).unwrap_or(usize::MAX) / threads.max(1)
}

/// The limit in bytes that is in force: `setting`, or for 0 three quarters of
/// what the process is granted; `None` when there is none.
pub(super) fn limit(setting: u64) -> Option<u64> {
    match setting {
        0 => {
            let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            granted(&groups, |path| fs::read_to_string(path).ok()).map(|granted| granted / 4 * 3)
        }
        setting => Some(setting),
    }
}

/// What the control group of the process (cgroup v2) and those around it may
/// have: the least of it. `groups` is what `/proc/self/cgroup` says; in a
/// container it names the root, and a service with `MemoryMax=` is further down.
fn granted(groups: &str, read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let mut path = own.unwrap_or_default().trim_end_matches('/');
    let mut least: Option<u64> = None;
    loop {
        let most = read(&format!("/sys/fs/cgroup{path}/memory.max"));
        // Without a limit the file says "max".
        if let Some(most) = most.and_then(|text| text.trim().parse().ok()) {
            least = Some(least.map_or(most, |least| least.min(most)));
        }
        match path.rfind('/') {
            Some(end) => path = &path[..end],
            None => return least,
        }
    }
}

/// Resident memory in bytes, where the system tells it as Linux does.
pub(super) fn resident() -> Option<u64> {
    // In one read: reading a file of unknown length takes a dozen system calls, and this
    // happens ten times a second.
    let mut status = [0; 4096];
    let length = File::open("/proc/self/status")
        .ok()?
        .read(&mut status)
        .ok()?;
    let line = str::from_utf8(&status[..length])
        .ok()?
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// What is known of the memory from one look to the next.
#[derive(Debug)]
pub(super) struct Watch {
    limit: u64,
    is_short: bool,
    /// Requests in flight at the last look.
    in_flight: usize,
}

impl Watch {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            is_short: false,
            in_flight: 0,
        }
    }

    /// Tells `admission` how many requests memory suffices for now.
    pub(super) fn look(&mut self, admission: &Admission) {
        let Some(resident) = resident() else {
            return;
        };
        let (limit, was_short) = (self.limit, self.is_short);
        let requests = self.requests(resident, admission.in_flight());
        admission.memory_suffices_for(requests, self.is_short);
        if self.is_short && !was_short {
            tracing::warn!(
                resident,
                limit,
                "memory is short: no more requests are let in than there is certainly room for"
            );
        } else if was_short && !self.is_short {
            tracing::info!(resident, limit, "there is enough memory again");
        }
    }

    /// Looks for as long as the process runs: at once when a thread has no place left,
    /// since a burst of small calls takes them all, and little memory.
    pub(super) async fn look_forever(mut self, admission: Arc<Admission>) {
        loop {
            tokio::time::sleep(SOONEST).await;
            let _ = tokio::time::timeout(LOOK - SOONEST, admission.wants_more()).await;
            self.look(&admission);
        }
    }

    /// How many requests may be in flight until the next look: those that were at the
    /// last one and still are, whose memory is in `resident` already, and as many as
    /// surely fit into what is left. Requests that have come since the last look may
    /// not have taken theirs yet. Never fewer than there is certainly room for; and never
    /// more than there is room for when all of them have begun to be answered.
    fn requests(&mut self, resident: u64, in_flight: usize) -> usize {
        let with_one_more = resident.saturating_add(OF_REQUEST);
        self.is_short = is_short(with_one_more, self.limit, self.is_short);
        let before = std::mem::replace(&mut self.in_flight, in_flight);
        let fewest = requests_within(self.limit);
        if self.is_short {
            return fewest;
        }
        let left = self.limit.saturating_sub(resident);
        let most = places(self.limit.saturating_sub(BASE), AT_LEAST);
        let soon = before
            .min(in_flight)
            .saturating_add(places(left, OF_REQUEST));
        soon.min(most).max(fewest)
    }
}

fn is_short(needed: u64, limit: u64, was_short: bool) -> bool {
    if was_short {
        needed >= limit / 100 * ENOUGH
    } else {
        needed >= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_short_from_its_limit_on_and_until_somewhat_below() {
        for (needed, was_short, expected) in [
            (999, false, false),
            (1_000, false, true),
            (999, true, true),
            (950, true, true),
            (949, true, false),
        ] {
            assert_eq!(is_short(needed, 1_000, was_short), expected, "{needed}");
        }
    }

    #[test]
    fn the_least_limit_of_the_groups_around_is_what_is_granted() {
        let files = |path: &str| {
            let text = match path {
                "/sys/fs/cgroup/memory.max" => "1000",
                "/sys/fs/cgroup/system.slice/memory.max" => "800\n",
                "/sys/fs/cgroup/system.slice/proxy.service/memory.max" => "max\n",
                "/sys/fs/cgroup/small/memory.max" => "300\n",
                _ => return None,
            };
            Some(text.to_owned())
        };
        for (groups, expected) in [
            ("0::/\n", Some(1000)),
            ("1:cpu:/\n0::/system.slice/proxy.service\n", Some(800)),
            ("0::/small\n", Some(300)),
            ("0::/gone/elsewhere\n", Some(1000)),
            ("4:memory:/old\n", Some(1000)),
        ] {
            assert_eq!(granted(groups, files), expected, "{groups}");
        }
        assert_eq!(granted("0::/\n", |_| None), None);
        assert_eq!(granted("0::/\n", |_| Some("max\n".to_owned())), None);
    }

    #[test]
    fn until_the_next_look_as_many_come_in_as_fit_into_what_is_left() {
        const MIB: u64 = 1024 * 1024;
        let of_one_mib = usize::try_from(MIB / OF_REQUEST).unwrap();
        let fewest = requests_within(116 * MIB);
        let mut watch = Watch::new(116 * MIB);
        for (resident, in_flight, expected) in [
            // At the start.
            (6, 0, 110 * of_one_mib),
            // Those that have come since may be about to take theirs.
            (7, 600, 109 * of_one_mib),
            // They take little.
            (8, 700, 600 + 108 * of_one_mib),
            (8, 500, 500 + 108 * of_one_mib),
            // Now they take more.
            (110, 900, 500 + 6 * of_one_mib),
            (115, 910, 900 + of_one_mib),
            (116, 910, fewest),
            (112, 300, fewest),
            (109, 300, 300 + 7 * of_one_mib),
            // What was freed is still the process's: there is room in it.
            (115, 0, fewest),
        ] {
            let requests = watch.requests(resident * MIB, in_flight);
            assert_eq!(requests, expected.max(fewest), "{resident}, {in_flight}");
        }
    }

    #[test]
    fn no_more_come_in_than_there_is_room_for_when_a_slow_server_answers_all_of_them() {
        const MIB: u64 = 1024 * 1024;
        let most = usize::try_from(100 * MIB / AT_LEAST).unwrap();
        let mut watch = Watch::new(116 * MIB);
        let mut requests = 0;
        for _ in 0..100 {
            requests = watch.requests(20 * MIB, requests);
            assert!(requests <= most, "{requests}");
        }
        assert_eq!(requests, most);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_small_calls_does_not_wait_for_the_next_look() {
        let admission = Admission::new(0, 1);
        let mut watch = Watch::new(1 << 30);
        watch.look(&admission);
        let first = admission.fill();
        assert!(first.len() > requests_within(1 << 30) / 2);
        let looks = watch.look_forever(Arc::clone(&admission));
        let others_come = async {
            let begun = tokio::time::Instant::now();
            while admission.fill().is_empty() {
                tokio::time::sleep(SOONEST / 5).await;
            }
            // The first have been in flight at one look, and are at the next one still.
            assert!(begun.elapsed() <= 3 * SOONEST, "{:?}", begun.elapsed());
        };
        tokio::select! {
            () = looks => {}
            () = others_come => {}
        }
    }

    #[test]
    fn there_is_room_for_some_requests_whatever_the_limit() {
        const MIB: u64 = 1024 * 1024;
        for (limit, expected) in [(0, 16), (16, 16), (20, 16), (40, 96), (1024, 4032)] {
            assert_eq!(requests_within(limit * MIB), expected, "{limit} MiB");
        }
    }

    #[test]
    fn what_is_set_is_the_limit() {
        assert_eq!(limit(77), Some(77));
        assert!(resident().is_some_and(|bytes| bytes > 100_000));
    }
}
