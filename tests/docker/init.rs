//! `docker run --init` with this binary in docker-init's place.
//!
//! An engine takes its init at its own start, so this test has an engine of its own, beside whichever runs.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    harness::{docker, docker_fails, image, text_of, until},
    terminal::at_terminal,
};

/// How long an engine may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(120);

/// An engine with our binary for its init; gone with its files when dropped.
struct Engine {
    daemon: Child,
    place: PathBuf,
}

impl Engine {
    fn start() -> Self {
        let place = std::env::temp_dir().join(format!("dm-init-engine-{}", std::process::id()));
        fs::create_dir(&place).unwrap();
        let init = place.join("docker-init");
        fs::copy(std::env::var("DM_BINARY").expect("scripts/test docker"), &init).unwrap();
        let log = File::create(place.join("log")).unwrap();
        let at = |name: &str| place.join(name).display().to_string();
        let daemon = Command::new("dockerd")
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", at("socket")), "--bridge=none"])
            .args(["--iptables=false", "--ip6tables=false", "--ip-masq=false"])
            .args([
                "--exec-opt",
                "native.cgroupdriver=cgroupfs",
                "--cgroup-parent",
                "/dm-init-engine",
            ])
            .args([
                "--containerd-namespace",
                "dm-init",
                "--containerd-plugins-namespace",
                "dm-init-plugins",
            ])
            .args(["--init-path", &at("docker-init")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd, and root to start it");
        let engine = Self { daemon, place };
        let began = Instant::now();
        while !engine.docker(&["info"]).output().unwrap().status.success() {
            let log = fs::read_to_string(engine.place.join("log")).unwrap();
            assert!(began.elapsed() < PATIENCE, "the engine did not start: {log}");
            thread::sleep(Duration::from_millis(200));
        }
        engine.take_image();
        engine
    }

    /// Takes the image with the tools from the engine that has it.
    fn take_image(&self) {
        let mut saved =
            Command::new("docker").args(["save", &image()]).stdout(Stdio::piped()).spawn().unwrap();
        let loaded = self.docker(&["load"]).stdin(saved.stdout.take().unwrap()).output().unwrap();
        assert!(saved.wait().unwrap().success() && loaded.status.success(), "{}", text_of(&loaded));
    }

    /// What makes the docker client talk to this engine.
    fn words(&self, words: &[&str]) -> Vec<String> {
        let host = format!("unix://{}", self.place.join("socket").display());
        ["--host", &host].into_iter().chain(words.iter().copied()).map(str::to_owned).collect()
    }

    fn docker(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(self.words(words));
        command
    }

    /// `docker run OPTIONS --init IMAGE COMMAND`.
    fn run(&self, options: &[&str], command: &[&str]) -> Vec<String> {
        let image = image();
        let words = [&["run", "--network", "none", "--init"], options, &[&image], command].concat();
        self.words(&words)
    }

    /// What a client's command says.
    fn says(&self, words: &[&str]) -> String {
        docker(&self.words(words))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.daemon.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::TERM);
        let began = Instant::now();
        while self.daemon.try_wait().is_ok_and(|status| status.is_none()) {
            if began.elapsed() > PATIENCE {
                let _ = self.daemon.kill();
            }
            thread::sleep(Duration::from_millis(100));
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let ours = mounts.lines().rev().filter_map(|line| line.split(' ').nth(4));
        for mount in ours.filter(|mount| mount.starts_with(&self.place.display().to_string())) {
            let _ = Command::new("umount").args(["-l", mount]).status();
        }
        let _ = fs::remove_dir_all(&self.place);
    }
}

/// Needs root, for an engine of its own.
#[test]
fn the_engine_takes_this_binary_for_its_init() {
    let engine = Engine::start();
    the_engine_knows_our_version(&engine);
    the_exit_code_is_the_commands(&engine);
    docker_stop_reaches_the_command(&engine);
    a_terminal_is_the_commands(&engine);
    a_closed_standard_input_is_the_commands(&engine);
}

fn the_engine_knows_our_version(engine: &Engine) {
    let said = engine.says(&["info", "--format", "{{.InitBinary}} {{.InitCommit.ID}}"]);
    assert_eq!(said, format!("{} de40ad0", engine.place.join("docker-init").display()));
}

fn the_exit_code_is_the_commands(engine: &Engine) {
    let ended = docker_fails(&engine.run(&["--rm"], &["/probe", "cat", "/no/such/file"]));
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let ended = docker_fails(&engine.run(&["--rm"], &["/no-such-program"]));
    assert_eq!(ended.status.code(), Some(127), "{ended:?}");
    let said = docker(&engine.run(&["--rm"], &["/probe", "cat", "/proc/1/comm"]));
    assert_eq!(said, "docker-init", "nothing but the command's own output");
    let said = docker(&engine.run(&["--rm"], &["/probe", "cat", "/proc/1/cmdline"]));
    assert!(said.starts_with("/sbin/docker-init\0--\0/probe"), "{said:?}");
}

fn docker_stop_reaches_the_command(engine: &Engine) {
    let id = docker(&engine.run(&["--detach", "--interactive"], &["/probe", "tty"]));
    // Until it is there, the kernel keeps signals from the first process of a container.
    until("the command runs", || engine.says(&["logs", &id]).contains("terminal="));
    let began = Instant::now();
    engine.says(&["stop", "--time", "40", &id]);
    assert_eq!(engine.says(&["wait", &id]), "143");
    assert!(began.elapsed().as_secs() < 40, "not by SIGKILL");
}

fn a_terminal_is_the_commands(engine: &Engine) {
    let words = engine.run(&["--rm", "--interactive", "--tty"], &["/probe", "tty"]);
    let (code, text) = at_terminal(&words, b"hello\n");
    assert!(text.contains("terminal=true foreground=true"), "{text}");
    assert!(text.contains("you said hello") && code == 5, "{text}");
}

/// The client has hung up before the command reads.
fn a_closed_standard_input_is_the_commands(engine: &Engine) {
    let words = engine.run(&["--rm", "--interactive"], &["/probe", "cat", "/dev/stdin"]);
    let ended = Command::new("docker").args(words).stdin(Stdio::null()).output().unwrap();
    assert!(ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
}
