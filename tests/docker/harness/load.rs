//! The strict client in a container of its own, in the network of the one that it sends load to.

use std::fmt;

use serde_json::Value;

use super::docker::{docker, docker_fails, image, label, text_of};

/// Load that is being sent.
pub(crate) struct Load(String);

impl Load {
    /// Starts the client and returns when a request of its has been answered.
    #[track_caller]
    pub(crate) fn start(network: &str, options: &str, address: &str, words: &str) -> Self {
        let load = Self::begin(network, options, address, words);
        load.says("strict-client: answered");
        load
    }

    /// The same, without waiting for an answer.
    #[track_caller]
    pub(crate) fn begin(network: &str, options: &str, address: &str, words: &str) -> Self {
        let command = format!("/strict-client {address} expect=id={{id}} {words}");
        Self::of(network, options, &command)
    }

    /// The same with another client that says and reports what the strict one does.
    #[track_caller]
    pub(crate) fn of(network: &str, options: &str, client: &str) -> Self {
        let label = label();
        let image = image();
        let mut command = vec!["run", "--detach", "--label", &label, "--network", network];
        command.extend(options.split_whitespace());
        command.push(&image);
        command.extend(client.split_whitespace());
        let load = Self(docker(&command));
        load.says("strict-client: running");
        load
    }

    #[track_caller]
    fn says(&self, words: &str) {
        super::until(words, || text_of(&docker_fails(&["logs", &self.0])).contains(words));
    }

    /// Stops it, once every request that was begun has ended.
    #[track_caller]
    pub(crate) fn finish(self) -> Report {
        docker(&["stop", "--time", "100", &self.0]);
        let report = docker(&["logs", &self.0]);
        Report(serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {report}")))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        docker_fails(&["rm", "--force", &self.0]);
    }
}

/// What became of every request.
pub(crate) struct Report(Value);

/// One line: every class that occurred, the longest gap, and the first failures one by one.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gap {:.0} ms", self.gap())?;
        for kind in ["one_shot", "keep_alive"] {
            write!(f, "; {kind} idle_closed={}", self.0[kind]["idle_closed"])?;
            let classes = self.0[kind]["classes"].as_object().into_iter().flatten();
            for (class, count) in classes.filter(|(_, count)| **count != 0) {
                write!(f, " {class}={count}")?;
            }
        }
        write!(f, "; {}", self.0["failures"])
    }
}

impl Report {
    /// A number of the report, by its JSON pointer.
    #[track_caller]
    pub(crate) fn number(&self, pointer: &str) -> f64 {
        let value = self.0.pointer(pointer).and_then(Value::as_f64);
        value.unwrap_or_else(|| panic!("no {pointer} in {}", self.0))
    }

    /// How many answers came from `who`.
    pub(crate) fn by(&self, who: &str) -> u64 {
        self.0["by"][who].as_u64().unwrap_or(0)
    }

    /// Who has answered, as far as answers say so.
    pub(crate) fn answerers(&self) -> Vec<&str> {
        self.0["by"].as_object().into_iter().flatten().map(|(who, _)| who.as_str()).collect()
    }

    /// Every request of either kind was answered, and answered rightly.
    #[track_caller]
    pub(crate) fn nothing_was_lost(&self) {
        assert!(self.number("/failed") == 0.0, "requests were lost: {:#}", self.0);
        assert!(self.number("/ok") > 100.0, "too little load to say anything: {:#}", self.0);
    }

    /// The longest time without an answer, in milliseconds.
    pub(crate) fn gap(&self) -> f64 {
        self.number("/gap_ms")
    }
}
