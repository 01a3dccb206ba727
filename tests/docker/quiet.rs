//! A master with nothing to do does nothing.

use std::{thread, time::Duration};

use crate::harness::{Setup, together};

#[test]
fn a_quiet_master_is_not_woken_once_in_half_a_minute() {
    let _company = together();
    let container = Setup::new("version=v1").ready();
    container.roll();
    container.until("the roll's last worker is gone", |log| {
        log.iter().filter(|entry| entry.says("worker exited")).count() == 2
    });
    let switches = || container.status_of_master("voluntary_ctxt_switches");
    // The generation becomes settled, and the drained workers' timers end, before it is quiet.
    let mut before = switches();
    crate::harness::until("the master has come to rest", || {
        thread::sleep(Duration::from_secs(2));
        let now = switches();
        now == std::mem::replace(&mut before, now.clone())
    });
    thread::sleep(Duration::from_secs(30));
    assert_eq!(before, switches(), "woken while idle");
    assert_eq!(container.stop().0, 0);
}
