//! Signals and exit codes, as the manual page and the README show them.

/// What a signal to the master does: its names, under a fleet, under `init`.
pub(crate) const SIGNALS: &[(&str, &str, &str)] = &[
    ("TERM", "graceful stop; a second one changes nothing", "forwarded"),
    ("INT", "graceful stop; a second one kills at once", "forwarded"),
    ("QUIT", "graceful stop", "forwarded"),
    ("USR2, HUP", "roll (RESTART_SIGNAL)", "forwarded"),
    ("TTIN", "one worker more", "terminal job control"),
    ("TTOU", "one worker fewer", "terminal job control"),
    ("CHLD", "every orphan is reaped, not only workers", "the same"),
    ("USR1, WINCH, CONT and what accuses no program", "forwarded to every worker", "forwarded"),
];

/// What an exit code of the master means.
pub(crate) const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "clean stop"),
    ("1", "a stop that had to kill"),
    ("64", "bad usage"),
    ("70", "a defect of ours"),
    ("78", "bad configuration"),
    ("126", "the command was found but cannot be executed"),
    ("127", "the command was not found"),
    ("other", "the worker's own, under init or when the fleet never came up; 128+n: killed by n"),
];
