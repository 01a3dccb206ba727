//! Tests of the contract with real processes below the filter: Python, which knows nothing of us.

use super::*;

#[test]
fn a_token_stands_for_one_source() {
    for source in [Source::Door(0), Source::Socket(0), Source::Door(70_000), Source::Socket(70_001)]
    {
        assert_eq!(Source::of(source.token()), source);
    }
}
