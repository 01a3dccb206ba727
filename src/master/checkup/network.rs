//! `doctor`'s part about the network: queues, and what the kernel's settings make of them.

use dutch_master::wire::control::{Finding, Listener};

use super::{Master, doubtful, number};

fn cut_backlog(name: &str, asked: Option<u32>, most: Option<u64>) -> Option<Finding> {
    let (asked, most) = (asked?, most?);
    (u64::from(asked) > most).then(|| {
        doubtful(
            format!("listener {name}: backlog={asked} is cut to {most}"),
            format!("docker run --sysctl net.core.somaxconn={asked}"),
        )
    })
}

fn crowd(listener: &Listener) -> Option<Finding> {
    let (queue, limit) = (listener.queue?, listener.limit?);
    (queue > limit.div_ceil(2)).then(|| {
        doubtful(
            format!("listener {}: {queue} of {limit} wait to be accepted", listener.name),
            "more workers, or a larger backlog",
        )
    })
}

/// `migrates` is what the kernel's switch says; there is none before Linux 5.14.
fn handshakes(has_lanes: bool, migrates: Option<u64>) -> Option<Finding> {
    (has_lanes && migrates == Some(0)).then(|| {
        doubtful(
            "handshakes in progress stay with a worker that leaves (tcp_migrate_req is 0)"
                .to_owned(),
            "docker run --sysctl net.ipv4.tcp_migrate_req=1",
        )
    })
}

fn blind_drains(has_lanes: bool, sees_connections: bool) -> Option<Finding> {
    (has_lanes && !sees_connections).then(|| {
        doubtful(
            "the kernel does not show connections here, so drains wait for a fixed time".to_owned(),
            "allow netlink sockets of the family sock_diag in the seccomp profile",
        )
    })
}

impl Master {
    pub(super) fn network_findings(&self) -> Vec<Finding> {
        let most = number("/proc/sys/net/core/somaxconn");
        let asked = self.config.listen.iter();
        let cut = asked.filter_map(|each| cut_backlog(&each.name, each.backlog, most));
        let states = self.listener_states();
        let has_lanes = self.listeners.has_lanes();
        let sees_connections = !has_lanes || self.listeners.census().is_ok();
        let migrates = number("/proc/sys/net/ipv4/tcp_migrate_req");
        cut.chain(states.iter().filter_map(crowd))
            .chain(blind_drains(has_lanes, sees_connections))
            .chain(handshakes(has_lanes, migrates))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_above_somaxconn_is_found_and_one_below_is_not() {
        let found = cut_backlog("http", Some(5000), Some(4096)).unwrap();
        assert!(found.finding.contains("http: backlog=5000 is cut to 4096"));
        assert!(found.remedy.contains("somaxconn=5000"));
        assert_eq!(cut_backlog("http", Some(4096), Some(4096)), None);
        assert_eq!(cut_backlog("http", None, Some(128)), None);
        assert_eq!(cut_backlog("http", Some(5000), None), None, "a kernel that does not say");
    }

    #[test]
    fn handshakes_that_stay_behind_are_found_only_where_workers_have_sockets_of_their_own() {
        let found = handshakes(true, Some(0)).unwrap();
        assert!(found.finding.contains("tcp_migrate_req"));
        assert!(found.remedy.contains("net.ipv4.tcp_migrate_req=1"));
        for (has_lanes, migrates) in [(true, Some(1)), (true, None), (false, Some(0))] {
            assert_eq!(handshakes(has_lanes, migrates), None);
        }
    }

    #[test]
    fn drains_that_see_no_connections_are_found() {
        let found = blind_drains(true, false).unwrap();
        assert!(found.finding.contains("fixed time") && found.remedy.contains("sock_diag"));
        assert_eq!((blind_drains(true, true), blind_drains(false, false)), (None, None));
    }

    #[test]
    fn a_queue_is_a_crowd_when_more_than_half_of_it_is_taken() {
        let of = |queue, limit| {
            let (name, address) = ("http".to_owned(), String::new());
            crowd(&Listener { name, address, queue, limit, relayed: 0 })
        };
        let found = of(Some(3), Some(4)).unwrap();
        assert!(found.finding.contains("http: 3 of 4 wait") && found.remedy.contains("backlog"));
        for (queue, limit) in [(Some(2), Some(4)), (None, Some(4)), (Some(3), None)] {
            assert_eq!(of(queue, limit), None);
        }
    }
}
