//! A worker that turns on the master costs itself, and its neighbour answers as if nothing were.

use std::{thread, time::Duration};

use crate::{
    harness::{Container, Setup, load::Report, together},
    nodes::{fleet, metric, usual},
};

/// How long a neighbour's client may wait at most, on a machine that others use as well.
const LONGEST_GAP: f64 = 1500.0;
/// What the worker's script leaves with when the channel is not what it took it for: then nothing
/// would be proven.
const WRONG: &str = "3";

fn fleet_with(misdeed: &str) -> Setup {
    fleet(usual(), &format!("hostile.js {misdeed}"))
        .set("KILL_TIMEOUT", "2s")
        .set("START_ATTEMPTS", "100")
}

/// Ticks of CPU that the master has used.
fn ticks(container: &Container) -> u64 {
    let stat = container.exec(&["/probe", "cat", "/proc/1/stat"]);
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Two workers, one of which misbehaves, under load; `proven` waits until the master has met it.
/// Then a roll must go through.
fn under_load(misdeed: &str, setup: &Setup, proven: impl Fn(&Container)) -> Report {
    under_load_until(misdeed, setup, proven, |_| {})
}

/// The same; `seen` waits for what follows the roll.
fn under_load_until(
    misdeed: &str,
    setup: &Setup,
    proven: impl Fn(&Container),
    seen: impl Fn(&Container),
) -> Report {
    let container = setup.start();
    container.next("worker ready");
    container.next("worker ready");
    let load = container.load("one-shot=4 keep-alive=0 by=slot timeout=20000");
    proven(&container);
    container.signal("SIGUSR2");
    container.next_where("the roll's end", |entry| {
        entry.says("every worker ready") && entry.field("generation").as_deref() == Some("2")
    });
    seen(&container);
    let report = load.finish();
    assert!(report.by("0") > 100, "{misdeed}: the other worker serves: {report}");
    assert!(report.gap() < LONGEST_GAP, "{misdeed}: the other worker waited: {report}");
    let exits = container.said("worker exited");
    let has = |field: &str, value: &str| {
        exits.iter().filter(|entry| entry.field(field).as_deref() == Some(value)).count()
    };
    assert_eq!(has("code", WRONG), 0, "{misdeed}:\n{}", container.tail());
    // The roll takes one worker from its place, and nothing else does.
    assert!(has("slot", "0") <= 1, "{misdeed}: the other worker ended:\n{}", container.tail());
    container.stop();
    report
}

fn goes_too_far(why: &'static str) -> impl Fn(&Container) {
    move |container| {
        for _ in 0..2 {
            let problem = container.next("worker goes too far").field("problem").unwrap();
            assert!(problem.contains(why), "{problem}");
        }
    }
}

#[test]
fn garbage_costs_the_worker_its_place() {
    let _company = together();
    under_load("garbage", &fleet_with("garbage"), goes_too_far("no message")).nothing_was_lost();
}

#[test]
fn a_line_without_an_end_costs_the_worker_its_place() {
    let _company = together();
    under_load("endless", &fleet_with("endless"), goes_too_far("a line of more than"))
        .nothing_was_lost();
}

#[test]
fn a_worker_that_asks_and_never_reads_loses_its_place() {
    let _company = together();
    under_load("blind", &fleet_with("blind"), goes_too_far("too much waits")).nothing_was_lost();
}

#[test]
fn a_flooder_is_made_to_wait_and_takes_no_cpu_from_others() {
    let _company = together();
    under_load("flood", &fleet_with("flood"), |container| {
        let before = ticks(container);
        let said = container
            .next_where("the flooder's own count", |entry| entry.text.starts_with("flooded:"))
            .text;
        let refused: u64 = said.split_whitespace().rev().nth(1).unwrap().parse().unwrap();
        assert!(refused > 1000, "{said}");
        // Of the four seconds, half of one CPU at most goes to listening, with the load's own work.
        let used = ticks(container) - before;
        assert!(used < 300, "{used} ticks; {said}");
    })
    .nothing_was_lost();
}

#[test]
fn lies_about_keys_and_answers_cost_the_liar_its_own_server() {
    let _company = together();
    let report = under_load("lies", &fleet_with("lies"), |container| {
        container.next_where("the last lie", |entry| entry.text.starts_with("lied:"));
        thread::sleep(Duration::from_secs(1));
        assert!(container.said("worker goes too far").is_empty(), "a lie is no crime");
    });
    report.nothing_was_lost();
    assert!(report.by("1") > 100, "it was believed only about itself: {report}");
}

#[test]
fn what_a_worker_sat_on_is_given_to_another_once_it_is_killed() {
    let _company = together();
    let a_while = |_: &Container| thread::sleep(Duration::from_secs(1));
    let report = under_load_until("deaf", &fleet_with("deaf"), a_while, |container| {
        container.next_where("the deaf one's end", |entry| {
            entry.says("worker exited") && entry.field("slot").as_deref() == Some("1")
        });
        assert!(metric(container, "dutch_master_connections_rescued_total") >= 1.0);
    });
    // Of what it had been handed, it may have taken one without having read from it.
    assert!(report.number("/failed") <= 1.0, "{report}");
}

#[test]
fn a_worker_without_descriptors_rests_and_its_connections_go_to_another() {
    let _company = together();
    let setup = fleet_with("hoarder").set("RLIMIT_NOFILE", "48:48");
    under_load("hoarder", &setup, |container| {
        let remark = container.next("worker remarked").field("remark").unwrap();
        assert!(remark.contains("no descriptor left"), "{remark}");
        assert!(metric(container, "dutch_master_connections_rescued_total") >= 1.0);
    })
    .nothing_was_lost();
}

#[test]
fn a_worker_that_opens_and_closes_servers_all_the_time_fills_neither_log_nor_table() {
    let _company = together();
    let report = under_load("churn", &fleet_with("churn"), |container| {
        container.next("listeners come and go");
        thread::sleep(Duration::from_secs(2));
        let said = container.said("listening").len() + container.said("closed").len();
        assert!(said <= 101, "{said} lines about listeners");
        let descriptors = container.exec(&["/probe", "ls", "/proc/1/fd"]).lines().count();
        assert!(descriptors < 150, "{descriptors} descriptors");
        assert!(container.exec(&["/dutch-master", "metrics"]).len() < 64 << 10);
    });
    report.nothing_was_lost();
    assert!(report.by("1") > 100, "it goes on to serve: {report}");
}
