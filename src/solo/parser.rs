//! The command line of `dutch-master init`.

use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::time::Duration;

use super::personality::Asked;
use super::voice::Line;
use super::{Options, Variables, Whom};
use crate::config;
use crate::sys::spawn::Group;

/// How long `--wait-all` waits when it is given no time: less than `docker stop` gives us.
const WAIT_ALL: Duration = Duration::from_secs(8);

/// Exit code for a command line that makes no sense, sysexits(3).
const USAGE: u8 = 64;

const HELP: &str = "\
Usage: dutch-master init [OPTIONS] [--] COMMAND [ARG]...

Runs one command as a plain container init: passes signals on, reaps orphans, exits with the
command's code (128+n if signal n killed it).

  -r, --rewrite FROM:TO[,...]  send TO when FROM comes; 0 for nothing (TERM:QUIT,HUP:0)
  -g, --group                  send signals to the command's whole process group
      --session                run the command in a session of its own, with the terminal if it is ours
  -p, --parent-death SIGNAL    get SIGNAL, and pass it on, when our parent dies
  -k, --kill-after TIME        SIGKILL so long after the first TERM, INT or QUIT (10s)
  -w, --wait-all[=TIME]        when the command has ended, TERM to every descendant, wait for them
                               (8s), then KILL
  -e, --exit-code FROM[:TO]    exit with TO (0) where the command's code is FROM (143, TERM:0)
  -s, --subreaper              adopt orphans though not PID 1; always on
  -q, --quiet                  do not say which signal killed the command
  -v, --verbose                say everything
  -h, --help                   print this
";

/// Reads the words after `init`; options end at the first word that is none.
pub(super) fn parse(_: &str, words: &[OsString], _: Variables<'_>) -> Asked {
    match read(words) {
        Ok(asked) => asked,
        Err(problem) => Asked::Answer(
            vec![Line::error(format!(
                "dutch-master: init: {problem}; see dutch-master init --help"
            ))],
            USAGE,
        ),
    }
}

fn read(words: &[OsString]) -> Result<Asked, String> {
    let mut options = Options::default();
    let mut parser = Parser::from_args(words.iter().cloned());
    loop {
        let name = match parser.next().map_err(|error| error.to_string())? {
            None => return Err("no command".to_owned()),
            Some(Arg::Value(program)) => {
                let rest = parser.raw_args().map_err(|error| error.to_string())?;
                return Ok(Asked::Run([program].into_iter().chain(rest).collect(), options));
            }
            Some(Arg::Short(letter)) => format!("-{letter}"),
            Some(Arg::Long(name)) => format!("--{name}"),
        };
        if ["-h", "--help"].contains(&name.as_str()) {
            return Ok(Asked::Answer(vec![Line::output(HELP.trim_end())], 0));
        }
        option(&name, &mut parser, &mut options)?;
    }
}

fn option(name: &str, parser: &mut Parser, options: &mut Options) -> Result<(), String> {
    if ["-w", "--wait-all"].contains(&name) {
        let time = parser.optional_value().map(text).transpose()?;
        let time = time.map(|time| config::duration_of(&time)).transpose();
        options.wait_all =
            Some(time.map_err(|problem| format!("{name}: {problem}"))?.unwrap_or(WAIT_ALL));
        return Ok(());
    }
    let mut value = || parser.value().map_err(|error| error.to_string()).and_then(text);
    let named = |problem| format!("{name}: {problem}");
    match name {
        "-r" | "--rewrite" => options.rewrite.read(&value()?).map_err(named),
        "-e" | "--exit-code" => options.codes.read(&value()?).map_err(named),
        "-p" | "--parent-death" => {
            options.parent_death = Some(config::signal_of(&value()?).map_err(named)?.number());
            Ok(())
        }
        "-k" | "--kill-after" => {
            options.kill_after = Some(config::duration_of(&value()?).map_err(named)?);
            Ok(())
        }
        "-g" | "--group" => {
            options.to = Whom::Group;
            Ok(())
        }
        "--session" => {
            options.group = Group::SessionWithTerminal;
            Ok(())
        }
        "-q" | "--quiet" => {
            options.verbosity = 0;
            Ok(())
        }
        "-v" | "--verbose" => {
            options.verbosity = 2;
            Ok(())
        }
        "-s" | "--subreaper" => Ok(()),
        _ => Err(format!("unknown option {name}")),
    }
}

fn text(value: OsString) -> Result<String, String> {
    value.string().map_err(|error| error.to_string())
}
