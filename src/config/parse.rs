//! The choices of `choice`, from text.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use super::choice::{Control, Level, Log, Ready, ReadyMin, SurgeChoice, Workers};
use super::signal::{self, Signal};
use super::{nearest, units, words};

/// One word of several.
pub(crate) fn one_of<T: Copy>(
    words: &'static [(&'static str, T)],
) -> impl Fn(&str) -> Result<T, String> {
    move |text| match words.iter().find(|(word, _)| *word == text) {
        Some(&(_, value)) => Ok(value),
        None => Err(match nearest::nearest(text, words.iter().map(|(word, _)| *word)) {
            Some(word) => format!("unknown value; did you mean {word}?"),
            None => "unknown value".to_owned(),
        }),
    }
}

/// A count from 1.
pub(crate) fn count(text: &str) -> Result<NonZeroU16, String> {
    let number = units::number(text).map_err(|problem| format!("{problem}: 1 to 65535"))?;
    NonZeroU16::new(number).ok_or_else(|| "must be 1 to 65535".to_owned())
}

/// `N`, or `P%` up to 100.
pub(crate) fn ready_min(text: &str) -> Result<ReadyMin, String> {
    let Some(percent) = text.strip_suffix('%') else { return count(text).map(ReadyMin::Count) };
    match count(percent)? {
        percent if percent.get() > 100 => Err(format!("{percent}% is more than all")),
        percent => Ok(ReadyMin::Percent(percent)),
    }
}

/// `N`, `auto`, `auto*2`, `auto*0.5`, `auto+1`, `auto-1`, `auto*2+1`, `MIN-MAX`.
pub(crate) fn workers(text: &str) -> Result<Workers, String> {
    if let Some(rest) = text.strip_prefix("auto") {
        return auto(rest).ok_or_else(|| format!("auto{rest} is not a form of auto"));
    }
    match text.split_once('-') {
        Some((min, max)) if !min.is_empty() => {
            let (min, max) = (count(min)?, count(max)?);
            if min > max {
                return Err(format!("{min} is above {max}"));
            }
            Ok(Workers::Range { min, max })
        }
        _ => count(text).map(Workers::Fixed),
    }
}

/// What follows `auto`: a factor, then a summand, either of which may be missing.
fn auto(rest: &str) -> Option<Workers> {
    let at = rest.find(['+', '-']).unwrap_or(rest.len());
    let (factor, summand) = rest.split_at_checked(at)?;
    let percent = match factor.strip_prefix('*') {
        Some(number) => percent(number)?,
        None if factor.is_empty() => NonZeroU16::new(100)?,
        None => return None,
    };
    let plus = match summand.strip_prefix('+') {
        Some(number) => units::number::<u16>(number).ok().and_then(|n| i16::try_from(n).ok())?,
        None if summand.is_empty() => 0,
        None => units::number::<i16>(summand).ok()?,
    };
    Some(Workers::Auto { percent, plus })
}

/// A factor with at most two decimals, in hundredths.
fn percent(number: &str) -> Option<NonZeroU16> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let tenth: u16 = match fraction.len() {
        1 => 10,
        2 => 1,
        _ => return None,
    };
    let whole = units::number::<u16>(whole).ok()?.checked_mul(100)?;
    let fraction = units::number::<u16>(fraction).ok()?.checked_mul(tenth)?;
    NonZeroU16::new(whole.checked_add(fraction)?)
}

/// `auto`, `listening`, `notify`, `start`, `delay:TIME`, `exec:COMMAND`.
pub(crate) fn ready(text: &str) -> Result<Ready, String> {
    if let Some(time) = text.strip_prefix("delay:") {
        return units::positive(time).map(Ready::Delay);
    }
    if let Some(command) = text.strip_prefix("exec:") {
        return words::command(command).map(Ready::Exec);
    }
    match text {
        "auto" => Ok(Ready::Auto),
        "listening" => Ok(Ready::Listening),
        "notify" => Ok(Ready::Notify),
        "start" => Ok(Ready::Start),
        "delay" => Err("needs a time, as in delay:2s".to_owned()),
        "exec" => Err("needs a command, as in exec:/app/bin/check".to_owned()),
        _ => Err("unknown value".to_owned()),
    }
}

/// `N`, `P%`, `all`, `cpus`.
pub(crate) fn surge(text: &str) -> Result<SurgeChoice, String> {
    match text {
        "all" => Ok(SurgeChoice::All),
        "cpus" => Ok(SurgeChoice::Cpus),
        _ => match text.strip_suffix('%') {
            Some(percent) => count(percent).map(SurgeChoice::Percent),
            None => count(text).map(SurgeChoice::Count),
        },
    }
}

/// `off`, `on`, or how long the first replacement must live.
pub(crate) fn canary(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" => Ok(None),
        "on" => Ok(Some(Duration::ZERO)),
        // A plain 1 or 0 would be taken for a switch by who writes it.
        "0" | "1" => Err("is neither off, on nor a time with its unit".to_owned()),
        _ => units::positive(text).map(Some),
    }
}

/// `FIRST-LONGEST`.
pub(crate) fn backoff(text: &str) -> Result<(Duration, Duration), String> {
    let Some((first, longest)) = text.split_once('-') else {
        return Err("needs two times, as in 100ms-30s".to_owned());
    };
    let (base, cap) = (units::positive(first.trim())?, units::positive(longest.trim())?);
    if base > cap { Err("the first wait is above the longest".to_owned()) } else { Ok((base, cap)) }
}

/// A comma list of signals that start a roll, each once.
pub(crate) fn restart_signals<'a>(
    lists: impl Iterator<Item = &'a str>,
) -> Result<Vec<Signal>, String> {
    let mut found = Vec::new();
    for text in lists.flat_map(|list| list.split(',')) {
        let signal = signal::restart(text.trim())?;
        if found.contains(&signal) {
            return Err(format!("{signal} is given twice"));
        }
        found.push(signal);
    }
    Ok(found)
}

/// A comma list of at most one level for all, and `TARGET=LEVEL`.
pub(crate) fn log<'a>(lists: impl Iterator<Item = &'a str>) -> Result<Log, String> {
    let mut all = None;
    let mut targets: Vec<(String, Level)> = Vec::new();
    for entry in lists.flat_map(|list| list.split(',')).map(str::trim) {
        if let Some((target, text)) = entry.split_once('=') {
            let fits = |letter: char| letter.is_ascii_alphanumeric() || "_-:.".contains(letter);
            if target.is_empty() || !target.chars().all(fits) {
                return Err(format!("{target:?} is not a target"));
            }
            if targets.iter().any(|(other, _)| other == target) {
                return Err(format!("target {target} is given twice"));
            }
            targets.push((target.to_owned(), level(text)?));
        } else if all.replace(level(entry)?).is_some() {
            return Err("two levels are for all targets".to_owned());
        }
    }
    Ok(Log { level: all.unwrap_or(Level::Info), targets })
}

/// A level by name.
fn level(text: &str) -> Result<Level, String> {
    one_of(Level::NAMES)(text.to_ascii_lowercase().as_str())
        .map_err(|_| format!("{text:?} is not a level (off, error, warn, info, debug, trace)"))
}

/// `auto`, `off` or an absolute path.
pub(crate) fn control(path: PathBuf) -> Result<Control, String> {
    match path.to_str() {
        Some("auto") => Ok(Control::Auto),
        Some("off") => Ok(Control::Off),
        Some(text) if text.starts_with('@') => {
            Err("an abstract socket could be reached by the whole pod".to_owned())
        }
        _ if path.is_absolute() => Ok(Control::Path(path)),
        _ => Err("is not an absolute path".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{backoff, canary, count, log, ready, restart_signals, surge, workers};
    use crate::config::{Level, Ready, SurgeChoice, Workers};
    use proptest::prelude::{any, proptest};
    use std::num::NonZeroU16;
    use std::time::Duration;

    fn n(number: u16) -> NonZeroU16 {
        NonZeroU16::new(number).unwrap()
    }

    #[test]
    fn a_count_out_of_bounds_names_both() {
        for bad in ["0", "65536", "-1"] {
            assert!(count(bad).unwrap_err().contains("1 to 65535"), "{bad}");
        }
    }

    #[test]
    fn workers_follow_the_cpus_as_they_are_told() {
        for (text, on_one, on_four) in [
            ("3", 3, 3),
            ("auto", 1, 4),
            ("auto*2", 2, 8),
            ("auto*1.5", 2, 6),
            ("auto*0.25", 1, 1),
            ("auto+1", 2, 5),
            ("auto-1", 1, 3),
            ("auto*2+1", 3, 9),
            ("2-3", 2, 3),
            ("1-1", 1, 1),
            ("auto*600", 600, 2400),
        ] {
            let workers = workers(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
            assert_eq!(workers.count(n(1)), n(on_one), "{text}");
            assert_eq!(workers.count(n(4)), n(on_four), "{text}");
        }
        assert!(!Workers::Fixed(n(1)).follows_the_machine());
        assert_eq!(workers("auto*600").unwrap().count(n(u16::MAX)), n(u16::MAX));
    }

    #[test]
    fn workers_that_are_no_number_are_refused() {
        for text in [
            "",
            "0",
            "-1",
            "70000",
            "auto*",
            "auto*0",
            "auto*0.00",
            "auto*1.234",
            "auto2",
            "auto+",
            "auto+-1",
            "automatic",
            "3-2",
            "0-2",
            "1-",
            "two",
            "1.5",
            "auto*1.",
            "auto*-1",
        ] {
            assert!(workers(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_choices_of_a_roll_are_understood() {
        assert_eq!(surge("25%"), Ok(SurgeChoice::Percent(n(25))));
        assert_eq!(surge("2"), Ok(SurgeChoice::Count(n(2))));
        assert!(surge("0").is_err() && surge("0%").is_err() && surge("-1").is_err());
        assert_eq!(canary("10s"), Ok(Some(Duration::from_secs(10))));
        assert_eq!(canary("on"), Ok(Some(Duration::ZERO)));
        assert_eq!(canary("off"), Ok(None));
        assert!(canary("0s").is_err() && canary("1").is_err() && canary("yes").is_err());
        let pair = (Duration::from_millis(200), Duration::from_secs(60));
        assert_eq!(backoff("200ms - 1m"), Ok(pair));
        assert!(backoff("5s").is_err() && backoff("0s-5s").is_err() && backoff("5s-1s").is_err());
    }

    #[test]
    fn readiness_by_delay_or_command_needs_one() {
        assert_eq!(ready("delay:2s"), Ok(Ready::Delay(Duration::from_secs(2))));
        let command = vec!["curl".into(), "-f".into()];
        assert_eq!(ready("exec:curl '-f'"), Ok(Ready::Exec(command)));
        for text in ["", "delay", "delay:", "delay:0s", "exec", "exec:", "exec:'a", "soon"] {
            assert!(ready(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_names_each_signal_and_target_once() {
        let read = |text: &'static str| restart_signals(std::iter::once(text));
        assert_eq!(read("USR2, 1").unwrap().len(), 2);
        assert!(read("USR2,USR2").is_err() && read("USR2,").is_err() && read("TERM").is_err());
        let read = |text: &'static str| log(std::iter::once(text));
        let found = read("warn,roll=Debug").unwrap();
        assert_eq!(found.to_string(), "warn,roll=debug");
        assert_eq!(read("roll=trace").unwrap().level, Level::Info);
        for text in ["", "loud", "a=b", "warn,info", "a=info,a=warn", "=info", "a b=info"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_upsets_a_choice(text in any::<String>(), auto in "auto[*+0-9.-]{0,12}") {
            let _ = (workers(&text), workers(&auto), ready(&text), surge(&text), canary(&text));
            let _ = (backoff(&text), log(std::iter::once(text.as_str())));
            let _ = restart_signals(std::iter::once(text.as_str()));
        }
    }
}
