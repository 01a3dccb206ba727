//! Whole screens, as text and as a terminal shows them; `UPDATE_SCREENS=1 cargo test screens` writes
//! the texts anew.

use std::num::NonZeroU16;

use super::*;

const WIDTHS: [u16; 2] = [80, 120];

/// A roll that came to an end, well or not.
fn after(problem: Option<&str>) -> Status {
    let mut status = sample();
    status.roll = None;
    status.is_ready = problem.is_none();
    let last = status.last_roll.as_mut().unwrap();
    (last.is_complete, last.problem) = (problem.is_none(), problem.map(str::to_owned));
    (last.asked_by, last.took) = ("reload by uid 0, pid 4711".to_owned(), Millis(8_300));
    status.workers = vec![worker(0, "ready", None), worker(1, "ready", None)];
    status.slots.iter_mut().for_each(|slot| slot.is_vacant = false);
    status
}

fn many() -> Status {
    let mut status = after(None);
    let slot = status.slots[0].clone();
    status.slots = (0..64).map(|number| Slot { slot: number, ..slot.clone() }).collect();
    status.workers = (0..64).map(|number| worker(number, "ready", None)).collect();
    (status.ready, status.target) = (64, 64);
    status
}

fn long() -> Status {
    let mut status = sample();
    status.version = "1.2.3-rc.4+of-a-very-long-build-whose-name-nobody-can-remember".to_owned();
    status.workers[0].says = Some("serving 東京タワー and 🎉🎉🎉 ".repeat(5));
    status.workers[1].pid = Some(4_194_304);
    status.workers[1].worker = 1_000_000;
    status.workers[1].memory = 3 << 40;
    status.listeners[0].name = "a-listener-with-a-name".repeat(6);
    status.events[0].why = Some("because\x1b[2J of \u{202e}this and that, ".repeat(9));
    status
}

fn screens() -> [(&'static str, Status); 5] {
    let failed = "worker 7: exit code 3, as no database answers at db.internal.example.com:5432";
    [
        ("serving", after(None)),
        ("rolling", sample()),
        ("failed", after(Some(failed))),
        ("many", many()),
        ("long", long()),
    ]
}

fn text(of: &Status, width: u16, has_colour: bool) -> String {
    status(of, Look { width: width.into(), height: None, has_colour })
}

#[test]
fn screens_look_as_they_always_did() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/screen/snapshots");
    #[expect(clippy::disallowed_methods, reason = "a wish of whoever runs the tests")]
    let is_update = std::env::var_os("UPDATE_SCREENS").is_some();
    for (name, of) in screens() {
        for width in WIDTHS {
            let (path, found) = (format!("{folder}/{name}-{width}.txt"), text(&of, width, false));
            if is_update {
                std::fs::write(&path, &found).unwrap();
            }
            let wanted = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(wanted == found, "{path}, by UPDATE_SCREENS=1 anew:\n{found}");
        }
    }
}

fn lines(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

/// The lines that a terminal shows, and how many it has scrolled away.
fn shown(terminal: &mut vt100::Parser) -> (Vec<String>, usize) {
    let (_, width) = terminal.screen().size();
    let mut shown: Vec<String> =
        terminal.screen().rows(0, width.get()).map(|line| line.trim_end().to_owned()).collect();
    while shown.last().is_some_and(String::is_empty) {
        shown.pop();
    }
    terminal.screen_mut().set_scrollback(usize::MAX);
    let scrolled = terminal.screen().scrollback();
    terminal.screen_mut().set_scrollback(0);
    (shown, scrolled)
}

#[test]
fn a_terminal_of_any_size_shows_every_frame_as_it_is_and_never_scrolls() {
    let mut terminal = vt100::Parser::new(lines(24), lines(80), 1000);
    for (height, width) in [(24, 80), (50, 120), (10, 40), (1, 20), (3, 7), (100, 100), (24, 80)] {
        terminal.screen_mut().set_size(lines(height), lines(width));
        // A terminal that gets lower scrolls by itself.
        let (_, before) = shown(&mut terminal);
        for (name, of) in screens() {
            for has_colour in [false, true] {
                let look = Look { width: width.into(), height: Some(height.into()), has_colour };
                let drawn = frame(&status(&of, look), look);
                terminal.process(drawn.replace('\n', "\r\n").as_bytes());
                let wanted = text(&of, width, false);
                let (found, scrolled) = shown(&mut terminal);
                assert_eq!(scrolled, before, "{name} {width}x{height}");
                let all: Vec<&str> = wanted.lines().collect();
                if all.len() <= height.into() {
                    assert_eq!(found, all, "{name} {width}x{height}");
                } else {
                    let kept = usize::from(height) - 1;
                    assert_eq!(found[..kept], all[..kept], "{name} {width}x{height}");
                    assert!(found[kept].starts_with('…'), "{name} {width}x{height}");
                }
            }
        }
    }
}

#[test]
fn letters_that_take_two_columns_count_as_two() {
    assert_eq!((cut("東京タワー", 5), cut("a🎉b", 2), cut("abc", 9)), ("東京", "a", "abc"));
    assert_eq!(printable("a\u{202e}b\u{301}\x1b[m"), "a·b··[m");
}
