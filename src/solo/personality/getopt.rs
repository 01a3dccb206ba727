//! `getopt_long(3)` with options that end at the first word which is none, and its messages.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// One long option: its name, the letter it stands for, and whether it takes a value.
pub(super) type Long = (&'static str, char, bool);

/// An option that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    /// Its letter.
    pub(super) letter: char,
    /// Its value, empty if it takes none.
    pub(super) value: String,
}

/// All options in their order, and the words behind them or getopt's complaint, with which it ends.
pub(super) type Options = (Vec<Found>, Result<Vec<OsString>, String>);

/// Reads `words` with getopt's letters (`"hvcr:"`) and long names.
pub(super) fn read(name: &str, words: &[OsString], letters: &str, longs: &[Long]) -> Options {
    let mut found = Vec::new();
    let rest = read_into(&mut found, name, words, letters, longs);
    (found, rest)
}

fn read_into(
    found: &mut Vec<Found>,
    name: &str,
    words: &[OsString],
    letters: &str,
    longs: &[Long],
) -> Result<Vec<OsString>, String> {
    let mut rest = words.iter();
    while let Some(word) = rest.clone().next() {
        let text = String::from_utf8_lossy(word.as_bytes()).into_owned();
        if !text.starts_with('-') || text == "-" {
            break;
        }
        rest.next();
        if text == "--" {
            break;
        }
        match text.strip_prefix("--").filter(|_| !longs.is_empty()) {
            Some(long) => found.push(read_long(name, long, &mut rest, longs)?),
            None => read_short(name, text.get(1..).unwrap_or_default(), &mut rest, letters, found)?,
        }
    }
    Ok(rest.cloned().collect())
}

type Rest<'a> = std::slice::Iter<'a, OsString>;

fn next(rest: &mut Rest<'_>) -> Option<String> {
    rest.next().map(|word| String::from_utf8_lossy(word.as_bytes()).into_owned())
}

fn read_short(
    name: &str,
    cluster: &str,
    rest: &mut Rest<'_>,
    letters: &str,
    found: &mut Vec<Found>,
) -> Result<(), String> {
    for (place, letter) in cluster.char_indices() {
        let known = letters.find(letter).filter(|_| letter != ':');
        let Some(known) = known else {
            return Err(format!("{name}: invalid option -- '{letter}'"));
        };
        let behind = |text: &str, at: usize| {
            text.get(at..).unwrap_or_default().strip_prefix(letter).unwrap_or_default().to_owned()
        };
        if !behind(letters, known).starts_with(':') {
            found.push(Found { letter, value: String::new() });
            continue;
        }
        let attached = Some(behind(cluster, place)).filter(|value| !value.is_empty());
        let value = attached.or_else(|| next(rest));
        let missing = || format!("{name}: option requires an argument -- '{letter}'");
        found.push(Found { letter, value: value.ok_or_else(missing)? });
        break;
    }
    Ok(())
}

/// A long option may be cut short as long as it is clear which one is meant.
fn read_long(name: &str, long: &str, rest: &mut Rest<'_>, longs: &[Long]) -> Result<Found, String> {
    let (word, value) = match long.split_once('=') {
        Some((word, value)) => (word, Some(value.to_owned())),
        None => (long, None),
    };
    let exact = longs.iter().find(|(known, ..)| *known == word);
    let meant: Vec<_> = longs.iter().filter(|(known, ..)| known.starts_with(word)).collect();
    let &(known, letter, takes) = match (exact, meant.as_slice()) {
        (Some(exact), _) => exact,
        (None, [one]) => one,
        (None, []) => return Err(format!("{name}: unrecognized option '--{word}'")),
        (None, _) => {
            let names: Vec<_> = meant.iter().map(|(known, ..)| format!("'--{known}'")).collect();
            let names = names.join(" ");
            return Err(format!("{name}: option '--{word}' is ambiguous; possibilities: {names}"));
        }
    };
    match (takes, value) {
        (false, Some(_)) => Err(format!("{name}: option '--{known}' doesn't allow an argument")),
        (false, None) => Ok(Found { letter, value: String::new() }),
        (true, value) => {
            let missing = || format!("{name}: option '--{known}' requires an argument");
            Ok(Found { letter, value: value.or_else(|| next(rest)).ok_or_else(missing)? })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGS: &[Long] =
        &[("rewrite", 'r', true), ("verbose", 'v', false), ("version", 'V', false)];

    fn said(words: &[&str]) -> Result<(String, Vec<OsString>), String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let (found, rest) = read("x", &words, "vVr:", LONGS);
        let rest = rest?;
        let found: Vec<_> =
            found.iter().map(|found| format!("{}{}", found.letter, found.value)).collect();
        Ok((found.join(" "), rest))
    }

    #[test]
    fn options_come_in_any_form_and_end_at_the_first_other_word() {
        let forms = ["-v", "-vr1:2", "-r", "3", "--rew=4", "--rewrite", "5", "cmd", "-v"];
        assert_eq!(
            said(&forms).unwrap(),
            ("v v r1:2 r3 r4 r5".into(), vec!["cmd".into(), "-v".into()])
        );
        assert_eq!(said(&["-v", "--", "-v"]).unwrap(), ("v".into(), vec!["-v".into()]));
        assert_eq!(said(&["-"]).unwrap(), (String::new(), vec!["-".into()]));
    }

    #[test]
    fn complaints_are_getopts() {
        let complaint = |words: &[&str]| said(words).unwrap_err();
        assert_eq!(complaint(&["-x"]), "x: invalid option -- 'x'");
        assert_eq!(complaint(&["-r"]), "x: option requires an argument -- 'r'");
        assert_eq!(
            complaint(&["--ver"]),
            "x: option '--ver' is ambiguous; possibilities: '--verbose' '--version'"
        );
        assert_eq!(complaint(&["--foo"]), "x: unrecognized option '--foo'");
        assert_eq!(complaint(&["--verbose=1"]), "x: option '--verbose' doesn't allow an argument");
        assert_eq!(complaint(&["--rewrite"]), "x: option '--rewrite' requires an argument");
    }
}
