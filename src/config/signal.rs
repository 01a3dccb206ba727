//! Signals by name or number.

use std::fmt;

/// A signal number that exists: 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Signal(i32);

/// Names and numbers as on x86-64 and ARM (signal(7)); the first name of a number is the one shown.
const NAMES: [(&str, i32); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("IOT", 6),
    ("CLD", 17),
    ("POLL", 29),
];

/// The first real-time signal that a program may use: glibc keeps 32 and 33 for itself, and docker
/// counts from here too.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// What may not start a roll, and why.
const TAKEN: [(i32, &str); 17] = [
    (2, "stops the fleet"),
    (3, "stops the fleet"),
    (15, "stops the fleet"),
    (17, "tells of ended processes"),
    (21, "adds a worker"),
    (22, "removes a worker"),
    (9, "cannot be caught"),
    (19, "cannot be caught"),
    (32, "belongs to the C library"),
    (33, "belongs to the C library"),
    (4, "tells of a defect"),
    (5, "tells of a defect"),
    (6, "tells of a defect"),
    (7, "tells of a defect"),
    (8, "tells of a defect"),
    (11, "tells of a defect"),
    (31, "tells of a defect"),
];

impl Signal {
    /// SIGTERM.
    pub(crate) const TERM: Self = Self(15);

    /// The kernel's number.
    pub(crate) const fn number(self) -> i32 {
        self.0
    }

    /// The signal of this number, if there is one.
    pub(crate) const fn from_number(number: i32) -> Option<Self> {
        if number >= 1 && number <= RTMAX { Some(Self(number)) } else { None }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = NAMES.iter().find(|(_, number)| *number == self.0) {
            return write!(f, "SIG{name}");
        }
        match self.0.checked_sub(RTMIN) {
            Some(0) => f.write_str("SIGRTMIN"),
            Some(above @ 1..) => write!(f, "SIGRTMIN+{above}"),
            _ => write!(f, "{}", self.0),
        }
    }
}

/// A signal: `SIGTERM`, `TERM`, `term`, `15`, `RTMIN+3`, `RTMAX-1`.
pub(crate) fn any(text: &str) -> Result<Signal, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = if let Ok(number) = super::units::number::<i32>(text) {
        Some(number)
    } else if let Some(rest) = name.strip_prefix("RTMIN") {
        offset(rest, '+').and_then(|above| RTMIN.checked_add(above))
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        offset(rest, '-').and_then(|below| RTMAX.checked_sub(below)).filter(|at| *at >= RTMIN)
    } else {
        NAMES.iter().find(|(known, _)| *known == name).map(|&(_, number)| number)
    };
    number.and_then(Signal::from_number).ok_or_else(|| unknown(text, name))
}

/// Why a text is no signal, with the name that was meant.
fn unknown(text: &str, name: &str) -> String {
    match super::nearest::nearest(name, NAMES.iter().map(|(known, _)| *known)) {
        Some(known) => format!("{text:?} is not a signal; did you mean SIG{known}?"),
        None => format!("{text:?} is not a signal"),
    }
}

/// The distance from RTMIN or RTMAX: nothing, or a sign and a number.
fn offset(rest: &str, sign: char) -> Option<i32> {
    if rest.is_empty() {
        return Some(0);
    }
    rest.strip_prefix(sign)
        .and_then(|digits| super::units::number::<u8>(digits).ok())
        .map(i32::from)
}

/// A signal that can end a worker.
pub(crate) fn stop(text: &str) -> Result<Signal, String> {
    let signal = any(text)?;
    // Signals whose default action is to ignore, to stop or to continue.
    match signal.number() {
        17..=23 | 28 => Err(format!("{signal} ends no program")),
        _ => Ok(signal),
    }
}

/// A signal that nothing else needs, so that it can start a roll.
pub(crate) fn restart(text: &str) -> Result<Signal, String> {
    let signal = any(text)?;
    match TAKEN.iter().find(|(number, _)| *number == signal.number()) {
        Some((_, reason)) => Err(format!("{signal} {reason}, so it cannot start a roll")),
        None => Ok(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::{Signal, any, restart, stop};

    #[test]
    fn a_signal_has_a_name_with_or_without_sig_in_any_case_or_a_number() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("TERM", 15),
            ("term", 15),
            ("15", 15),
            ("sigusr2", 12),
            ("CLD", 17),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmax-1", 63),
            ("RTMAX", 64),
            ("64", 64),
        ] {
            assert_eq!(any(text).map(Signal::number), Ok(number), "{text}");
        }
    }

    #[test]
    fn what_names_no_signal_is_refused() {
        for text in
            ["", "SIG", "0", "65", "-1", "TREM ", "RTMIN-1", "RTMIN+31", "RTMAX-31", "RTMIN+", "∑"]
        {
            assert!(any(text).is_err(), "{text}");
        }
        assert_eq!(any("TREM"), Err("\"TREM\" is not a signal; did you mean SIGTERM?".to_owned()));
    }

    #[test]
    fn every_signal_reads_back_what_it_shows() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(any(&signal.to_string()), Ok(signal));
        }
    }

    #[test]
    fn a_roll_needs_a_signal_of_its_own_and_a_stop_one_that_ends_programs() {
        assert!(restart("HUP").is_ok());
        assert!(restart("RTMIN+1").is_ok());
        assert_eq!(
            restart("TERM"),
            Err("SIGTERM stops the fleet, so it cannot start a roll".to_owned())
        );
        assert!(stop("WINCH").is_err());
        assert!(stop("QUIT").is_ok());
    }
}
