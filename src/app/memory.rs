//! The memory of the process, looked at now and then from the control thread,
//! so that the request path is told of it and never looks itself.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::proxy::Admission;

/// Distance of two looks. What comes in meanwhile is not foreseen: leave some
/// room between the limit and what the process may really have.
const LOOK: Duration = Duration::from_millis(200);
/// Memory is no longer short below this part of the limit, in percent.
const ENOUGH: u64 = 95;

/// The limit in bytes that is in force: `setting`, or for 0 three quarters of
/// what the process is granted; `None` when there is none.
pub(super) fn limit(setting: u64) -> Option<u64> {
    match setting {
        0 => granted().map(|granted| granted / 4 * 3),
        setting => Some(setting),
    }
}

/// What the control group of the process may have (cgroup v2), as containers
/// and services with `MemoryMax=` see it.
fn granted() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
    // Where the group is the root of what can be seen, its own path leads nowhere.
    let paths = [own.unwrap_or_default(), ""];
    paths.into_iter().find_map(|path| {
        let path = format!("/sys/fs/cgroup{path}/memory.max");
        fs::read_to_string(path).ok()?.trim().parse().ok()
    })
}

/// Resident memory in bytes, where the system tells it as Linux does.
pub(super) fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
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
                    "memory is short: few requests are let in at the same time"
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
    fn what_is_set_is_the_limit() {
        assert_eq!(limit(77), Some(77));
        assert!(resident().is_some_and(|bytes| bytes > 100_000));
    }
}
