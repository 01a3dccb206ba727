//! A container with the master in it, gone when the test lets go of it.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    docker::{docker, docker_fails, image, label, text_of},
    load::Load,
    log::{self, Entry, Log},
};

/// Where the fleet listens unless a test says otherwise.
pub(crate) const ADDRESS: &str = "127.0.0.1:8000";

/// How a container is to be started.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    options: Vec<String>,
    settings: Vec<(String, String)>,
    before: Vec<String>,
    arguments: Vec<String>,
}

impl Setup {
    /// Two workers on one listener, without a network but loopback; `worker` is the worker's knobs.
    pub(crate) fn new(worker: &str) -> Self {
        Self::command(&format!("/worker {worker}"))
            .set("LISTEN", &format!("http={ADDRESS}"))
            .set("CONTRACT", "systemd")
            .set("WORKERS", "2")
            .set("BACKOFF", "50ms-1s")
    }

    /// The master with `command`, split at white space, and nothing set but the log's format.
    pub(crate) fn command(command: &str) -> Self {
        let setup = Self {
            options: vec![],
            settings: vec![],
            before: vec![],
            arguments: command.split_whitespace().map(str::to_owned).collect(),
        };
        setup.set("LOG_FORMAT", "json")
    }

    /// Sets `DUTCH_MASTER_name`; the last one counts.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(have, _)| have != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves `DUTCH_MASTER_name` unset.
    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.settings.retain(|(have, _)| have != name);
        self
    }

    /// Adds options of `docker run`, split at white space.
    pub(crate) fn options(mut self, options: &str) -> Self {
        self.options.extend(options.split_whitespace().map(str::to_owned));
        self
    }

    /// Puts words before the master: a program that prepares the process and becomes the master.
    pub(crate) fn after(mut self, words: &str) -> Self {
        self.before = words.split_whitespace().map(str::to_owned).collect();
        self
    }

    /// Everything after `docker run`.
    pub(crate) fn words(&self, more: &[&str]) -> Vec<String> {
        let mut words: Vec<String> = vec!["run".into(), "--label".into(), label()];
        words.extend(more.iter().map(|word| (*word).to_owned()));
        if !self.options.iter().any(|word| word.starts_with("--network")) {
            words.extend(["--network".into(), "none".into()]);
        }
        for (name, value) in &self.settings {
            words.extend(["-e".into(), format!("DUTCH_MASTER_{name}={value}")]);
        }
        words.extend(self.options.iter().cloned());
        words.push(image());
        words.extend(self.before.iter().cloned());
        words.push("/dutch-master".into());
        words.extend(self.arguments.iter().cloned());
        words
    }

    /// Starts it and returns at once.
    #[track_caller]
    pub(crate) fn start(&self) -> Container {
        let id = docker(&self.words(&["--detach"]));
        Container { log: Log::follow(&id), id }
    }

    /// Starts it and waits until every worker is ready and has proved itself.
    #[track_caller]
    pub(crate) fn ready(&self) -> Container {
        let container = self.start();
        container.next("every worker ready");
        container.next_where("the end of the boot", |entry| {
            entry.says("roll complete") || entry.says("boot complete")
        });
        container
    }

    /// Runs it to its end; the exit code, and what it printed.
    pub(crate) fn to_its_end(&self) -> (i32, String) {
        let output = docker_fails(&self.words(&["--rm"]));
        (output.status.code().unwrap_or(-1), text_of(&output))
    }
}

/// A container that runs, or has run.
pub(crate) struct Container {
    id: String,
    log: Log,
}

impl Container {
    /// `docker run WORDS`, in the background.
    #[track_caller]
    pub(crate) fn run(words: &[&str]) -> Self {
        let id = docker(&[&["run", "--detach", "--label", &label()], words].concat());
        Self { log: Log::follow(&id), id }
    }

    /// The engine's name for it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Waits until the master says `message`, after whatever was waited for before.
    #[track_caller]
    pub(crate) fn next(&self, message: &str) -> Entry {
        self.log.next_where(&format!("'{message}'"), |entry| entry.says(message))
    }

    /// Waits for a line of which `question` is true.
    #[track_caller]
    pub(crate) fn next_where(&self, what: &str, question: impl Fn(&Entry) -> bool) -> Entry {
        self.log.next_where(what, question)
    }

    /// Waits until `question` is true of the whole log.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, question: impl Fn(&[Entry]) -> bool) {
        self.log.until(what, question);
    }

    /// From now on waits only for what is said from now on.
    pub(crate) fn skip(&self) {
        self.log.skip();
    }

    /// Every line so far in which the master says `message`.
    pub(crate) fn said(&self, message: &str) -> Vec<Entry> {
        self.log.so_far().into_iter().filter(|entry| entry.says(message)).collect()
    }

    /// The last lines of the log, for a message.
    pub(crate) fn tail(&self) -> String {
        self.lines(60)
    }

    /// So many of its last lines.
    pub(crate) fn lines(&self, count: usize) -> String {
        log::last(&self.log.so_far(), count)
    }

    /// `docker kill -s SIGNAL`.
    #[track_caller]
    pub(crate) fn signal(&self, signal: &str) {
        docker(&["kill", "-s", signal, &self.id]);
    }

    /// Asks for a roll and waits until it is complete.
    #[track_caller]
    pub(crate) fn roll(&self) -> Entry {
        self.signal("SIGUSR2");
        self.next("roll started");
        self.next("roll complete")
    }

    /// The answer to one request, which must be right.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> String {
        self.exec(&["/probe", "get", ADDRESS, path])
    }

    /// Runs a program inside; its standard output.
    #[track_caller]
    pub(crate) fn exec(&self, words: &[&str]) -> String {
        docker(&[&["exec", &self.id], words].concat())
    }

    /// The values of `name=value` in the answers to `count` requests.
    #[track_caller]
    pub(crate) fn answers(&self, name: &str, count: usize) -> BTreeSet<String> {
        (0..count).map(|_| value(&self.get("/"), name)).collect()
    }

    /// A line of /proc/1/status.
    #[track_caller]
    pub(crate) fn status_of_master(&self, name: &str) -> String {
        let status = self.exec(&["/probe", "cat", "/proc/1/status"]);
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect("a line of /proc/1/status").trim().to_owned()
    }

    /// Pid, state, name, parent and number of threads of every process inside.
    #[track_caller]
    pub(crate) fn processes(&self) -> Vec<Vec<String>> {
        let text = self.exec(&["/probe", "processes"]);
        text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
    }

    /// How many live processes inside are workers.
    #[track_caller]
    pub(crate) fn workers(&self) -> usize {
        let alive = |process: &&Vec<String>| process[2] == "worker" && process[1] != "Z";
        self.processes().iter().filter(alive).count()
    }

    /// How many threads the workers inside have for connections: all but a worker's own two.
    #[track_caller]
    pub(crate) fn connections(&self) -> usize {
        let processes = self.processes();
        let workers = processes.iter().filter(|process| process[2] == "worker");
        let threads = |process: &Vec<String>| process[4].parse::<usize>().expect("a number");
        workers.map(|process| threads(process).saturating_sub(2)).sum()
    }

    /// A fact from `docker inspect`.
    #[track_caller]
    pub(crate) fn inspect(&self, template: &str) -> String {
        docker(&["inspect", "--format", template, &self.id])
    }

    /// Sends load to the fleet until told to stop, and has had an answer already; `options` are
    /// the strict client's.
    #[track_caller]
    pub(crate) fn load(&self, options: &str) -> Load {
        Load::start(&format!("container:{}", self.id), "", ADDRESS, options)
    }

    /// The same, without waiting for the first answer.
    #[track_caller]
    pub(crate) fn begin_load(&self, options: &str) -> Load {
        Load::begin(&format!("container:{}", self.id), "", ADDRESS, options)
    }

    /// Waits for the end; the exit code.
    #[track_caller]
    pub(crate) fn exit_code(&self) -> i32 {
        let output = docker_fails(&["wait", &self.id]);
        let text = text_of(&output);
        text.trim().parse().unwrap_or_else(|_| panic!("no end: {text}\n{}", self.tail()))
    }

    /// `docker stop`: the exit code, and how long it took.
    #[track_caller]
    pub(crate) fn stop(&self) -> (i32, Duration) {
        let began = Instant::now();
        docker(&["stop", "--time", "45", &self.id]);
        (self.exit_code(), began.elapsed())
    }

    /// The whole log of a container that has ended.
    pub(crate) fn whole_log(&self) -> Vec<Entry> {
        self.log.to_its_end()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // What is not removed here goes with the label when scripts/test ends.
        let _ = Command::new("timeout")
            .args(["60", "docker", "rm", "--force", "--volumes", &self.id])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// The value of `name=value` among the words of `text`.
#[track_caller]
pub(crate) fn value(text: &str, name: &str) -> String {
    let pairs = text.split_whitespace().filter_map(|word| word.split_once('='));
    let mut values = pairs.filter(|(have, _)| *have == name).map(|(_, value)| value.to_owned());
    values.next().unwrap_or_else(|| panic!("no {name} in {text}"))
}
