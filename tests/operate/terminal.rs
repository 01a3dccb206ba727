//! What an operator sees at a terminal: the screen that is drawn again and again, the progress bar.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    os::fd::FromRawFd,
    process::{Child, Command},
    time::{Duration, Instant},
};

use crate::harness::Master;

/// A program in a session of its own, its terminal, and what an emulator makes of what it says.
struct Terminal {
    side: File,
    child: Child,
    emulator: vt100::Parser,
    raw: Vec<u8>,
}

fn number(of: u16) -> NonZeroU16 {
    NonZeroU16::new(of).unwrap()
}

/// The keyboard and screen of a new terminal, and its name.
fn pair() -> (File, String) {
    // SAFETY: numbers only; the new descriptor is ours.
    unsafe {
        let side = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        assert!(side >= 0 && libc::grantpt(side) == 0 && libc::unlockpt(side) == 0);
        let mut name = [0; 64];
        assert_eq!(libc::ptsname_r(side, name.as_mut_ptr(), name.len()), 0);
        let name = std::ffi::CStr::from_ptr(name.as_ptr()).to_str().unwrap().to_owned();
        (File::from_raw_fd(side), name)
    }
}

impl Terminal {
    /// Runs a verb at a terminal of this size.
    fn of(master: &Master, height: u16, width: u16, words: &[&str], variable: &str) -> Self {
        let (side, name) = pair();
        let open = || File::options().read(true).write(true).open(&name).unwrap();
        let verb = master.verb(words);
        let mut command = Command::new("timeout");
        command.args(["--foreground", "-s", "KILL", "60", "setsid", "-c", "-w", "env", variable]);
        command.arg(verb.get_program()).args(verb.get_args());
        for (name, value) in verb.get_envs() {
            command.env(name, value.unwrap());
        }
        let emulator = vt100::Parser::new(number(height), number(width), 1000);
        let mut terminal =
            Self { side, child: Command::new("true").spawn().unwrap(), emulator, raw: vec![] };
        terminal.child.wait().unwrap();
        terminal.resize(height, width);
        terminal.child = command.stdin(open()).stdout(open()).stderr(open()).spawn().unwrap();
        terminal
    }

    fn resize(&mut self, height: u16, width: u16) {
        let size =
            rustix::termios::Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        self.emulator.screen_mut().set_size(number(height), number(width));
        rustix::termios::tcsetwinsize(&self.side, size).unwrap();
    }

    /// The lines that it shows.
    fn lines(&self) -> Vec<String> {
        let (_, width) = self.emulator.screen().size();
        self.emulator.screen().rows(0, width.get()).map(|line| line.trim_end().to_owned()).collect()
    }

    /// Reads more; nothing is left when nobody has the terminal open any more.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 8192];
        let Ok(length @ 1..) = self.side.read(&mut bytes) else { return false };
        self.emulator.process(&bytes[..length]);
        self.raw.extend(&bytes[..length]);
        true
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&[String]) -> bool) {
        while !is_so(&self.lines()) {
            assert!(self.read(), "{what}: {:#?}", self.lines());
        }
    }

    /// Reads to the end; the exit code.
    fn end(&mut self) -> i32 {
        while self.read() {}
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    fn scrolled(&mut self) -> usize {
        self.emulator.screen_mut().set_scrollback(usize::MAX);
        let lines = self.emulator.screen().scrollback();
        self.emulator.screen_mut().set_scrollback(0);
        lines
    }
}

#[test]
fn a_watched_status_follows_its_terminal_and_never_scrolls() {
    let master = Master::start(&[("WORKERS", "12")]);
    let mut terminal = Terminal::of(&master, 30, 90, &["status", "--watch"], "A=b");
    terminal.until("the whole table", |lines| {
        lines[0].starts_with("SERVING ready=12/12")
            && lines[4..15].iter().all(|l| l.contains("ready"))
    });
    assert_eq!(terminal.scrolled(), 0);
    let mut soonest = Duration::MAX;
    for (height, width) in [(10, 40), (5, 100), (8, 20), (6, 60)].into_iter().cycle().take(12) {
        let began = Instant::now();
        terminal.resize(height, width);
        let last = usize::from(height) - 1;
        terminal.until("a frame of the new size", |lines| {
            lines[0].starts_with("SERVING ready=12/12")
                && lines[last].starts_with('…')
                && lines[last].ends_with("more lines")
        });
        soonest = soonest.min(began.elapsed());
    }
    // By the signal, not with the next frame, which comes a second after the one before.
    assert!(soonest < Duration::from_millis(700), "{soonest:?}");
    assert!(String::from_utf8_lossy(&terminal.raw).contains("\x1b[32mSERVING\x1b[0m"));
    terminal.resize(40, 90);
    terminal.until("all of it again", |lines| lines[15].starts_with("11"));
    assert_eq!(master.stop(), 0);
    assert_eq!(terminal.end(), 1);
    let lines = terminal.lines();
    let last = lines.iter().rfind(|line| !line.is_empty()).unwrap();
    assert_eq!(last, "dutch-master: the master is gone", "{lines:#?}");
}

#[test]
fn a_watched_status_ends_by_ctrl_c_and_knows_no_colour_where_none_is_wanted() {
    let master = Master::start(&[]);
    let mut terminal = Terminal::of(&master, 24, 80, &["status", "--watch"], "NO_COLOR=1");
    terminal.until("a frame", |lines| lines[0].starts_with("SERVING"));
    terminal.side.write_all(b"\x03").unwrap();
    assert_ne!(terminal.end(), 0);
    let text = String::from_utf8_lossy(&terminal.raw);
    assert!(
        text.contains("SERVING ready=2/2") && !text.contains("\x1b[3") && !text.contains("[1m")
    );
}

#[test]
fn a_reload_draws_its_progress_on_one_line_however_narrow() {
    for width in [80, 20] {
        let master = Master::start(&[("WORKERS", "4"), ("SURGE", "1")]);
        let mut terminal = Terminal::of(&master, 24, width, &["reload"], "A=b");
        assert_eq!(terminal.end(), 0);
        let text = String::from_utf8_lossy(&terminal.raw).into_owned();
        let bar =
            if width == 80 { "[############------------] 2 of 4" } else { "generation 1 → 2 [#" };
        assert!(text.contains(bar), "{text}");
        let all = terminal.lines().concat();
        assert_eq!(all, "generation 2 serves, 4 of 4 workers ready");
        assert_eq!(terminal.scrolled(), 0);
    }
}
