//! How a worker is made to stand still.

use rustix::process::Signal;

use crate::harness::kill;

/// Stops a worker, and comes back when all its threads have stopped: one of them accepts.
pub(crate) fn halt(pid: i64) {
    kill(pid, Signal::STOP);
    let is_stopped = |task: std::io::Result<std::fs::DirEntry>| {
        // A thread that ended since the directory was read stands still as well.
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
        let Ok(stat) = stat else { return true };
        stat.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with('T'))
    };
    while !std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().all(is_stopped) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
