//! Completions, asked of a shell as its TAB key does.

use std::process::Command;

use crate::harness::{BINARY, Said};

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
