//! What a command will become: looks through the wrappers that people put before their program.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

/// Wrappers around wrappers end somewhere.
const DEEPEST: usize = 8;

/// What the command runs, as far as we can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Node, or a runtime that speaks its cluster protocol.
    Node(String),
    /// A Node program that starts the real one as its child, and keeps our channel from it.
    Swallows(String),
    /// Anything else.
    Other,
}

const RUNTIMES: &[&str] = &["node", "nodejs", "bun", "deno"];
const SWALLOWERS: &[&str] =
    &["npm", "npx", "yarn", "yarnpkg", "pnpm", "nodemon", "pm2", "pm2-runtime", "forever"];
const SHELLS: &[&str] = &["sh", "ash", "bash", "dash", "busybox"];
const INITS: &[&str] = &["tini", "tini-static", "dumb-init", "catatonit", "docker-init"];

/// Looks through a command. `head` gives the first bytes of the program that a name stands for.
pub(crate) fn program(command: &[OsString], head: impl Fn(&OsStr) -> Option<Vec<u8>>) -> Program {
    let mut words = command.to_vec();
    for _ in 0..DEEPEST {
        let Some(first) = words.first().cloned() else { return Program::Other };
        let name = file_name(&first);
        let is = |names: &[&str]| names.contains(&name.as_str());
        words = if is(RUNTIMES) {
            return Program::Node(name);
        } else if is(SWALLOWERS) {
            return Program::Swallows(name);
        } else if name == "env" {
            after_env(&words)
        } else if is(INITS) {
            after_options(&words)
        } else if is(SHELLS) {
            match script(&words) {
                Some(inner) => inner,
                None => return Program::Other,
            }
        } else {
            match head(&first).as_deref().and_then(shebang) {
                Some(interpreter) => interpreter,
                None => return Program::Other,
            }
        };
    }
    Program::Other
}

fn file_name(word: &OsStr) -> String {
    let name = Path::new(word).file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    // npm-cli.js, yarn.js: what the names in PATH are links to.
    name.strip_suffix(".js").map_or(name.clone(), |stem| stem.trim_end_matches("-cli").to_owned())
}

/// `env -i NAME=value program …`
fn after_env(words: &[OsString]) -> Vec<OsString> {
    let is_own = |word: &&OsString| {
        let bytes = word.as_bytes();
        bytes.starts_with(b"-") || bytes.contains(&b'=')
    };
    words.iter().skip(1).skip_while(is_own).cloned().collect()
}

/// `tini -g -- program …`
fn after_options(words: &[OsString]) -> Vec<OsString> {
    let is_option = |word: &&OsString| word.as_bytes().starts_with(b"-") && *word != "--";
    let rest = words.iter().skip(1).skip_while(is_option);
    rest.skip_while(|word| *word == "--").cloned().collect()
}

/// `sh -c 'exec program …'`: the first command of the script.
fn script(words: &[OsString]) -> Option<Vec<OsString>> {
    let mut rest = words.iter().skip(1).skip_while(|word| {
        let bytes = word.as_bytes();
        bytes == b"sh" || (bytes.starts_with(b"-") && !bytes.ends_with(b"c"))
    });
    if !rest.next()?.as_bytes().ends_with(b"c") {
        return None;
    }
    let text = rest.next()?;
    let words = text.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let is_before =
        |word: &&[u8]| *word == b"exec" || (word.contains(&b'=') && !word.contains(&b'/'));
    let found: Vec<OsString> =
        words.skip_while(is_before).map(|word| OsString::from_vec(word.to_vec())).collect();
    (!found.is_empty()).then_some(found)
}

/// `#!/usr/bin/env node`
fn shebang(head: &[u8]) -> Option<Vec<OsString>> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let found: Vec<OsString> = words.map(|word| OsString::from_vec(word.to_vec())).collect();
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &[&str]) -> Program {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        program(&command, |name| {
            (name == "/srv/app.js" || name == "app")
                .then(|| b"#!/usr/bin/env -S node --enable-source-maps\nimport".to_vec())
        })
    }

    #[test]
    fn node_is_found_behind_the_usual_wrappers() {
        for command in [
            &["node", "app.js"][..],
            &["/usr/local/bin/node", "app.js"],
            &["env", "-i", "A=b", "node", "app.js"],
            &["sh", "-c", "exec node app.js"],
            &["/bin/bash", "-ec", "TZ=UTC exec node app.js"],
            &["sh", "-c", "node app.js; true"],
            &["tini", "-g", "--", "node", "app.js"],
            &["tini", "--", "sh", "-c", "exec node app.js"],
            &["/srv/app.js"],
            &["app"],
        ] {
            assert_eq!(of(command), Program::Node("node".to_owned()), "{command:?}");
        }
        assert_eq!(of(&["bun", "run", "x"]), Program::Node("bun".to_owned()));
    }

    #[test]
    fn programs_that_keep_the_channel_to_themselves_are_named() {
        for (command, name) in [
            (&["npm", "start"][..], "npm"),
            (&["sh", "-c", "exec npm start"], "npm"),
            (&["/usr/lib/node_modules/npm/bin/npm-cli.js", "start"], "npm"),
            (&["yarn", "start"], "yarn"),
        ] {
            assert_eq!(of(command), Program::Swallows(name.to_owned()), "{command:?}");
        }
    }

    #[test]
    fn anything_else_is_something_else() {
        for command in [
            &["python3", "node.py"][..],
            &["sh", "node.sh"],
            &["sh", "-c", ""],
            &["env"],
            &[],
            &["./nodes"],
        ] {
            assert_eq!(of(command), Program::Other, "{command:?}");
        }
    }
}
