//! What a container has said so far, and waiting for what it says next.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long the product may take for anything: longer than any machine needs for what a test asks.
const PATIENCE: Duration = Duration::from_secs(90);

/// A line of the log: the master's are JSON objects, the workers' are words.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The whole line.
    pub(crate) text: String,
    json: Option<Value>,
}

impl Entry {
    fn new(text: String) -> Self {
        let json = serde_json::from_str(&text).ok().filter(Value::is_object);
        Self { text, json }
    }

    /// A field of the master's line, as text.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let json = self.json.as_ref()?;
        let value = json.get(name).or_else(|| json.get("fields")?.get(name))?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// Whether the master says `message` here; what follows a comma or a colon may be anything.
    pub(crate) fn says(&self, message: &str) -> bool {
        let said = self.field("message").unwrap_or_default();
        said.strip_prefix(message)
            .is_some_and(|more| more.is_empty() || more.starts_with([',', ':']))
    }
}

#[derive(Default)]
struct Lines {
    entries: Vec<Entry>,
    open: usize,
}

/// A container's log, followed from its first line.
pub(crate) struct Log {
    lines: Arc<(Mutex<Lines>, Condvar)>,
    cursor: Mutex<usize>,
    follower: Child,
}

impl Log {
    /// Follows the log of the container `id`.
    pub(crate) fn follow(id: &str) -> Self {
        let mut follower = Command::new("docker")
            .args(["logs", "--follow", id])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker logs");
        let lines: Arc<(Mutex<Lines>, Condvar)> = Arc::default();
        let (stdout, stderr) = (follower.stdout.take(), follower.stderr.take());
        lines.0.lock().unwrap_or_else(PoisonError::into_inner).open = 2;
        read(Arc::clone(&lines), stdout.expect("a pipe"));
        read(Arc::clone(&lines), stderr.expect("a pipe"));
        Self { lines, cursor: Mutex::new(0), follower }
    }

    /// Waits for the first line after the last one waited for of which `question` is true.
    #[track_caller]
    pub(crate) fn next_where(&self, what: &str, question: impl Fn(&Entry) -> bool) -> Entry {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let end = Instant::now() + PATIENCE;
        let mut lines = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut looked = *cursor;
        loop {
            if let Some(at) = (looked..lines.entries.len()).find(|at| question(&lines.entries[*at]))
            {
                *cursor = at + 1;
                return lines.entries[at].clone();
            }
            looked = lines.entries.len();
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                lines.open > 0 && !left.is_zero(),
                "waited in vain for {what} after line {cursor}, log {}:\n{}",
                if lines.open > 0 { "still open" } else { "ended" },
                tail(&lines.entries),
            );
            lines =
                self.lines.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until `question` is true of the whole log, whatever the order in it.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, question: impl Fn(&[Entry]) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut lines = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !question(&lines.entries) {
            let left = end.saturating_duration_since(Instant::now());
            let hope = lines.open > 0 && !left.is_zero();
            assert!(hope, "waited in vain until {what}:\n{}", tail(&lines.entries));
            lines =
                self.lines.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The whole log of a container that has ended.
    pub(crate) fn to_its_end(&self) -> Vec<Entry> {
        let end = Instant::now() + PATIENCE;
        let mut lines = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        while lines.open > 0 && Instant::now() < end {
            lines = self
                .lines
                .1
                .wait_timeout(lines, Duration::from_millis(200))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        lines.entries.clone()
    }

    /// Everything that has been said so far.
    pub(crate) fn so_far(&self) -> Vec<Entry> {
        self.lines.0.lock().unwrap_or_else(PoisonError::into_inner).entries.clone()
    }

    /// From now on only what is said after this moment is waited for.
    pub(crate) fn skip(&self) {
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) =
            self.lines.0.lock().unwrap_or_else(PoisonError::into_inner).entries.len();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.follower.kill();
        let _ = self.follower.wait();
    }
}

fn read(lines: Arc<(Mutex<Lines>, Condvar)>, from: impl Read + Send + 'static) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut bytes = vec![];
        while from.read_until(b'\n', &mut bytes).is_ok_and(|got| got > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            lines.0.lock().unwrap_or_else(PoisonError::into_inner).entries.push(Entry::new(text));
            lines.1.notify_all();
            bytes.clear();
        }
        lines.0.lock().unwrap_or_else(PoisonError::into_inner).open -= 1;
        lines.1.notify_all();
    });
}

/// The last lines, for a failed test's message.
pub(crate) fn tail(entries: &[Entry]) -> String {
    last(entries, 60)
}

/// So many of the last lines, without what workers say for the sake of it.
pub(crate) fn last(entries: &[Entry], count: usize) -> String {
    let lines = entries.iter().map(|entry| entry.text.as_str());
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with("chatter ")).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
