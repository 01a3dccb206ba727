//! A master under test: how it is started, what it has said so far, and waiting for what comes next.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use serde_json::Value;

/// How long the product may take for anything: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What scripts can do besides: `say TEXT…`, `outsider TEXT`, `store NAME FD`, and more of `tool`.
const PRELUDE: &str = r#"
tool() { DM_TOOL="$1" DM_TEXT="$2" DM_FD="$3" $DM_SELF >/dev/null; }
say() { tool say "$1"; }
serve() { DM_TOOL=serve exec $DM_SELF; }
"#;

/// A line that came out of a master.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    json: Option<Value>,
    pub(crate) is_stdout: bool,
}

impl Line {
    /// A field of the log's line, as text.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let value = self.json.as_ref()?.get(name)?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// A field that is a number.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.field(name).and_then(|text| text.parse().ok()).unwrap_or_else(|| {
            panic!("{name} is no number in {}", self.text);
        })
    }

    /// Whether the master says this here.
    pub(crate) fn says(&self, message: &str) -> bool {
        !self.is_stdout && self.field("message").as_deref() == Some(message)
    }
}

#[derive(Default)]
struct Lines {
    all: Vec<Line>,
    open: usize,
}

/// A master to be started.
pub(crate) struct Setup {
    command: Vec<OsString>,
    vars: Vec<(String, OsString)>,
    mute: bool,
}

impl Setup {
    /// One worker that runs a shell script and is ready once it runs.
    pub(crate) fn new(script: &str) -> Self {
        let script = format!("{PRELUDE}\n{script}");
        Self::of(&["sh", "-c", &script, "worker"]).set("READY", "start")
    }

    /// One worker that runs a script and says itself when it is ready.
    pub(crate) fn notifying(script: &str) -> Self {
        Self::new(script).set("READY", "notify")
    }

    /// One worker that runs this command.
    pub(crate) fn of(command: &[&str]) -> Self {
        let this = std::env::current_exe().unwrap();
        let this = format!("{} --ignored --exact tool --nocapture --quiet", this.display());
        Self {
            command: command.iter().map(OsString::from).collect(),
            vars: vec![("DM_SELF".to_owned(), this.into())],
            mute: false,
        }
        .set("WORKERS", "1")
        .set("LOG_FORMAT", "json")
        .set("KILL_TIMEOUT", "60s")
    }

    /// Sets a setting.
    pub(crate) fn set(self, name: &str, value: &str) -> Self {
        self.var(&format!("DUTCH_MASTER_{name}"), value)
    }

    /// Sets a variable of the container's.
    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.into()));
        self
    }

    /// Nobody reads the master's standard output until the test does.
    pub(crate) fn with_stalled_reader(mut self) -> Self {
        self.mute = true;
        self
    }

    /// Starts the master.
    pub(crate) fn start(self) -> Master {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dutch-master"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("DUTCH_MASTER_CONTROL", "off")
            .envs(self.vars)
            .arg("--")
            .args(self.command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary");
        let lines: Arc<(Mutex<Lines>, Condvar)> = Arc::default();
        lines.0.lock().unwrap().open = 1;
        let mut stdout = child.stdout.take();
        if !self.mute {
            lines.0.lock().unwrap().open = 2;
            read(Arc::clone(&lines), stdout.take().unwrap(), true);
        }
        read(Arc::clone(&lines), child.stderr.take().unwrap(), false);
        Master { child, lines, cursors: Default::default(), stdout }
    }

    /// Starts the master and waits for its first worker.
    pub(crate) fn ready(self) -> Master {
        let master = self.start();
        master.next("worker ready");
        master
    }
}

/// A master that runs. Its workers go with it when the test ends, however that is.
pub(crate) struct Master {
    child: Child,
    lines: Arc<(Mutex<Lines>, Condvar)>,
    /// How far the log, and the workers' standard output, have been waited for.
    cursors: [Mutex<usize>; 2],
    /// Its standard output, where a test wants to be a slow reader.
    pub(crate) stdout: Option<std::process::ChildStdout>,
}

impl Master {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).unwrap();
    }

    /// Waits for the first line of the log, after the last one waited for, that answers `question`.
    #[track_caller]
    pub(crate) fn next_where(&self, what: &str, question: impl Fn(&Line) -> bool) -> Line {
        self.wait(what, false, question)
    }

    /// Waits for this message of the log.
    #[track_caller]
    pub(crate) fn next(&self, message: &str) -> Line {
        self.wait(message, false, |line| line.says(message))
    }

    /// Waits for a worker to print a line that begins so, after the last such wait.
    #[track_caller]
    pub(crate) fn printed(&self, begins: &str) -> Line {
        self.wait(begins, true, |line| line.text.starts_with(begins))
    }

    #[track_caller]
    fn wait(&self, what: &str, is_stdout: bool, question: impl Fn(&Line) -> bool) -> Line {
        let question = |line: &Line| line.is_stdout == is_stdout && question(line);
        let mut cursor = self.cursors[usize::from(is_stdout)].lock().unwrap();
        let end = Instant::now() + PATIENCE;
        let mut lines = self.lines.0.lock().unwrap();
        let mut looked = *cursor;
        loop {
            let mut new = looked..lines.all.len();
            if let Some(at) = new.find(|at| question(&lines.all[*at])) {
                *cursor = at + 1;
                return lines.all[at].clone();
            }
            looked = lines.all.len();
            let left = end.saturating_duration_since(Instant::now());
            let text = tail(&lines.all);
            assert!(lines.open > 0 && !left.is_zero(), "in vain for {what}, {cursor}:\n{text}");
            lines = self.lines.1.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Waits until all that the master said before now is here, and its turn has ended: its log and
    /// the workers' output come over two pipes, and no order between them is promised.
    #[track_caller]
    pub(crate) fn catch_up(&self) {
        let told = "signal forwarded";
        let before = *self.cursors[0].lock().unwrap();
        for _ in 0..2 {
            let begun = self.so_far().len();
            *self.cursors[0].lock().unwrap() = begun;
            self.signal(Signal::WINCH);
            self.next(told);
        }
        *self.cursors[0].lock().unwrap() = before;
    }

    /// The log is waited for from its beginning again.
    pub(crate) fn rewind(&self) {
        *self.cursors[0].lock().unwrap() = 0;
    }

    /// Everything so far.
    pub(crate) fn so_far(&self) -> Vec<Line> {
        self.lines.0.lock().unwrap().all.clone()
    }

    /// How often this message has come.
    pub(crate) fn count(&self, message: &str) -> usize {
        self.so_far().iter().filter(|line| line.says(message)).count()
    }

    /// Waits for the end of all output, and of the master. Returns its exit code.
    #[track_caller]
    pub(crate) fn exit_code(&mut self) -> i32 {
        assert!(self.ends_within(PATIENCE), "still runs:\n{}", tail(&self.so_far()));
        let status = self.child.wait().unwrap();
        let mut lines = self.lines.0.lock().unwrap();
        let end = Instant::now() + PATIENCE;
        while lines.open > 0 && Instant::now() < end {
            lines = self.lines.1.wait_timeout(lines, Duration::from_secs(1)).unwrap().0;
        }
        status.code().unwrap_or_else(|| panic!("{status}:\n{}", tail(&lines.all)))
    }

    /// Stops it. Returns its exit code.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> i32 {
        self.signal(Signal::TERM);
        self.exit_code()
    }

    /// Rolls, and waits until everybody is new.
    #[track_caller]
    pub(crate) fn roll(&self) {
        self.signal(Signal::HUP);
        self.next("roll requested");
        self.next("every worker ready");
    }

    fn ends_within(&self, time: Duration) -> bool {
        let pidfd = pidfd_open(self.id(), PidfdFlags::empty()).unwrap();
        ends(&pidfd, time)
    }

    /// Where its first listener is.
    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        self.rewind();
        let address = self.next("listening").field("address").unwrap();
        address.rsplit('/').next().unwrap().parse().unwrap()
    }

    /// All that has been said, for a failed test's message.
    pub(crate) fn tail(&self) -> String {
        tail(&self.so_far())
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Twice means "now, and everybody".
            self.signal(Signal::CONT);
            self.signal(Signal::INT);
            if !self.ends_within(Duration::from_millis(300)) {
                self.signal(Signal::INT);
            }
            if !self.ends_within(Duration::from_secs(20)) {
                let _ = self.child.kill();
            }
            let _ = self.child.wait();
        }
    }
}

fn ends(pidfd: &rustix::fd::OwnedFd, time: Duration) -> bool {
    let timeout =
        Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
    let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&timeout)) == Ok(1)
}

/// Waits until a process that is no child of ours is gone, or dead.
#[track_caller]
pub(crate) fn gone(pid: i64) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
        assert!(ends(&pidfd, PATIENCE), "process {pid:?} lives on");
    }
}

/// Sends a signal to any process.
pub(crate) fn kill(pid: i64, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

fn read(lines: Arc<(Mutex<Lines>, Condvar)>, from: impl Read + Send + 'static, is_stdout: bool) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut bytes = vec![];
        while from.read_until(b'\n', &mut bytes).is_ok_and(|got| got > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            let json = serde_json::from_str(&text).ok().filter(Value::is_object);
            lines.0.lock().unwrap().all.push(Line { text, json, is_stdout });
            lines.1.notify_all();
            bytes.clear();
        }
        lines.0.lock().unwrap().open -= 1;
        lines.1.notify_all();
    });
}

fn tail(lines: &[Line]) -> String {
    let from = lines.len().saturating_sub(60);
    let short = |line: &Line| line.text.chars().take(400).collect::<String>();
    lines[from..].iter().map(short).collect::<Vec<_>>().join("\n")
}

/// A connection to a worker that serves.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects and says something.
    pub(crate) fn say(to: SocketAddr, line: &str) -> Self {
        let stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self(BufReader::new(stream));
        client.more(line);
        client
    }

    /// Says more.
    pub(crate) fn more(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The worker's answer: its pid, slot and generation.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Vec<i64> {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("an answer");
        assert!(!line.is_empty(), "the connection was cut");
        line.split_whitespace().map(|word| word.parse().unwrap()).collect()
    }
}

/// A directory for one test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("dm-master-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A pipe that has a name: a script that reads it waits until the test writes.
    pub(crate) fn fifo(&self, name: &str) -> String {
        let path = self.text(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    /// The path as a setting's value.
    pub(crate) fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), text).unwrap();
        self.text(name)
    }

    /// Writes a file in one step, so that nobody sees it empty.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        let new = self.write(".new-file", text);
        fs::rename(new, self.at(name)).unwrap();
    }

    /// A copy of a file that can be run. Another process writes it: the children that other tests
    /// fork meanwhile would keep our descriptor open, and the file would be busy.
    pub(crate) fn program(&self, from: &Path, name: &str) -> String {
        let path = self.text(name);
        let install = Command::new("install").args(["-m", "755"]).arg(from).arg(&path).status();
        assert!(install.unwrap().success());
        path
    }

    /// Makes `name` a link to `to`, in one step where it is one already.
    pub(crate) fn link(&self, name: &str, to: &str) {
        let new = self.at(".new-link");
        std::os::unix::fs::symlink(Path::new(to), &new).unwrap();
        fs::rename(new, self.at(name)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
