//! What an operator asks for, and how it goes.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::harness::{Master, NOTIFIES, Said};

#[test]
fn probes_say_yes_while_it_serves_and_no_while_it_stops() {
    let mut master = Master::start(&[("SHUTDOWN_DELAY", "1h")]);
    master.run(&["live"]).is("the loop answers\n");
    master.run(&["ready"]).is("2 of 2 workers ready\n");
    master.run(&["stop", "--no-wait"]).is("stopping\n");
    master.until("stopping");
    master.run(&["ready"]).refuses("stopping, 2 workers serve");
    master.run(&["live"]).is("the loop answers\n");
    master.run(&["reload"]).refuses("the fleet stops");
    master.run(&["scale", "3"]).refuses("the fleet stops");
    // Two interrupts mean now.
    master.run(&["signal", "INT"]).is("signal 2 taken\n");
    let _ = master.run(&["signal", "INT"]);
}

/// Both ask while the master can't answer, so that it finds them in one turn.
#[test]
fn who_asks_right_after_a_command_sees_it_done() {
    let mut master = Master::start(&[("SHUTDOWN_DELAY", "1h")]);
    let pid = Pid::from_raw(master.pid().try_into().unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let [mut first, mut second] = [(); 2].map(|()| master.connect());
    first.write_all(b"{\"v\":1,\"op\":\"stop\",\"wait\":false}\n").unwrap();
    second.write_all(b"{\"v\":1,\"op\":\"ready\"}\n").unwrap();
    kill(pid, Signal::SIGCONT).unwrap();
    let mut answers = [first, second].map(|stream| BufReader::new(stream).lines());
    let [said, seen] = answers.each_mut().map(|lines| lines.next().unwrap().unwrap());
    assert!(said.contains("stopping"), "{said}");
    assert!(seen.contains("stopping, 2 workers serve"), "{seen}");
    master.run(&["signal", "INT"]).is("signal 2 taken\n");
    let _ = master.run(&["signal", "INT"]);
    master.until("stopping");
}

#[test]
fn ready_waits_for_as_many_as_ready_min_says() {
    // Of two workers one serves, and the other never will.
    for (least, needed) in [("1", 1), ("50%", 1), ("2", 2), ("51%", 2), ("100%", 2)] {
        let mut master = Master::start_only(
            &format!("test $DUTCH_MASTER_SLOT = 0 || exit 1; {NOTIFIES}"),
            &[("READY", "notify"), ("READY_MIN", least), ("START_ATTEMPTS", "1000")],
        );
        master.until("worker ready");
        let said = master.run(&["ready"]);
        if needed == 1 {
            said.is("1 of 2 workers ready\n");
        } else {
            said.refuses("1 of 2 workers ready, at least 2 must be");
        }
    }
}

#[test]
fn reload_waits_until_every_worker_is_replaced() {
    let master = Master::start(&[("WORKERS", "3")]);
    let said = master.run(&["reload"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("generation ") && lines[0].contains(" of 3"), "{said:?}");
    assert_eq!(lines.last(), Some(&"generation 2 serves, 3 of 3 workers ready"));
    assert!(master.run(&["status"]).out.contains("\nlast roll: generation 2 complete"));
    master.run(&["reload", "--if-generation=1"]).refuses("generation 2, not 1");
    assert_eq!(master.run(&["reload", "--if-generation=2"]).code, 0);
    assert_eq!(master.stop(), 0);
}

#[test]
fn reload_fails_with_the_reason_when_a_release_is_broken() {
    let mut master = Master::start_only(NOTIFIES, &[("START_ATTEMPTS", "1"), ("READY", "notify")]);
    master.until("roll complete");
    master.release("broken", "echo no database >&2; exit 3");
    let said = master.run(&["reload"]);
    said.refuses("generation 2 failed: worker 3: exit code 3; back to generation 1, 2 of 2");
    master.release("mended", NOTIFIES);
    assert_eq!(master.run(&["reload", "--timeout=1m"]).code, 0);
    std::fs::remove_file(master.directory.join("current")).unwrap();
    master.run(&["reload"]).refuses("the release can't be read");
}

#[test]
fn reload_gives_up_waiting_after_its_timeout() {
    let mut master = Master::start_only(NOTIFIES, &[("READY", "notify")]);
    master.until("roll complete");
    master.release("never ready", "exec sleep 1000");
    let said = master.run(&["reload", "--timeout=10ms"]);
    said.refuses("not over within the timeout; the roll goes on");
}

#[test]
fn scale_changes_the_number_of_workers() {
    let mut master = Master::start(&[("WORKERS", "1-4")]);
    master.run(&["scale", "4"]);
    master.run(&["scale", "-2"]).is("4 → 2 workers\n");
    master.run(&["scale", "+7"]).is("2 → 4 workers, the bound that WORKERS sets\n");
    master.run(&["scale", "-4"]).refuses("0 workers: must be at least 1");
    master.until("worker ready");
    assert!(master.run(&["status"]).out.contains("/4 generation=1"));
}

#[test]
fn signal_does_what_the_signal_would_do() {
    let mut master = Master::start(&[]);
    master.run(&["signal", "SIGUSR2"]).is("signal 12 taken\n");
    master.until("roll requested");
    master.run(&["signal", "KILL"]).refuses("signal 9: can't be had by this way");
}

#[test]
fn events_tell_the_last_words_of_a_crashed_worker() {
    let mut master = Master::start_only(
        &format!(
            "test -e ../crashed || {{ touch ../crashed; echo starting; \
             echo out of cheese >&2; kill -SEGV $$; }}; {NOTIFIES}"
        ),
        &[("WORKERS", "1"), ("OUTPUT", "prefix"), ("READY", "notify")],
    );
    master.until("every worker ready");
    let said = master.run(&["events"]);
    let (_, after) = said.out.split_once("worker exited slot=0 worker=1").unwrap();
    let mut lines = after.lines();
    assert!(lines.next().unwrap().ends_with(": signal 11"), "{said:?}");
    let mut words = [lines.next().unwrap(), lines.next().unwrap()];
    words.sort_unstable();
    assert_eq!(words, ["    | out of cheese", "    | starting"]);
    for line in master.run(&["events", "--json"]).out.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["number"].is_u64() && event["at_ms"].is_u64());
    }
}

#[test]
fn events_follow_until_the_master_is_gone() {
    let mut master = Master::start(&[]);
    master.until("roll complete");
    let mut follow = master.verb(&["events", "--follow"]);
    let mut follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("roll complete generation=1")));
    assert_eq!(master.run(&["reload"]).code, 0);
    assert!(lines.any(|line| line.contains("roll requested: reload by uid")));
    assert!(lines.any(|line| line.contains("roll complete generation=2")));
    assert_eq!(master.stop(), 0);
    assert!(lines.any(|line| line.contains("worker exited")));
    let said = Said::of(follow.wait_with_output().unwrap());
    said.refuses("the master is gone");
}

#[test]
fn a_watched_status_ends_with_the_master() {
    let master = Master::start(&[]);
    let mut watch = master.verb(&["status", "--watch"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with("SERVING ready=2/2 generation=1 pid="));
    assert!(lines.any(|line| line.starts_with("SERVING")), "it looks again");
    assert_eq!(master.stop(), 0);
    drop(lines);
    Said::of(watch.wait_with_output().unwrap()).refuses("the master is gone");
}

#[test]
fn without_a_master_every_verb_says_so() {
    let master = Master::start(&[]);
    let socket = master.socket();
    let mut status = master.verb(&["status"]);
    let mut off = master.verb(&["ready"]);
    assert_eq!(master.stop(), 0);
    assert!(!socket.exists(), "the socket's file goes with the master");
    Said::of(status.output().unwrap()).refuses("control.sock: ");
    let off = off.env("DUTCH_MASTER_CONTROL", "off").output().unwrap();
    Said::of(off).refuses("CONTROL=off: the master has no control socket");
}

#[test]
fn doctor_tells_people_and_programs_the_same() {
    let master = Master::start(&[("STOP_TIMEOUT", "40s")]);
    let said = master.run(&["doctor"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("docker stop -t 45; terminationGracePeriodSeconds: 45"));
    assert!(said.out.contains("the master is PID "));
    let found = master.run(&["doctor", "--json"]).out;
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    for each in found.as_array().unwrap() {
        assert!(said.out.contains(each["finding"].as_str().unwrap()), "{each} {said:?}");
    }
}
