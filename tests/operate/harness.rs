//! A master in a directory of its own, whose log says how far it is.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::{
        fs::{chown, symlink},
        net::UnixStream,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_dutch-master");
/// Longer than anything takes, even on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A release for `READY=notify` that says when it is ready.
pub(crate) const NOTIFIES: &str = "exec /usr/bin/python3 -c '
import os, socket, time
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.sendto(b\"READY=1\", os.environ[\"NOTIFY_SOCKET\"])
time.sleep(1000)
'";

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A running master.
pub(crate) struct Master {
    pub(crate) directory: PathBuf,
    binary: PathBuf,
    child: Child,
    log: BufReader<ChildStderr>,
    /// All of the log that has been read.
    heard: String,
    /// Where HTTP is served, if it is.
    pub(crate) http: Option<String>,
}

/// A directory that is nobody else's.
pub(crate) fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("dutch-master-operate-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

/// Puts a release in place: a directory with a program `run` of this text.
fn put_release(directory: &Path, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    let release = directory.join(name);
    fs::create_dir_all(&release).unwrap();
    let program = release.join("run");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (link, new) = (directory.join("current"), directory.join("new"));
    symlink(&release, &new).unwrap();
    fs::rename(&new, &link).unwrap();
}

impl Master {
    /// Starts one with these settings, and waits until its first workers are ready.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let mut master = Self::start_only("exec sleep 1000", settings);
        master.until("every worker ready");
        master
    }

    /// The same as another user.
    pub(crate) fn start_as(uid: u32, settings: &[(&str, &str)]) -> Self {
        let directory = directory();
        // The binary may lie where nobody else can go.
        let binary = directory.join("dutch-master");
        fs::copy(BINARY, &binary).unwrap();
        chown(&directory, Some(uid), Some(uid)).unwrap();
        let mut command = Command::new(&binary);
        command.uid(uid).gid(uid);
        let script = "exec sleep 1000";
        let mut master = Self::start_in(directory, command, &["./run"], script, settings);
        master.binary = binary;
        master.until("every worker ready");
        master
    }

    /// Starts one whose release is this script.
    pub(crate) fn start_only(script: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_in(directory(), Command::new(BINARY), &["./run"], script, settings)
    }

    /// Starts one whose command is this.
    pub(crate) fn start_words(words: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::start_in(directory(), Command::new(BINARY), words, "exec sleep 1000", settings)
    }

    fn start_in(
        directory: PathBuf,
        mut command: Command,
        words: &[&str],
        script: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        put_release(&directory, "first", script);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("DUTCH_MASTER_CONTROL", directory.join("control.sock"))
            .env("DUTCH_MASTER_CHDIR", directory.join("current"))
            .env("DUTCH_MASTER_READY", "start")
            .env("DUTCH_MASTER_WORKERS", "2")
            .args(["--log-format=json", "--"])
            .args(words)
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        for (name, value) in settings {
            command.env(format!("DUTCH_MASTER_{name}"), value);
        }
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut master =
            Self { directory, binary: BINARY.into(), child, log, heard: String::new(), http: None };
        if settings.iter().any(|(name, _)| *name == "HTTP") {
            let line = master.until("serving metrics and probes");
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
            master.http = Some(entry["address"].as_str().unwrap().to_owned());
        }
        master
    }

    /// Waits until the log says so. Returns the line.
    pub(crate) fn until(&mut self, message: &str) -> String {
        let wanted = format!("\"message\":\"{message}\"");
        loop {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "the log ends before {message}");
            self.heard.push_str(&line);
            if line.contains(&wanted) {
                return line;
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// From now on, a release of this script is current.
    pub(crate) fn release(&self, name: &str, script: &str) {
        put_release(&self.directory, name, script);
    }

    /// A verb for this master, not yet run.
    pub(crate) fn verb(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.env_clear().env("DUTCH_MASTER_CONTROL", self.socket()).args(words);
        command
    }

    /// Runs a verb.
    pub(crate) fn run(&self, words: &[&str]) -> Said {
        Said::of(self.verb(words).output().unwrap())
    }

    /// A connection to the control socket.
    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// Sends a text over HTTP and returns the answer.
    pub(crate) fn http(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.http.as_ref().unwrap()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    pub(crate) fn get(&self, path: &str) -> String {
        self.http(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// Waits until it has no more open than these: it sees a moment later who has gone.
    #[track_caller]
    pub(crate) fn settles(&self, most: usize) {
        until(&format!("{most} descriptors at most"), || self.descriptors() <= most);
    }

    /// A line of its `/proc/PID/status`.
    pub(crate) fn fact(&self, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    /// Waits until it sleeps and has not been woken for a while: on a busy machine it may have had
    /// something left to do. Returns how often it has gone to sleep.
    #[track_caller]
    pub(crate) fn rests(&self) -> u64 {
        let count = || self.fact("voluntary_ctxt_switches");
        until("the master to rest", || {
            let before = count();
            std::thread::sleep(Duration::from_millis(500));
            let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
            status.contains("\nState:\tS") && count() == before
        });
        count()
    }

    /// Stops it. Returns its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.run(&["stop"]).is("stopped\n");
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Master {
    /// Stops it. Returns its whole log.
    pub(crate) fn whole_log(mut self) -> String {
        self.run(&["stop"]).is("stopped\n");
        self.log.read_to_string(&mut self.heard).unwrap();
        std::mem::take(&mut self.heard)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.run(&["stop", "--no-wait"]);
            if std::thread::panicking() {
                // It may have been told to take its time.
                self.run(&["signal", "INT"]);
                self.run(&["signal", "INT"]);
            }
            let _ = self.child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What a verb said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It succeeded and said exactly that.
    #[track_caller]
    pub(crate) fn is(&self, out: &str) {
        assert_eq!((self.code, self.out.as_str()), (0, out), "{self:?}");
    }

    /// It said no, and why.
    #[track_caller]
    pub(crate) fn refuses(&self, why: &str) {
        assert!(self.code == 1 && self.err.contains(why), "{self:?}");
    }
}
