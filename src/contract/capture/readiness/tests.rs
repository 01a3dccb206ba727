//! Tests of what is known of workers' starts.

use super::*;

#[test]
fn a_slot_that_was_silent_once_and_listened_since_makes_nobody_else_silent() {
    let mut knowledge = Knowledge::new(false);
    let [first, next, other] = [0, 1, 2].map(SlotId::from_number);
    assert!(!knowledge.is_silent(next));
    knowledge.silent.insert(first);
    assert!(knowledge.is_silent(next), "the program seems to be a silent one");
    knowledge.heard(first, Duration::from_secs(12), true);
    assert!(!knowledge.is_silent(first) && !knowledge.is_silent(next));
    knowledge.silent.insert(other);
    assert!(knowledge.is_silent(other) && !knowledge.is_silent(next), "some listen, some do not");
}
