//! `completions`: a script that lets a shell complete verbs, options and their values.

use std::fmt::Write;

use crate::config::Shell;
use crate::config::settings::{self, Form, Setting};
use crate::config::verb::{self, SHELLS, Takes};

/// The script for a shell.
pub(crate) fn script(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

/// The values that can be listed, where a setting has such.
fn values(setting: &Setting) -> Vec<&'static str> {
    let plain = |word: &&str| word.chars().all(|l| l.is_ascii_lowercase() || l == '-');
    // What may follow a value stands in brackets.
    let word = |text: &'static str| text.split_once('[').map_or(text, |(word, _)| word);
    let words: Vec<_> = setting.allowed.split(", ").map(word).collect();
    if words.iter().all(plain) { words } else { Vec::new() }
}

/// What a shell may not take for its own inside single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}

fn verbs() -> String {
    verb::VERBS.iter().map(|word| word.name).collect::<Vec<_>>().join(" ")
}

fn shells() -> String {
    SHELLS.map(|(name, _)| name).join(" ")
}

/// An option of a verb's own, and whether it takes a value.
struct Own {
    flag: &'static str,
    has_value: bool,
}

/// The options of a verb's own, as its usage names them.
fn own_options(word: &verb::Word) -> impl Iterator<Item = Own> {
    let parts = word.usage.split(['[', ']']);
    let options = parts.filter(|part| part.len() > 2 && part.starts_with("--"));
    options.map(|part| match part.split_once(' ') {
        Some((flag, _)) => Own { flag, has_value: true },
        None => Own { flag: part, has_value: false },
    })
}

/// The verbs that know only their own options and where the control socket is.
fn operators() -> impl Iterator<Item = &'static verb::Word> {
    let talks = |word: &&verb::Word| matches!(word.takes, Takes::Operator | Takes::OperatorAndWord);
    verb::VERBS.iter().filter(talks)
}

fn bash() -> String {
    let (mut verb_cases, mut value_cases) = (String::new(), String::new());
    for word in operators() {
        let mut options = String::from("--control --help");
        for Own { flag, has_value } in own_options(word) {
            let _ = write!(options, " {flag}");
            if has_value {
                let _ = writeln!(value_cases, "        {flag}) return ;;");
            }
        }
        let reply = format!("COMPREPLY=($(compgen -W '{options}' -- \"$cur\"))");
        let _ = writeln!(verb_cases, "        {}) {reply}; return ;;", word.name);
    }
    let mut flags = String::from("--help --version");
    for setting in settings::shown() {
        let flag = setting.flag();
        let _ = write!(flags, " --{flag}");
        let reply = match (setting.form, values(setting)) {
            (Form::Switch, _) => continue,
            (Form::Path(_) | Form::Paths(_), _) => "compgen -f --".to_owned(),
            (_, words) if words.is_empty() => "true".to_owned(),
            (_, words) => format!("compgen -W '{}' --", words.join(" ")),
        };
        let reply = format!("COMPREPLY=($({reply} \"$cur\"))");
        let _ = writeln!(value_cases, "        --{flag}) {reply}; return ;;");
    }
    bash_function(&value_cases, &verb_cases, &flags)
}

fn bash_function(value_cases: &str, verb_cases: &str, flags: &str) -> String {
    format!(
        "# bash completion for dutch-master\n\
         _dutch_master() {{\n\
         \x20   local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} verb=\n\
         \x20   COMPREPLY=()\n\
         \x20   if [[ $cur == = ]]; then cur=; else\n\
         \x20       [[ $prev == = ]] && prev=${{COMP_WORDS[COMP_CWORD-2]}}\n\
         \x20   fi\n\
         \x20   ((COMP_CWORD > 1)) && verb=${{COMP_WORDS[1]}}\n\
         \x20   case $prev in\n{value_cases}\
         \x20   esac\n\
         \x20   case $verb in\n{verb_cases}\
         \x20       completions) COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return ;;\n\
         \x20       man) return ;;\n\
         \x20       exec) COMPREPLY=($(compgen -W --help -- \"$cur\") $(compgen -c -- \"$cur\")); return ;;\n\
         \x20       config) COMPREPLY=($(compgen -W '--json {flags}' -- \"$cur\")); return ;;\n\
         \x20   esac\n\
         \x20   if [[ $cur == -* ]]; then\n\
         \x20       COMPREPLY=($(compgen -W '{flags}' -- \"$cur\"))\n\
         \x20   elif ((COMP_CWORD == 1)); then\n\
         \x20       COMPREPLY=($(compgen -W '{}' -- \"$cur\") $(compgen -c -- \"$cur\"))\n\
         \x20   else\n\
         \x20       COMPREPLY=($(compgen -c -- \"$cur\"))\n\
         \x20   fi\n\
         }}\n\
         complete -o default -F _dutch_master dutch-master\n",
        shells(),
        verbs(),
    )
}

/// How zsh is told of a setting.
fn zsh_spec(setting: &Setting) -> String {
    let meaning = quoted(setting.meaning).replace(['[', ']', ':'], "");
    let many = if setting.is_list() { "*" } else { "" };
    let flag = setting.flag();
    let (equals, action) = match (setting.form, values(setting)) {
        (Form::Switch, _) => ("", String::new()),
        (Form::Path(word) | Form::Paths(word), _) => ("=", format!(":{word}:_files")),
        (_, words) if words.is_empty() => ("=", ":value: ".to_owned()),
        (_, words) => ("=", format!(":value:({})", words.join(" "))),
    };
    format!("'{many}--{flag}{equals}[{meaning}]{action}'")
}

fn zsh() -> String {
    let mut specs = String::new();
    for setting in settings::shown() {
        let _ = writeln!(specs, "    {}", zsh_spec(setting));
    }
    let mut cases = String::new();
    for word in operators() {
        let _ = write!(cases, "    {}) shift words; ((CURRENT--)); _arguments -S", word.name);
        for Own { flag, has_value } in own_options(word) {
            let value = if has_value { "=:value: " } else { "" };
            let _ = write!(cases, " '{flag}{value}'");
        }
        cases.push_str(" '--control=:path:_files' '(- *)--help'; return ;;\n");
    }
    // What stands behind a verb is told as if the verb were the program.
    let shift = "shift words; ((CURRENT--))";
    format!(
        "#compdef dutch-master\n\
         local -a settings command\n\
         settings=(\n{specs}\
         \x20   '(- *)'{{-h,--help}}'[show the help]'\n\
         \x20   '(- *)'{{-V,--version}}'[show the version]'\n\
         )\n\
         command=('1:command: _command_names -e' '*::arguments: _normal')\n\
         ((CURRENT > 2)) && case ${{words[2]}} in\n{cases}\
         \x20   completions) compadd {}; return ;;\n\
         \x20   man) return ;;\n\
         \x20   exec) {shift}; _arguments -S '(- *)--help' $command; return ;;\n\
         \x20   run|init) {shift}; _arguments -S $settings $command; return ;;\n\
         \x20   config) {shift}; _arguments -S --json $settings $command; return ;;\n\
         esac\n\
         _arguments -S $settings \\\n\
         \x20   '1:verb or command:{{ compadd {} ; _command_names -e }}' \\\n\
         \x20   '*::arguments: _normal'\n",
        shells(),
        verbs(),
    )
}

/// Fish knows words only by where it has seen them: what counts for us is the first one.
const FISH_VERB: &str = "# fish completion for dutch-master
function __dutch_master_verb
    set -l words (commandline -opc)
    test (count $words) -gt 1; and contains -- $words[2] $argv
end
";

/// The condition that one of these is the verb.
fn fish_verb(names: &str) -> String {
    format!("complete -c dutch-master -n '__dutch_master_verb {names}'")
}

fn fish() -> String {
    let mut out = String::from(FISH_VERB);
    for word in verb::VERBS {
        let (name, meaning) = (word.name, quoted(word.meaning));
        let first = "-n 'test (count (commandline -opc)) = 1'";
        let _ = writeln!(out, "complete -c dutch-master {first} -a {name} -d '{meaning}'");
        for Own { flag, has_value } in own_options(word) {
            let long = flag.trim_start_matches('-');
            let takes = if has_value { " -x" } else { "" };
            let _ = writeln!(out, "{} -l {long}{takes}", fish_verb(name));
        }
    }
    let operators = operators().map(|word| word.name).collect::<Vec<_>>().join(" ");
    let _ = writeln!(out, "{} -f", fish_verb(&operators));
    let _ = writeln!(out, "{} -l control -r -F", fish_verb(&operators));
    let _ = writeln!(out, "{} -f -a '{}'", fish_verb("completions"), shells());
    let _ = writeln!(out, "{} -f", fish_verb("man"));
    let talkative = "-n 'not __dutch_master_verb completions man'";
    let _ = writeln!(out, "complete -c dutch-master {talkative} -s h -l help -d 'show the help'");
    let others = format!("-n 'not __dutch_master_verb exec completions man {operators}'");
    for setting in settings::shown() {
        let takes = match (setting.form, values(setting)) {
            (Form::Switch, _) => String::new(),
            (Form::Path(_) | Form::Paths(_), _) => " -r -F".to_owned(),
            (_, words) if words.is_empty() => " -x".to_owned(),
            (_, words) => format!(" -x -a '{}'", words.join(" ")),
        };
        let (flag, meaning) = (setting.flag(), quoted(setting.meaning));
        let _ = writeln!(out, "complete -c dutch-master {others} -l {flag}{takes} -d '{meaning}'");
    }
    let _ =
        writeln!(out, "complete -c dutch-master {others} -s V -l version -d 'show the version'");
    out
}

#[cfg(test)]
mod tests {
    use super::{script, values};
    use crate::config::Shell;
    use crate::config::settings;
    use crate::config::verb;

    #[test]
    fn every_shell_is_told_every_option_and_verb() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for setting in settings::shown() {
                assert!(script.contains(&setting.flag()), "{shell:?} {}", setting.name);
            }
            for word in verb::VERBS {
                assert!(script.contains(word.name), "{shell:?} {}", word.name);
            }
            assert!(script.contains("if-generation"), "{shell:?}");
        }
    }

    #[test]
    fn values_are_completed_where_they_can_be_listed() {
        let of = |name| values(settings::named(name).unwrap());
        assert_eq!(of("BALANCE"), ["auto", "slot", "shared", "round-robin"]);
        assert!(of("WORKERS").is_empty());
    }
}
