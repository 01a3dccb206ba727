//! A text split into words as a shell splits it: quotes and backslashes, no expansion of any kind.

use std::ffi::OsString;

// What can be wrong with the quoting.
const UNCLOSED_SINGLE: &str = "a single quote is not closed";
const UNCLOSED_DOUBLE: &str = "a double quote is not closed";
const TRAILING_BACKSLASH: &str = "a backslash stands at the end";

/// Splits a command; never empty when it succeeds.
pub(crate) fn command(text: &str) -> Result<Vec<OsString>, String> {
    let words = split(text)?;
    match words.first() {
        None => Err("holds no word".to_owned()),
        Some(program) if program.is_empty() => Err("names no program".to_owned()),
        Some(_) => Ok(words.into_iter().map(OsString::from).collect()),
    }
}

/// Splits a text by the rules of sh(1), "Quoting".
pub(crate) fn split(text: &str) -> Result<Vec<String>, String> {
    if text.contains('\0') {
        return Err("holds a NUL".to_owned());
    }
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => single(word.get_or_insert_default(), &mut letters)?,
            '"' => double(word.get_or_insert_default(), &mut letters)?,
            '\\' => match letters.next() {
                // The shell joins lines that end so.
                Some('\n') => {}
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err(TRAILING_BACKSLASH.to_owned()),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Everything up to the next single quote.
fn single(word: &mut String, letters: &mut std::str::Chars<'_>) -> Result<(), String> {
    for letter in letters {
        if letter == '\'' {
            return Ok(());
        }
        word.push(letter);
    }
    Err(UNCLOSED_SINGLE.to_owned())
}

/// Everything up to the next double quote; a backslash counts only before what it can protect.
fn double(word: &mut String, letters: &mut std::str::Chars<'_>) -> Result<(), String> {
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Ok(()),
            '\\' => match letters.next() {
                Some('\n') => {}
                Some(next @ ('"' | '\\' | '$' | '`')) => word.push(next),
                Some(next) => word.extend(['\\', next]),
                None => break,
            },
            other => word.push(other),
        }
    }
    Err(UNCLOSED_DOUBLE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{command, split};

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        for (text, words) in [
            ("node app.js", &["node", "app.js"][..]),
            ("  a\t\n b ", &["a", "b"]),
            ("a 'b  c' d", &["a", "b  c", "d"]),
            (r#"a "b \" c \n" d"#, &["a", r#"b " c \n"#, "d"]),
            (r"a\ b \\", &["a b", r"\"]),
            ("a'b'\"c\"d", &["abcd"]),
            ("a '' \"\"", &["a", "", ""]),
            ("a \\\nb", &["a", "b"]),
            ("echo $HOME *.js ~ # x", &["echo", "$HOME", "*.js", "~", "#", "x"]),
            ("ü 'é", &[]),
            ("", &[]),
        ] {
            if let Ok(found) = split(text) {
                assert_eq!(found, words, "{text}");
            } else {
                assert!(words.is_empty(), "{text}");
            }
        }
    }

    #[test]
    fn what_a_shell_would_not_take_is_refused() {
        for (text, problem) in [
            ("a 'b", "a single quote is not closed"),
            ("a \"b", "a double quote is not closed"),
            ("a \"b\\", "a double quote is not closed"),
            ("a \\", "a backslash stands at the end"),
            ("a\0b", "holds a NUL"),
        ] {
            assert_eq!(split(text), Err(problem.to_owned()), "{text}");
        }
        assert_eq!(command(" "), Err("holds no word".to_owned()));
        assert_eq!(command("'' b"), Err("names no program".to_owned()));
    }
}
