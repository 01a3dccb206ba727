//! Completions, asked of each shell as its TAB key does.

use std::{fs, process::Command};

use crate::harness::{BINARY, Said, directory};

/// Every verb, and what it offers behind `--`; nothing for those that take every setting.
const VERBS: &[(&str, Option<&[&str]>)] = &[
    ("run", None),
    ("init", None),
    ("config", None),
    ("exec", Some(&["--help"])),
    ("completions", Some(&[])),
    ("man", Some(&[])),
    ("status", Some(&["--control", "--help", "--json", "--watch"])),
    ("reload", Some(&["--control", "--help", "--if-generation", "--no-wait", "--timeout"])),
    ("stop", Some(&["--control", "--help", "--no-wait"])),
    ("scale", Some(&["--control", "--help"])),
    ("ready", Some(&["--control", "--help"])),
    ("live", Some(&["--control", "--help"])),
    ("signal", Some(&["--control", "--help"])),
    ("metrics", Some(&["--control", "--help"])),
    ("events", Some(&["--control", "--follow", "--help", "--json"])),
    ("doctor", Some(&["--control", "--help", "--json"])),
];

/// What bash offers for these words, of which the last one is being written.
fn offered(words: &[&str]) -> Vec<String> {
    let ask = "source /dev/stdin <<<\"$(\"$0\" completions bash)\" || exit 3
        complete -p dutch-master >/dev/null || exit 4
        COMP_WORDS=(dutch-master \"$@\") COMP_CWORD=$#
        PATH=/nowhere; _dutch_master; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", ask, BINARY]).args(words);
    let said = Said::of(bash.output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    said.out.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The completions for a shell, in a file that the shell itself finds nothing wrong with.
fn checked(shell: &str, check: &str, name: &str) -> std::path::PathBuf {
    let directory = directory();
    let script = directory.join(name);
    let said = Said::of(Command::new(BINARY).args(["completions", shell]).output().unwrap());
    fs::write(&script, said.out).unwrap();
    let mut asked = Command::new(shell);
    let said = asked.arg(check).arg(&script).output();
    Said::of(said.unwrap_or_else(|error| panic!("{shell}, Debian's package: {error}"))).is("");
    directory
}

/// What zsh offers for each of these lines.
fn offered_by_zsh(lines: &[&str]) -> Vec<Vec<String>> {
    let directory = checked("zsh", "-n", "_dutch-master");
    fs::write(directory.join("asked"), lines.join("\n") + "\n").unwrap();
    let mut zsh = Command::new("timeout");
    zsh.args(["60", "zsh", "-f", "tests/operate/ask.zsh"]).arg(&directory);
    zsh.env("TERM", "dumb").env("COLUMNS", "200");
    let said = Said::of(zsh.output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    let text = fs::read_to_string(directory.join("offered")).unwrap();
    fs::remove_dir_all(directory).unwrap();
    let answers = text.trim_end_matches("end\n").split("? ").skip(1);
    let answers: Vec<Vec<String>> = answers.map(|one| sorted(one.lines().skip(1))).collect();
    assert_eq!(answers.len(), lines.len(), "{text}");
    answers
}

/// What fish offers for each of these lines.
fn offered_by_fish(lines: &[&str]) -> Vec<Vec<String>> {
    let directory = checked("fish", "--no-execute", "dutch-master.fish");
    let ask = "source $argv[1]; for line in $argv[2..]; echo \"? $line\"; complete -C $line; end";
    let mut fish = Command::new("fish");
    fish.args(["--no-config", "-c", ask]).arg(directory.join("dutch-master.fish")).args(lines);
    let said = Said::of(fish.env("HOME", &directory).output().unwrap());
    fs::remove_dir_all(directory).unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    let word = |line: &str| line.split_once('\t').map_or(line, |(word, _)| word).to_owned();
    let one = |text: &str| sorted(text.lines().skip(1).map(word));
    said.out.split("? ").skip(1).map(one).collect()
}

fn sorted(words: impl Iterator<Item = impl Into<String>>) -> Vec<String> {
    let mut words: Vec<String> = words.map(Into::into).collect();
    words.sort();
    words.dedup();
    words
}

/// A shell offers each verb, behind it the verb's own options and no others, and values.
fn completes_everything(ask: impl Fn(&[&str]) -> Vec<Vec<String>>) {
    let begun = VERBS.iter().map(|(verb, _)| format!("dutch-master {}", &verb[..verb.len() - 1]));
    let options = VERBS.iter().map(|(verb, _)| format!("dutch-master {verb} --"));
    let lines: Vec<String> = begun.chain(options).collect();
    let answers = ask(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let (verbs, options) = answers.split_at(VERBS.len());
    for (((verb, own), verbs), options) in VERBS.iter().zip(verbs).zip(options) {
        assert!(verbs.iter().any(|offered| offered == verb), "{verb}: {verbs:?}");
        if let Some(own) = own {
            assert_eq!(options, own, "{verb}");
        } else {
            let has = |flag: &str| options.iter().any(|offered| offered == flag);
            assert!(has("--workers") && has("--help") && !has("--if-generation"), "{options:?}");
        }
    }
    let values = ask(&[
        "dutch-master completions z",
        "dutch-master --balance=r",
        "dutch-master run --balance=sl",
        "dutch-master run reload --if",
        "dutch-master reload --no-wait --if",
    ]);
    let values: Vec<&str> = values.iter().map(|one| one.first().map_or("", |word| word)).collect();
    let bare: Vec<&str> = values.iter().map(|word| word.trim_start_matches("--balance=")).collect();
    assert_eq!(bare, ["zsh", "round-robin", "slot", "", "--if-generation"]);
}

#[test]
fn the_verbs_asked_for_are_all_there_are() {
    let help = Said::of(Command::new(BINARY).arg("--help").output().unwrap()).out;
    let (_, table) = help.split_once("\nVerbs").unwrap();
    let lines = table.lines().skip(1).take_while(|line| !line.is_empty());
    let verbs = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let verbs = sorted(verbs.filter(|verb| !verb.is_empty()));
    assert_eq!(verbs, sorted(VERBS.iter().map(|(verb, _)| *verb)), "{help}");
}

#[test]
fn zsh_completes_every_verb_its_options_and_their_values() {
    completes_everything(offered_by_zsh);
}

#[test]
fn fish_completes_every_verb_its_options_and_their_values() {
    completes_everything(offered_by_fish);
}

#[test]
fn bash_completes_every_verb_its_options_and_their_values() {
    // Where it stands alone, a word with `=` in it is three words to bash.
    completes_everything(|lines| {
        let words =
            |line: &str| line.replace('=', " = ").split(' ').skip(1).map(str::to_owned).collect();
        let one = |line: &&str| {
            let words: Vec<String> = words(line);
            sorted(offered(&words.iter().map(String::as_str).collect::<Vec<_>>()).into_iter())
        };
        lines.iter().map(one).collect()
    });
}

#[test]
fn bash_completes_a_verb() {
    assert_eq!(offered(&["rel"]), ["reload"]);
}

#[test]
fn bash_completes_the_options_of_a_verb_wherever_they_stand() {
    assert_eq!(offered(&["reload", "--if"]), ["--if-generation"]);
    assert_eq!(offered(&["reload", "--no-wait", "--if"]), ["--if-generation"]);
    assert_eq!(offered(&["status", "--"]), ["--control", "--help", "--json", "--watch"]);
    assert_eq!(offered(&["completions", "z"]), ["zsh"]);
}

#[test]
fn bash_offers_a_verb_no_option_of_another() {
    assert!(offered(&["stop", "--if"]).is_empty());
    assert!(offered(&["run", "reload", "--if"]).is_empty());
    assert!(offered(&["reload", "--timeout", "--if"]).is_empty(), "that is its value");
}

#[test]
fn bash_completes_the_values_of_a_setting() {
    assert_eq!(offered(&["run", "--balance", "r"]), ["round-robin"]);
    assert_eq!(offered(&["run", "--balance", "=", "sl"]), ["slot"]);
}
