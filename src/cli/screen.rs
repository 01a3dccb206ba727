//! The status screen and the words for an event: pure functions of what the master tells.

use std::{fmt::Write, time::Duration};

use dutch_master::wire::control::{
    Event, Finding, Gravity, Millis, Progress, Slot, Status, Worker,
};

/// The widest screen, whatever the terminal has.
pub(crate) const WIDEST: usize = 100;
/// The length of a progress bar.
const BAR: usize = 24;
/// Where the notes of the table begin.
const HEAD: &str = "SLOT WORKER  GEN     PID STATE           UP     CPU    MEM CONN RESTARTS NOTE";

/// How things are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Columns.
    pub(crate) width: usize,
    /// Lines, where it matters.
    pub(crate) height: Option<usize>,
    /// Whether colours are welcome.
    pub(crate) has_colour: bool,
}

#[derive(Clone, Copy)]
enum Colour {
    Red,
    Green,
    Yellow,
    Bold,
}

impl Look {
    fn paint(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Bold => 1,
        };
        if self.has_colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Adds a line, cut to the width, the first word painted.
    fn line(self, out: &mut String, colour: Option<Colour>, text: &str) {
        let text = printable(text);
        let text = cut(&text, self.width.min(WIDEST)).trim_end();
        match (colour, text.split_once(' ')) {
            (Some(colour), Some((first, rest))) => {
                let _ = writeln!(out, "{} {rest}", self.paint(colour, first));
            }
            (Some(colour), None) => {
                let _ = writeln!(out, "{}", self.paint(colour, text));
            }
            (None, _) => {
                let _ = writeln!(out, "{text}");
            }
        }
    }
}

/// Text that a terminal shows as it stands: what workers say may hold anything.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if is_hidden(letter) { '·' } else { letter }).collect()
}

/// Whether a letter has no place of its own, or turns the direction of those around it.
fn is_hidden(letter: char) -> bool {
    let code = u32::from(letter);
    letter.is_control()
        || matches!(code, 0x300..=0x36f | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f)
        || matches!(code, 0xfe00..=0xfe0f | 0xfeff | 0xe0000..=0xe0fff)
}

/// How many columns a letter takes: two in the scripts of East Asia, and for pictures.
fn columns(letter: char) -> usize {
    let is_wide = matches!(u32::from(letter),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f
        | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd);
    if is_wide { 2 } else { 1 }
}

/// As much of a text as there is room for: a line that wraps would be drawn below itself.
pub(crate) fn cut(text: &str, width: usize) -> &str {
    let mut taken = 0_usize;
    let end = text.char_indices().find(|(_, letter)| {
        taken = taken.saturating_add(columns(*letter));
        taken > width
    });
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// A screen that is drawn over the one before: nothing flickers, and nothing scrolls.
///
/// Each line is cleared before it is written: a cursor behind a full line stands on its last letter.
pub(crate) fn frame(text: &str, look: Look) -> String {
    let (count, most) = (text.lines().count(), look.height.unwrap_or(usize::MAX).max(1));
    let mut lines: Vec<&str> = text.lines().take(most).collect();
    let rest = format!("… {} more lines", count.saturating_sub(most).saturating_add(1));
    if count > most {
        lines.pop();
        lines.push(cut(&rest, look.width));
    }
    let end = if lines.len() < most { "\n\x1b[J" } else { "" };
    format!("\x1b[H\x1b[K{}{end}", lines.join("\n\x1b[K"))
}

/// The whole screen.
pub(crate) fn status(status: &Status, look: Look) -> String {
    let mut out = String::new();
    summary(&mut out, status, look);
    if let Some(roll) = &status.roll {
        let text = format!(
            "roll {}, for {}, asked by {}",
            progress(&roll.progress),
            time(roll.since.into()),
            roll.asked_by
        );
        look.line(&mut out, Some(Colour::Yellow), &text);
    } else if let Some(last) = &status.last_roll {
        let end = match &last.problem {
            None => "complete".to_owned(),
            Some(problem) => format!("failed: {problem}"),
        };
        let (generation, took) = (last.generation, time(last.took.into()));
        let text = format!(
            "last roll: generation {generation} {end}, took {took}, asked by {}",
            last.asked_by
        );
        look.line(&mut out, None, &text);
    }
    table(&mut out, status, look);
    listeners(&mut out, status, look);
    if !status.events.is_empty() {
        out.push('\n');
    }
    for each in &status.events {
        look.line(&mut out, None, &event(each));
    }
    out
}

fn summary(out: &mut String, status: &Status, look: Look) {
    let (word, colour) = match (status.is_stopping, status.is_ready) {
        (true, _) => ("STOPPING", Colour::Yellow),
        (false, true) => ("SERVING", Colour::Green),
        (false, false) => ("NOT-SERVING", Colour::Red),
    };
    let generation = status.generation.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let text = format!(
        "{word} ready={}/{} generation={generation} pid={} up={} contract={} balance={} version={}",
        status.ready,
        status.target,
        status.pid,
        time(status.uptime.into()),
        status.contract,
        status.balance,
        status.version,
    );
    look.line(out, Some(colour), &text);
}

/// `generation 1 → 2 [#####-----] 1 of 3`.
pub(crate) fn progress(progress: &Progress) -> String {
    let (done, of) = (usize::from(progress.done), usize::from(progress.of).max(1));
    let full = BAR.saturating_mul(done).checked_div(of).unwrap_or(0).min(BAR);
    let bar: String = std::iter::repeat_n('#', full)
        .chain(std::iter::repeat_n('-', BAR.saturating_sub(full)))
        .collect();
    let from = progress.from.map_or_else(String::new, |from| format!("{from} → "));
    let back = if progress.is_revert { "back: " } else { "" };
    format!("{back}generation {from}{} [{bar}] {done} of {of}", progress.to)
}

fn table(out: &mut String, status: &Status, look: Look) {
    out.push('\n');
    look.line(out, Some(Colour::Bold), HEAD);
    for slot in &status.slots {
        for worker in status.workers.iter().filter(|worker| worker.slot == slot.slot) {
            row(out, worker, Some(slot), look);
        }
        if slot.is_vacant {
            let mut note = "vacant".to_owned();
            if let Some(retry) = slot.retry_in {
                let _ = write!(note, ", next try in {}", time(retry.into()));
            }
            if let Some(exit) = &slot.last_exit {
                let _ = write!(note, "; last exit: {exit}");
            }
            look.line(out, Some(Colour::Red), &format!("{:<4} {note}", slot.slot));
        }
    }
    let is_known = |worker: &&Worker| status.slots.iter().any(|slot| slot.slot == worker.slot);
    for worker in status.workers.iter().filter(|worker| !is_known(worker)) {
        row(out, worker, None, look);
    }
}

fn row(out: &mut String, worker: &Worker, slot: Option<&Slot>, look: Look) {
    let colour = match worker.state.as_str() {
        "ready" => Colour::Green,
        "killed" => Colour::Red,
        _ => Colour::Yellow,
    };
    let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let text = format!(
        "{:<4} {:>6} {:>4} {:>7} {:<11} {:>6} {:>7} {:>6} {:>4} {:>8} {}",
        worker.slot,
        worker.worker,
        worker.generation,
        number(worker.pid),
        worker.state,
        time(worker.uptime.into()),
        cpu(worker.cpu),
        size(worker.memory),
        number(worker.connections),
        slot.map_or_else(|| "-".to_owned(), |slot| slot.restarts.to_string()),
        note(worker, slot),
    );
    look.line(out, Some(colour), &text);
}

/// Why it goes and for how long it may; else what it says, or how the one before it ended.
fn note(worker: &Worker, slot: Option<&Slot>) -> String {
    let mut parts = Vec::new();
    parts.extend(worker.reason.clone());
    parts.extend(worker.patience.map(|left| format!("{} left", time(left.into()))));
    parts.extend(worker.is_deaf.then(|| "accepts nobody".to_owned()));
    parts.extend(worker.says.clone());
    if parts.is_empty() {
        let exit = slot.and_then(|slot| slot.last_exit.clone());
        parts.extend(exit.map(|exit| format!("last exit: {exit}")));
    }
    parts.join(", ")
}

fn listeners(out: &mut String, status: &Status, look: Look) {
    if status.listeners.is_empty() {
        return;
    }
    out.push('\n');
    spread(out, status, look);
    for listener in &status.listeners {
        let queue = match (listener.queue, listener.limit) {
            (Some(queue), Some(limit)) => format!(" queue={queue}/{limit}"),
            _ => String::new(),
        };
        let relayed = match listener.relayed {
            0 => String::new(),
            count => format!(" relayed={count}"),
        };
        // A program's own servers have no other name.
        let named = Some(&listener.name).filter(|name| **name != listener.address);
        let name = named.map(|name| format!("{name} ")).unwrap_or_default();
        let text = format!("listener {name}{}{queue}{relayed}", listener.address);
        look.line(out, None, &text);
    }
    if let Some(drops) = status.listen_drops.filter(|drops| *drops > 0) {
        let text = format!("drops {drops} for full queues, in the whole network namespace");
        look.line(out, Some(Colour::Red), &text);
    }
}

/// How evenly connections lie on those who take new ones, where the kernel tells.
fn spread(out: &mut String, status: &Status, look: Look) {
    let ready = status.workers.iter().filter(|worker| worker.state == "ready");
    let loads: Vec<u32> = ready.filter_map(|worker| worker.connections).collect();
    if let (Some(least), Some(most), 2..) = (loads.iter().min(), loads.iter().max(), loads.len()) {
        look.line(out, None, &format!("spread {least} to {most} connections a ready worker"));
    }
}

/// An event on a line, without the last words of a worker.
pub(crate) fn event(event: &Event) -> String {
    let mut text = format!("{} {}", clock(event.at), event.what);
    let mut add = |name: &str, number: Option<u64>| {
        if let Some(number) = number {
            let _ = write!(text, " {name}={number}");
        }
    };
    add("slot", event.slot.map(u64::from));
    add("worker", event.worker);
    add("pid", event.pid.map(u64::from));
    add("generation", event.generation.map(u64::from));
    if let Some(why) = &event.why {
        let _ = write!(text, ": {why}");
    }
    text
}

/// An event with the last words of a worker, each on its own line.
pub(crate) fn whole_event(of: &Event) -> String {
    let mut text = printable(&event(of));
    for line in &of.lines {
        let _ = write!(text, "\n    | {}", printable(line));
    }
    text
}

/// What `doctor` found.
pub(crate) fn findings(findings: &[Finding], look: Look) -> String {
    let mut out = String::new();
    for each in findings {
        let (word, colour) = match each.gravity {
            Gravity::Wrong => ("wrong", Colour::Red),
            Gravity::Doubtful => ("doubtful", Colour::Yellow),
            Gravity::Good => ("good", Colour::Green),
        };
        let _ = writeln!(
            out,
            "{} {}",
            look.paint(colour, &format!("{word:<8}")),
            printable(&each.finding)
        );
        if !each.remedy.is_empty() {
            let _ = writeln!(out, "         → {}", printable(&each.remedy));
        }
    }
    out
}

/// The time of day in UTC, which a container's clock has.
fn clock(at: Millis) -> String {
    let seconds = at.0.checked_div(1000).unwrap_or_default();
    let part = |unit: u64, of: u64| {
        seconds.checked_div(unit).unwrap_or_default().checked_rem(of).unwrap_or_default()
    };
    format!("{:02}:{:02}:{:02}", part(3600, 24), part(60, 60), part(1, 60))
}

/// A time in its two largest units.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let pair = |large: u64, big: &str, small: u64, unit: &str| {
        let whole = seconds.checked_div(large).unwrap_or_default();
        let rest = seconds.checked_rem(large).unwrap_or_default();
        format!("{whole}{big}{}{unit}", rest.checked_div(small).unwrap_or_default())
    };
    match seconds {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => pair(60, "m", 1, "s"),
        3600..86_400 => pair(3600, "h", 60, "m"),
        _ => pair(86_400, "d", 3600, "h"),
    }
}

fn cpu(of: Millis) -> String {
    time(of.into())
}

/// A number of bytes, as people say it.
fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{}K", bytes >> 10),
        whole @ 1..10_240 => format!("{whole}M"),
        whole => format!("{}G", whole >> 10),
    }
}

mod tests;
