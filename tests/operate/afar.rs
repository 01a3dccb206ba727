//! Files that do not answer, as those of a file server that is gone: nobody else has to wait for them.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::harness::Master;

/// Who opens a file of which somebody has a lease waits until it is given back, fcntl(2).
const HOLDER: &str = "
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
held = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
signal.pause()
";

/// A directory with one file, in memory: there every kernel knows leases.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/dev/shm/dutch-master-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("SETTING"), "one").unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("SETTING")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Nobody can open the file while it lives.
struct Holder(Child);

impl Holder {
    fn of(file: &Path) -> Self {
        let mut python = Command::new("/usr/bin/python3");
        let python = python.args(["-c", HOLDER]).arg(file);
        let mut child = python.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let out: ChildStdout = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut said).unwrap();
        assert_eq!(said, "held\n", "no lease");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long the status takes; the shortest time, as a busy machine may add to it.
fn status_takes(master: &Master, tries: usize) -> Duration {
    let one = |_| {
        let begin = Instant::now();
        assert_eq!(master.run(&["status"]).code, 0);
        begin.elapsed()
    };
    (0..tries).map(one).min().unwrap()
}

#[test]
fn a_release_whose_variables_do_not_answer_is_refused_and_workers_are_cared_for() {
    let files = Files::new("variables");
    let mut master = Master::start(&[("ENV_DIR", files.0.to_str().unwrap())]);
    let holder = Holder::of(&files.file());
    for _ in 0..2 {
        let reload = master.run(&["reload"]);
        reload.refuses(&format!("ENV_DIR: {}: no answer in 3 s", files.0.display()));
        let took = status_takes(&master, 3);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    // On a busy machine the question may come before the wait, or after it.
    let is_answered_after_the_wait = |tries| {
        let mut reload = master.verb(&["reload", "--no-wait"]);
        let mut reload = reload.stdout(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(200) * tries);
        let took = status_takes(&master, 1);
        reload.wait().unwrap();
        took > Duration::from_secs(1)
    };
    assert!((1..=6).any(is_answered_after_the_wait), "it was never asked while it waited");
    master.until("roll refused: the release can't be read");
    drop(holder);
    fs::write(files.file(), "two").unwrap();
    let said = master.run(&["reload"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(master.stop(), 0);
}
