//! The memory of the process, looked at now and then from the control thread,
//! so that the request path is told of it and never looks itself.

use std::fs::{self, File};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use crate::proxy::Admission;

/// Distance of two looks. What comes in meanwhile is not foreseen: leave some
/// room between the limit and what the process may really have.
const LOOK: Duration = Duration::from_millis(100);
/// Memory is no longer short below this part of the limit, in percent.
const ENOUGH: u64 = 95;

/// What the process takes without requests.
const BASE: u64 = 16 * 1024 * 1024;
/// What a request is reckoned at, besides its connection: both bodies move
/// through bounded buffers. Few take as much; the longest buffers filled at the
/// same time are more.
const OF_REQUEST: u64 = 256 * 1024;
/// Requests there is always room for.
const FEWEST: usize = 16;

/// How many requests there is room for within `limit`, however large they are.
pub(super) fn requests_within(limit: u64) -> usize {
    let requests = limit.saturating_sub(BASE) / OF_REQUEST;
    usize::try_from(requests).unwrap_or(usize::MAX).max(FEWEST)
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
    // In one read: reading a file whose length is not told takes a dozen, five times
    // a second.
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

/// Tells `admission` for as long as the process runs whether there is enough.
pub(super) async fn watch_forever(admission: Arc<Admission>, limit: u64) {
    loop {
        if let Some(resident) = resident() {
            let was_short = admission.is_memory_short();
            let is_short = is_short(resident, limit, was_short);
            admission.memory_is_short(is_short);
            if is_short && !was_short {
                tracing::warn!(
                    resident,
                    limit,
                    "memory is short: no more requests are let in than there is certainly room for"
                );
            } else if was_short && !is_short {
                tracing::info!(resident, limit, "there is enough memory again");
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn is_short(resident: u64, limit: u64, was_short: bool) -> bool {
    if was_short {
        resident >= limit / 100 * ENOUGH
    } else {
        resident >= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_short_from_its_limit_on_and_until_somewhat_below() {
        for (resident, was_short, expected) in [
            (999, false, false),
            (1_000, false, true),
            (999, true, true),
            (950, true, true),
            (949, true, false),
        ] {
            assert_eq!(is_short(resident, 1_000, was_short), expected, "{resident}");
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
