//! What happens when we are wrong: one line on standard error, and exit code 70.
//!
//! Aborting would not do: the default action of SIGABRT does not apply to PID 1, and a core of an
//! init helps nobody. 70 is `EX_SOFTWARE` of sysexits(3).
//!
//! # Safety: why this file
//!
//! `_exit` leaves without running destructors, which is the point: they may be what is broken.
#![allow(unsafe_code, reason = "leaving at once needs _exit")]

use std::{fmt, panic};

/// The exit code that says "a defect of ours".
pub(crate) const EXIT_DEFECT: i32 = 70;

/// From now on a panic in any thread prints one line and ends the process with 70.
pub(crate) fn install() {
    panic::set_hook(Box::new(|info| {
        let mut line = Line { bytes: [0; LINE], used: 0 };
        let place = info.location().map_or(("?", 0), |at| (at.file(), at.line()));
        let said = info
            .payload()
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| info.payload().downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let said = said.lines().next().unwrap_or_default();
        let _ = fmt::Write::write_fmt(
            &mut line,
            format_args!("dutch-master: defect at {}:{}: {said}", place.0, place.1),
        );
        line.end();
        leave(EXIT_DEFECT)
    }));
}

/// Ends the process now; nothing is flushed, no destructor runs.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}

/// One write of at most this much is whole even when others write to the same pipe.
const LINE: usize = 1024;

/// A line built without the allocator, which may be what failed.
struct Line {
    bytes: [u8; LINE],
    used: usize,
}

impl Line {
    fn end(&mut self) {
        let used = self.used.min(LINE.saturating_sub(1));
        if let Some(last) = self.bytes.get_mut(used) {
            *last = b'\n';
        }
        let text = self.bytes.get(..=used).unwrap_or_default();
        let _ = rustix::io::write(rustix::stdio::stderr(), text);
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let place = self.bytes.get_mut(self.used).ok_or(fmt::Error)?;
            *place = byte;
            self.used = self.used.saturating_add(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    const MARK: &str = "DUTCH_MASTER_TEST_PANIC";

    #[test]
    fn a_panic_prints_one_line_and_exits_with_70() {
        if std::env::vars_os().any(|(name, _)| name == MARK) {
            super::install();
            panic!("first line {}\nsecond", "x".repeat(5000));
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["sys::panic::tests::a_panic_prints_one_line_and_exits_with_70", "--exact"])
            .args(["--nocapture", "--test-threads=1"])
            .env(MARK, "1")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(70));
        assert!(text.starts_with("dutch-master: defect at src/sys/panic.rs:"), "{text}");
        assert!(text.contains("first line xxx") && text.len() == 1024, "{text}");
        assert_eq!(text.find('\n'), Some(1023), "one line");
    }
}
