//! What each signal becomes on its way to the child.

use crate::config;

/// Pairs of a received signal and what it becomes; None is "not passed on". The last word counts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Rewrite(Vec<(i32, Option<i32>)>);

impl Rewrite {
    /// From now on `from` becomes `to`, zero is nothing.
    pub(super) fn set(&mut self, from: i32, to: i32) {
        self.0.push((from, Some(to).filter(|&to| to != 0)));
    }

    /// The same, unless something was said about `from` already.
    pub(super) fn set_default(&mut self, from: i32, to: i32) {
        if !self.0.iter().any(|(known, _)| *known == from) {
            self.set(from, to);
        }
    }

    /// What `signal` becomes.
    pub(super) fn of(&self, signal: i32) -> Option<i32> {
        let last = self.0.iter().rev().find(|(from, _)| *from == signal);
        last.map_or(Some(signal), |&(_, to)| to)
    }

    /// Reads `TERM:QUIT,HUP:0,15:3`.
    pub(super) fn read(&mut self, text: &str) -> Result<(), String> {
        for pair in text.split(',') {
            let Some((from, to)) = pair.split_once(':') else {
                return Err(format!("{pair:?} is no pair of signals: FROM:TO, with 0 for none"));
            };
            let from = config::signal_of(from.trim())?.number();
            let to = to.trim();
            let to = if to == "0" { 0 } else { config::signal_of(to)?.number() };
            self.set(from, to);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_rewritten_by_name_or_number_and_zero_is_none() {
        let mut rewrite = Rewrite::default();
        rewrite.read("TERM:QUIT,SIGHUP:0, 12:rtmin+1").unwrap();
        assert_eq!(
            [15, 1, 12, 10].map(|signal| rewrite.of(signal)),
            [Some(3), None, Some(35), Some(10)]
        );
        rewrite.set_default(15, 9);
        rewrite.set_default(20, 19);
        assert_eq!([15, 20].map(|signal| rewrite.of(signal)), [Some(3), Some(19)]);
    }

    #[test]
    fn what_is_no_pair_of_signals_is_refused() {
        for bad in ["", "TERM", "TERM:", "NOPE:TERM", "TERM:65", "0:TERM", "TERM:QUIT,"] {
            assert!(Rewrite::default().read(bad).is_err(), "{bad}");
        }
    }
}
