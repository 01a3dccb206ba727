//! Times, sizes and numbers, as an operator writes them.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Longer than any sane setting, and short enough that no sum of two overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const TOO_LONG: &str = "is longer than 365d";

/// A unit of time and its length in nanoseconds.
const TIME_UNITS: [(&str, u64); 10] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("sec", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("min", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("hr", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
    // A bare number is seconds, as in systemd.
    ("", 1_000_000_000),
];

/// A unit of size and by how many bits it shifts; M is what docker and systemd call M, 1024 K.
const SIZE_UNITS: [(char, u32); 4] = [('k', 10), ('m', 20), ('g', 30), ('t', 40)];

/// A time: `500ms`, `30s`, `1h30m`, `1.5s`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = cut(rest, |letter| letter.is_ascii_digit() || letter == '.');
        let (unit, after) = cut(after, char::is_alphabetic);
        if number.is_empty() || (unit.is_empty() && number != text) {
            return Err(format!("{text:?} is not a time"));
        }
        let part = times(number, time_unit(unit)?)?;
        total = total.checked_add(part).filter(|sum| *sum <= LONGEST).ok_or(TOO_LONG)?;
        rest = after.trim_start();
    }
    Ok(total)
}

/// The length of a unit, in nanoseconds.
fn time_unit(unit: &str) -> Result<u64, String> {
    TIME_UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|&(_, length)| length)
        .ok_or_else(|| format!("{unit:?} is not a unit of time"))
}

/// A decimal number times a unit.
fn times(number: &str, unit: u64) -> Result<Duration, String> {
    let refused = || format!("{number:?} is not a number");
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return Err(refused());
    }
    let whole: u64 = whole.parse().map_err(|_| refused())?;
    let whole = whole.checked_mul(unit).ok_or(TOO_LONG)?;
    let mut share = 0_u64;
    let mut place = unit;
    for digit in fraction.chars() {
        place = place.checked_div(10).unwrap_or(0);
        let digit = digit.to_digit(10).ok_or_else(refused)?;
        share = share.saturating_add(place.saturating_mul(u64::from(digit)));
    }
    Ok(Duration::from_nanos(whole.saturating_add(share)))
}

/// A time of at least a millisecond: a shorter one, or zero, is a slip of the pen.
pub(crate) fn positive(text: &str) -> Result<Duration, String> {
    at_least(Duration::from_millis(1))(text)
}

/// A time that is not shorter than this.
pub(crate) fn at_least(least: Duration) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let time = duration(text)?;
        if time < least { Err(format!("must be at least {least:?}")) } else { Ok(time) }
    }
}

/// `off`, or what `parse` makes of it.
pub(crate) fn unless_off<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| if text == "off" { Ok(None) } else { parse(text).map(Some) }
}

/// A number of bytes above zero: `1048576`, `256M`, `1G`, `1Gi`, `1.5GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = cut(text, |letter| letter.is_ascii_digit());
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is not a size"))?;
    let lower = unit.trim_start().to_ascii_lowercase();
    let shift = SIZE_UNITS
        .iter()
        .find(|(letter, _)| {
            let rest = lower.strip_prefix(*letter);
            rest.is_some_and(|rest| matches!(rest, "" | "b" | "i" | "ib"))
        })
        .map(|&(_, shift)| shift)
        .or(matches!(lower.as_str(), "" | "b").then_some(0))
        .ok_or_else(|| format!("{unit:?} is not a unit of size"))?;
    match 1_u64.checked_shl(shift).and_then(|unit| number.checked_mul(unit)) {
        None => Err("is larger than any memory".to_owned()),
        Some(0) => Err("must be above zero".to_owned()),
        Some(bytes) => Ok(bytes),
    }
}

/// A number that its type can hold.
pub(crate) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    let plain = text.strip_prefix('-').unwrap_or(text);
    let digits = !plain.is_empty() && plain.chars().all(|letter| letter.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or_else(|| {
        if digits { format!("{text} is out of range") } else { format!("{text:?} is not a number") }
    })
}

/// A number within bounds.
pub(crate) fn within(bounds: RangeInclusive<i32>) -> impl Fn(&str) -> Result<i32, String> {
    move |text| {
        let found = number(text)?;
        if bounds.contains(&found) { Ok(found) } else { Err(format!("{text} is out of range")) }
    }
}

/// On or off, as people write it.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither on nor off")),
    }
}

/// The longest beginning whose letters pass, and the rest.
fn cut(text: &str, passes: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at_checked(text.find(|letter| !passes(letter)).unwrap_or(text.len()))
        .unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::{duration, number, positive, size, switch, unless_off, within};
    use proptest::prelude::{any, prop_assert, proptest};
    use std::time::Duration;

    #[test]
    fn a_time_is_a_number_with_a_unit_and_a_bare_one_is_seconds() {
        for (text, nanos) in [
            ("0", 0_u64),
            ("0s", 0),
            ("5", 5_000_000_000),
            ("250us", 250_000),
            ("500ms", 500_000_000),
            ("1.5s", 1_500_000_000),
            ("30s", 30_000_000_000),
            ("5m", 300_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1h 30min", 5_400_000_000_000),
            ("365d", 31_536_000_000_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            " ",
            "s",
            "-5s",
            "5 x",
            "5x",
            "1..5s",
            ".5s",
            "5.s",
            "1e3",
            "366d",
            "5sm",
            "∞",
            "0x10",
            "99999999999999999999999s",
            "1.0000000000s",
            "99999999999999",
            "ms5",
        ] {
            assert!(duration(text).is_err(), "{text:?}: {:?}", duration(text));
        }
        assert_eq!(positive("0ms"), Err("must be at least 1ms".to_owned()));
        assert_eq!(unless_off(positive)("off"), Ok(None));
    }

    #[test]
    fn a_size_is_bytes_or_powers_of_1024() {
        for (text, bytes) in [
            ("1", 1_u64),
            ("64B", 64),
            ("2k", 2_048),
            ("256M", 268_435_456),
            ("256Mi", 268_435_456),
            ("256MiB", 268_435_456),
            ("256mb", 268_435_456),
            ("1 G", 1_073_741_824),
            ("1Gi", 1_073_741_824),
            ("2T", 2_199_023_255_552),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "M", "0", "0M", "-1M", "1.5G", "1X", "1i", "1ib", "1MM", "99999999999T", "٣"]
        {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_is_digits_within_its_bounds() {
        assert_eq!(number::<u16>("80"), Ok(80));
        assert_eq!(number::<u16>("70000"), Err("70000 is out of range".to_owned()));
        assert_eq!(number::<u16>("+1"), Err("\"+1\" is not a number".to_owned()));
        assert_eq!(within(-20..=19)("-20"), Ok(-20));
        assert!(within(-20..=19)("20").is_err());
        assert_eq!(switch("Yes"), Ok(true));
        assert!(switch("maybe").is_err());
    }

    proptest! {
        #[test]
        fn no_text_upsets_a_unit(text in any::<String>()) {
            let _ = (duration(&text), size(&text), switch(&text), number::<i8>(&text));
        }

        #[test]
        fn every_whole_number_of_milliseconds_is_a_time(count in 0_u64..1_000_000_000) {
            let text = format!("{count}ms");
            prop_assert!(duration(&text) == Ok(Duration::from_millis(count)));
        }
    }
}
