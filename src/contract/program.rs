//! Which runtime a command comes down to, through the wrappers that images use.
//!
//! Nothing is run: names, arguments and the first line of scripts are all there is to go by.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

/// How many wrappers are looked through; a script that names itself has no end.
const DEPTH: u8 = 8;

/// What a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Node itself, with a program of the user's.
    Node,
    /// Bun, whose servers bind by themselves.
    Bun,
    /// Deno.
    Deno,
    /// nginx, or one made from it.
    Nginx,
    /// A Node program that starts another, and takes the cluster's channel for itself.
    Swallower(&'static str),
    /// Anything else.
    Other,
}

/// Node programs that run yours in a process of its own, without the channel.
const SWALLOWERS: &[&str] = &[
    "npm",
    "npx",
    "yarn",
    "yarnpkg",
    "yarnpkg.js",
    "pnpm",
    "pnpx",
    "corepack",
    "nodemon",
    "pm2",
    "pm2-runtime",
    "forever",
    "tsx",
    "cross-env",
];
/// Container inits that take options and then a command.
const INITS: &[&str] = &["tini", "tini-static", "docker-init", "dumb-init", "catatonit"];
/// Node's options that are followed by a value.
const VALUED: &[&[u8]] = &[b"-r", b"--require", b"--import", b"--loader", b"-C", b"--conditions"];
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "busybox"];

/// Whether a program is a shell: one that runs a command and tells it nothing.
pub(crate) fn is_shell(program: &str) -> bool {
    let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
    // A login shell's name begins with a hyphen.
    SHELLS.contains(&name.trim_start_matches('-'))
}

/// Finds out what a command runs. `head` gives the beginning of an executable as execvp(3) would
/// find it.
pub(crate) fn recognise(command: &[OsString], head: &dyn Fn(&OsStr) -> Option<Vec<u8>>) -> Program {
    let command: Vec<&[u8]> = command.iter().map(|word| word.as_bytes()).collect();
    look(&command, head, DEPTH)
}

fn look(command: &[&[u8]], head: &dyn Fn(&OsStr) -> Option<Vec<u8>>, depth: u8) -> Program {
    let Some((program, arguments)) = command.split_first() else { return Program::Other };
    let Some(depth) = depth.checked_sub(1) else { return Program::Other };
    let path = Path::new(OsStr::from_bytes(program));
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    match runtime(name) {
        Some(Program::Node) => return node_script(arguments).unwrap_or(Program::Node),
        Some(known) => return known,
        None => {}
    }
    if name == "env" {
        return look(after_env(arguments), head, depth);
    }
    if INITS.contains(&name) {
        return look(after_options(arguments), head, depth);
    }
    if SHELLS.contains(&name)
        && let Some(script) = shell_script(arguments)
    {
        return look(&simple_command(script), head, depth);
    }
    let Some(text) = head(OsStr::from_bytes(program)) else { return Program::Other };
    match shebang(&text) {
        None => Program::Other,
        // An entry point that becomes its own arguments, as many images have.
        Some(_) if contains(&text, b"exec \"$@\"") => look(arguments, head, depth),
        Some(interpreter) => look(&interpreter, head, depth),
    }
}

/// A swallower that is started by its file, as `node /usr/lib/node_modules/npm/bin/npm-cli.js start`.
fn node_script(arguments: &[&[u8]]) -> Option<Program> {
    let mut words = arguments.iter();
    let mut script = words.next()?;
    while script.starts_with(b"-") {
        if VALUED.contains(script) {
            words.next();
        }
        script = words.next()?;
    }
    // A program of the user's may have any name, but those are installed as commands.
    let path = Some(Path::new(OsStr::from_bytes(script)))
        .filter(|path| path.parent().is_some_and(|parent| parent.ends_with("bin")))?;
    let name = path.file_stem()?.to_str()?;
    let name = name.strip_suffix("-cli").unwrap_or(name);
    SWALLOWERS.iter().find(|known| **known == name).map(|known| Program::Swallower(known))
}

fn runtime(name: &str) -> Option<Program> {
    if let Some(known) = SWALLOWERS.iter().find(|known| **known == name) {
        return Some(Program::Swallower(known));
    }
    match name.trim_end_matches(|letter: char| letter.is_ascii_digit() || "-.".contains(letter)) {
        "node" | "nodejs" => Some(Program::Node),
        "bun" => Some(Program::Bun),
        "deno" => Some(Program::Deno),
        "nginx" | "openresty" | "angie" | "tengine" | "freenginx" => Some(Program::Nginx),
        _ => None,
    }
}

/// `env [-i] [-S] [NAME=VALUE]… COMMAND`.
fn after_env<'a, 'b>(arguments: &'a [&'b [u8]]) -> &'a [&'b [u8]] {
    let is_env = |word: &&[u8]| word.starts_with(b"-") || word.contains(&b'=');
    let start = arguments.iter().position(|word| !is_env(word)).unwrap_or(arguments.len());
    arguments.get(start..).unwrap_or_default()
}

/// What follows `--`; without one, what follows the options, none of which is known to take a value
/// here.
fn after_options<'a, 'b>(arguments: &'a [&'b [u8]]) -> &'a [&'b [u8]] {
    let end = arguments.iter().position(|word| *word == b"--").map(|at| at.saturating_add(1));
    let first = || arguments.iter().position(|word| !word.starts_with(b"-"));
    arguments.get(end.or_else(first).unwrap_or(arguments.len())..).unwrap_or_default()
}

/// The text after `-c`, or in a cluster of options that ends in one (`-ec`).
fn shell_script<'a>(arguments: &[&'a [u8]]) -> Option<&'a [u8]> {
    let is_script = |word: &&[u8]| word.starts_with(b"-") && word.ends_with(b"c");
    let at = arguments.iter().take(3).position(is_script)?;
    arguments.get(at.saturating_add(1)).copied()
}

/// The first command of a shell's text without `exec`, assignments and quotes. A worker's channel
/// is inherited through the shell, so that it need not be replaced by its command.
fn simple_command(script: &[u8]) -> Vec<&[u8]> {
    let end = script.iter().position(|byte| b";&|\n".contains(byte)).unwrap_or(script.len());
    let words = script.get(..end).unwrap_or_default().split(u8::is_ascii_whitespace);
    let words = words.map(|word| trimmed(word, b"\"'")).filter(|word| !word.is_empty());
    words.skip_while(|word| *word == b"exec" || word.contains(&b'=')).collect()
}

fn trimmed<'a>(mut word: &'a [u8], marks: &[u8]) -> &'a [u8] {
    while let [first, rest @ ..] = word
        && marks.contains(first)
    {
        word = rest;
    }
    while let [rest @ .., last] = word
        && marks.contains(last)
    {
        word = rest;
    }
    word
}

/// The interpreter and its arguments, from a script's first line.
fn shebang(text: &[u8]) -> Option<Vec<&[u8]>> {
    let line = text.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    Some(words.collect())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What to tell somebody whose command starts with a [`Program::Swallower`].
pub(crate) fn advice(name: &str, command: &[OsString]) -> String {
    let command: Vec<u8> =
        command.iter().map(|word| word.as_bytes()).collect::<Vec<_>>().join(&b' ');
    let command = OsString::from_vec(command);
    format!(
        "{} starts the server through {name}, which takes the cluster's channel for itself: each \
         worker would bind the port alone; write the command it runs instead, such as node app.js",
        command.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(command: &str) -> Program {
        let words: Vec<OsString> = command.split('|').map(OsString::from).collect();
        recognise(&words, &|program| {
            let text: &[u8] = match program.to_str()? {
                "server" => b"#!/usr/bin/env node\nrequire('http')",
                "flags" => b"#!/usr/bin/env -S node --enable-source-maps\n",
                "direct" => b"#!/usr/local/bin/node\n",
                "script.py" => b"#!/usr/bin/python3\n",
                "itself" => b"#! itself\n",
                "docker-entrypoint.sh" => b"#!/bin/sh\nset -e\nexec \"$@\"\n",
                "/bin/cat" => b"\x7fELF",
                _ => return None,
            };
            Some(text.to_vec())
        })
    }

    #[test]
    fn runtimes_are_known_by_name_wherever_they_are() {
        for command in [
            "node|a.js",
            "/usr/local/bin/node|a.js",
            "nodejs|a.js",
            "node22|a.js",
            "node-26.1|a.js",
            "node|forever.js",
        ] {
            assert_eq!(seen(command), Program::Node, "{command}");
        }
        assert_eq!((seen("bun|a.js"), seen("/opt/deno|run|a.ts")), (Program::Bun, Program::Deno));
        for command in ["nginx|-g|x", "/usr/sbin/nginx", "sh|-c|exec nginx", "openresty"] {
            assert_eq!(seen(command), Program::Nginx, "{command}");
        }
        for command in [
            "",
            "/bin/cat",
            "nginx-prometheus-exporter",
            "gunicorn|app",
            "nodejs-like|x",
            "nowhere",
            "script.py",
        ] {
            assert_eq!(seen(command), Program::Other, "{command}");
        }
    }

    #[test]
    fn wrappers_are_looked_through() {
        for command in [
            "env|node|a.js",
            "/usr/bin/env|-i|A=b|C=|node|a.js",
            "tini|--|node|a.js",
            "tini|-s|-e|143|--|node|a.js",
            "dumb-init|node|a.js",
            "sh|-c|node a.js",
            "/bin/sh|-c|exec node a.js",
            "bash|-ec|A=b exec \"node\" a.js; true",
            "docker-entrypoint.sh|node|a.js",
            "server|--port|80",
            "flags",
            "direct",
            "tini|--|docker-entrypoint.sh|env|A=b|server",
        ] {
            assert_eq!(seen(command), Program::Node, "{command}");
        }
    }

    #[test]
    fn programs_that_swallow_the_channel_are_named() {
        for (command, name) in [
            ("npm|start", "npm"),
            ("/usr/bin/yarn|start", "yarn"),
            ("sh|-c|npm run serve", "npm"),
            ("npx|tsx|a.ts", "npx"),
            ("nodemon|a.js", "nodemon"),
            ("node|/usr/lib/node_modules/npm/bin/npm-cli.js|start", "npm"),
            ("node|-r|x|--inspect|/opt/yarn/bin/yarn.js|start", "yarn"),
            ("tini|--|node|node_modules/pm2/bin/pm2|start", "pm2"),
        ] {
            assert_eq!(seen(command), Program::Swallower(name), "{command}");
        }
        let advice = advice("npm", &["npm".into(), "start".into()]);
        assert!(advice.starts_with("npm start starts the server through npm"), "{advice}");
    }

    #[test]
    fn what_has_no_end_is_given_up() {
        assert_eq!(seen("itself"), Program::Other);
        assert_eq!(seen("sh|-c|"), Program::Other);
        assert_eq!(seen("env"), Program::Other);
        assert_eq!(seen("tini|--"), Program::Other);
    }
}
