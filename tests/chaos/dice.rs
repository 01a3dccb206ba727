//! Chance that can be had again: the same seed gives the same deeds in the same order.

/// A generator of 64-bit numbers (splitmix64: one word of state, and no seed is a bad one).
pub(crate) struct Dice(u64);

impl Dice {
    /// Numbers that follow from `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `least` up to and without `end`.
    pub(crate) fn between(&mut self, least: u64, end: u64) -> u64 {
        least + self.next() % (end - least)
    }

    /// One of these; nothing of nothing.
    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = self.next() % u64::try_from(all.len().max(1)).ok()?;
        all.get(usize::try_from(at).ok()?)
    }
}
