//! What the worker answers, and what it does when a page is asked for.

use std::{env, fs, process, thread, time::Duration};

use tools::{
    http::{Head, query},
    notify,
};

use crate::{Worker, trouble};

/// An answer, and what follows once it has been sent.
pub(crate) struct Reply {
    pub(crate) status: &'static str,
    pub(crate) body: String,
    pub(crate) afterwards: Option<Box<dyn FnOnce()>>,
}

/// Answers one request.
pub(crate) fn reply(worker: &Worker, head: &Head) -> Reply {
    let (path, text) = head.target();
    let number = |name| query(text, name).and_then(|value| value.parse::<u64>().ok());
    let pause = number("ms").or(worker.knobs.number("delay")).unwrap_or(0);
    if pause > 0 {
        thread::sleep(Duration::from_millis(pause));
    }
    let stored = worker.stored.lock().expect("the store").clone();
    let mut body =
        format!("{} stored={stored} id={}\n", worker.who, query(text, "id").unwrap_or("0"));
    let mut status = "200 OK";
    let mut afterwards: Option<Box<dyn FnOnce()>> = None;
    match path {
        "/" => {}
        "/env" => body.push_str(&environment()),
        "/fds" => body.push_str(&descriptors()),
        "/status" => body.push_str(&fs::read_to_string("/proc/self/status").unwrap_or_default()),
        "/cwd" => body.extend(["cwd=", &cwd(), "\n"]),
        "/big" => (0..number("kb").unwrap_or(64)).for_each(|_| body.push_str(&"x".repeat(1024))),
        "/notify" => tell(&query(text, "say").unwrap_or("STATUS=hello").replace(':', "=")),
        "/restart" => (0..number("n").unwrap_or(1)).for_each(|_| tell("X_RESTART=1")),
        "/stopping" => {
            tell("STOPPING=1");
            worker.drain();
        }
        "/alloc" => trouble::grow(number("mb").unwrap_or(1)),
        "/orphans" => trouble::orphans(number("n").unwrap_or(1), Duration::ZERO),
        "/exit" => {
            let code = i32::try_from(number("code").unwrap_or(0)).unwrap_or(255);
            afterwards = Some(Box::new(move || process::exit(code)));
        }
        "/kill" => {
            let signal = number("signal").unwrap_or(9);
            afterwards = Some(Box::new(move || trouble::kill_self(signal)));
        }
        _ => status = "404 Not Found",
    }
    Reply { status, body, afterwards }
}

fn tell(message: &str) {
    notify::send(message).expect("a notification");
}

/// Bytes that are no text are escaped, so that a test can tell them.
fn environment() -> String {
    let mut text = String::new();
    for (name, value) in env::vars_os() {
        let value = value.as_encoded_bytes().escape_ascii().to_string();
        text.extend([&name.to_string_lossy(), "=", &value, "\n"]);
    }
    text
}

fn cwd() -> String {
    env::current_dir().map_or_else(|error| error.to_string(), |path| path.display().to_string())
}

fn descriptors() -> String {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return String::new() };
    let mut lines: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            format!("fd={} {}\n", entry.file_name().display(), target.display())
        })
        .collect();
    lines.sort();
    lines.concat()
}
