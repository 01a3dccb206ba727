//! A number as text, written into room that was made before the fork.

use std::ffi::c_char;

/// Room for the longest prefix, nineteen digits, a sign and the null.
const ROOM: usize = 48;
/// As many digits as an i64 has.
const DIGITS: usize = 19;

/// A prefix and a number, ending in a null byte.
pub(super) struct Number {
    bytes: [u8; ROOM],
    prefix: usize,
    used: usize,
}

impl Number {
    pub(super) fn new(prefix: &[u8]) -> Self {
        let mut number = Self { bytes: [0; ROOM], prefix: 0, used: 0 };
        for &byte in prefix {
            number.push(byte);
        }
        number.prefix = number.used;
        number
    }

    /// Writes `value` behind the prefix; the pointer is good until the next call.
    pub(super) fn set(&mut self, value: i64) -> *const c_char {
        self.used = self.prefix;
        if value < 0 {
            self.push(b'-');
        }
        let mut digits = [0; DIGITS];
        let mut rest = value.unsigned_abs();
        let mut count = 0_usize;
        for digit in &mut digits {
            *digit = u8::try_from(rest.wrapping_rem(10)).unwrap_or_default();
            rest = rest.wrapping_div(10);
            count = count.wrapping_add(1);
            if rest == 0 {
                break;
            }
        }
        for digit in digits.iter().take(count).rev() {
            self.push(digit.wrapping_add(b'0'));
        }
        self.bytes.as_ptr().cast()
    }

    /// The text without its null.
    pub(super) fn text(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Always leaves a null behind what it writes.
    fn push(&mut self, byte: u8) {
        if let Some([place, end]) = self.bytes.get_mut(self.used..self.used.saturating_add(2)) {
            *place = byte;
            *end = 0;
            self.used = self.used.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_becomes_its_decimal_digits() {
        let mut number = Number::new(b"N=");
        for value in [0, 7, 10, -1000, 4_194_304, i64::MAX, -9_223_372_036_854_775_807] {
            number.set(value);
            assert_eq!(String::from_utf8_lossy(number.text()), format!("N={value}"));
        }
    }
}
