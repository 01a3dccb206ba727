//! What the workers' environment holds is theirs: it stands in no log, no answer, no metric.

use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::harness::Master;

/// Words that a search finds, and nothing else contains.
const SECRET: &str = "correct-horse-battery-staple";

/// A directory of variables, gone with the test.
struct Variables(PathBuf);

impl Variables {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dutch-master-secrets-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, value: &str) {
        fs::write(self.0.join(name), value).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Variables {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn no_secret_of_the_workers_stands_in_a_log_an_answer_or_a_metric() {
    let variables = Variables::new();
    variables.write("TOKEN", SECRET);
    let master = Master::start(&[
        ("ENV_DIR", variables.path()),
        ("WORKER_ENV_PASSWORD", SECRET),
        ("LOG", "trace"),
        ("HTTP", "127.0.0.1:0"),
    ]);
    master.run(&["reload"]);
    // A worker that dies, a release that does not start, and a variable that can't be one.
    master.release("broken", "exit 3");
    assert_eq!(master.run(&["reload", "--timeout", "30s"]).code, 1);
    variables.write("NUL", &format!("{SECRET}\0{SECRET}"));
    assert_eq!(master.run(&["reload", "--timeout", "30s"]).code, 1);
    let mut told = vec![];
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["events"],
        &["events", "--json"],
        &["metrics"],
        &["doctor"],
    ] {
        let said = master.run(words);
        told.push(format!("{words:?}: {}{}", said.out, said.err));
    }
    told.push(master.get("/status.json"));
    told.push(master.get("/metrics"));
    let mut config = master.verb(&["config", "--json"]);
    let config = config.env("DUTCH_MASTER_WORKER_ENV_PASSWORD", SECRET).output().unwrap();
    told.push(String::from_utf8(config.stdout).unwrap());
    let pid = master.pid();
    assert!(
        !fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().contains(SECRET),
        "whoever lists processes reads it"
    );
    told.push(master.whole_log());
    for text in told {
        assert!(text.len() > 10 && !text.contains(SECRET), "{text}");
    }
}

#[test]
fn a_link_out_of_the_directory_of_variables_brings_nothing_from_elsewhere() {
    let (variables, elsewhere) = (Variables::new(), Variables::new());
    elsewhere.write("file", SECRET);
    variables.write("GOOD", "yes");
    let mut master = Master::start(&[("ENV_DIR", variables.path())]);
    let name = elsewhere.0.file_name().unwrap().to_str().unwrap();
    for to in [format!("../{name}/file"), format!("{}/file", elsewhere.path())] {
        symlink(to, variables.0.join("STOLEN")).unwrap();
        let said = master.run(&["reload", "--timeout", "30s"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(!said.err.contains(SECRET), "{said:?}");
        fs::remove_file(variables.0.join("STOLEN")).unwrap();
    }
    master.run(&["reload", "--timeout", "30s"]);
    master.until("roll complete");
}
