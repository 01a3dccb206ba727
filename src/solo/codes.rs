//! What the child's exit code becomes.

use crate::config;

/// A table of all 256 codes; untouched ones stay themselves.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Codes(Vec<(u8, u8)>);

impl Codes {
    /// From now on `from` becomes `to`; the last word counts.
    pub(super) fn set(&mut self, from: u8, to: u8) {
        self.0.push((from, to));
    }

    /// What `code` becomes.
    pub(super) fn of(&self, code: u8) -> u8 {
        let last = self.0.iter().rev().find(|(from, _)| *from == code);
        last.map_or(code, |&(_, to)| to)
    }

    /// Reads `143:0,TERM:0,7:1`; a signal's name stands for 128 and its number, and no `:` for `:0`.
    pub(super) fn read(&mut self, text: &str) -> Result<(), String> {
        for pair in text.split(',') {
            let (from, to) = pair.split_once(':').unwrap_or((pair, "0"));
            let to = to.trim().parse().map_err(|_| not_a_code(to))?;
            self.set(code(from.trim())?, to);
        }
        Ok(())
    }
}

fn code(text: &str) -> Result<u8, String> {
    if let Ok(code) = text.parse() {
        return Ok(code);
    }
    let signal = config::signal_of(text).map_err(|_| not_a_code(text))?;
    u8::try_from(signal.number().saturating_add(128)).map_err(|_| not_a_code(text))
}

fn not_a_code(text: &str) -> String {
    format!("{text:?} is no exit code: 0 to 255, or a signal's name for 128 and its number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_remapped_by_number_or_signal_and_others_stay() {
        let mut codes = Codes::default();
        codes.read("TERM:0, 7:9,3").unwrap();
        codes.read("3:4").unwrap();
        assert_eq!([143, 7, 3, 5, 0].map(|code| codes.of(code)), [0, 9, 4, 5, 0]);
    }

    #[test]
    fn what_is_no_code_is_refused_by_name() {
        for bad in ["", "256", "x:1", "1:256", "-1", "1:", "1:2:3"] {
            assert!(Codes::default().read(bad).unwrap_err().contains("is no exit code"), "{bad}");
        }
    }
}
