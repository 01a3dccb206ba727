//! Lines out of a stream, however it was cut.

use dutch_master::wire::line::{Lines, Overlong, TooLong};
use proptest::prelude::*;

fn all(lines: &mut Lines, chunks: &[&[u8]]) -> Vec<Result<Vec<u8>, TooLong>> {
    let mut taken = vec![];
    for chunk in chunks {
        lines.feed(chunk);
        taken.extend(std::iter::from_fn(|| lines.take_line()));
    }
    taken
}

#[test]
fn a_line_comes_out_once_its_newline_is_in() {
    let mut lines = Lines::new(100, Overlong::Refuse);
    assert_eq!(
        all(&mut lines, &[b"on", b"e\ntwo\n\nth"]),
        [Ok(b"one".to_vec()), Ok(b"two".to_vec()), Ok(vec![])]
    );
    assert_eq!(lines.pending(), 2);
    assert_eq!(lines.take_rest(), Some(b"th".to_vec()));
    assert_eq!((lines.take_rest(), lines.pending()), (None, 0));
}

#[test]
fn a_line_as_long_as_the_limit_is_a_line() {
    let mut lines = Lines::new(4, Overlong::Refuse);
    assert_eq!(all(&mut lines, &[b"1234", b"\n"]), [Ok(b"1234".to_vec())]);
}

#[test]
fn a_refused_line_is_reported_once_and_the_next_one_is_read() {
    let mut lines = Lines::new(4, Overlong::Refuse);
    let chunks: [&[u8]; 5] = [b"a\n123", b"45", b"67890", b"more\nb\n", b"c\n"];
    assert_eq!(
        all(&mut lines, &chunks),
        [Ok(b"a".to_vec()), Err(TooLong { limit: 4 }), Ok(b"b".to_vec()), Ok(b"c".to_vec())]
    );
    assert_eq!(
        all(&mut lines, &[b"12345678\nok\n"]),
        [Err(TooLong { limit: 4 }), Ok(b"ok".to_vec())]
    );
    assert_eq!(all(&mut lines, &[b"12345678"]), [Err(TooLong { limit: 4 })]);
    assert_eq!(TooLong { limit: 4 }.to_string(), "a line of more than 4 bytes");
    assert_eq!((lines.take_rest(), lines.pending()), (None, 0));
}

#[test]
fn a_cut_line_loses_no_byte() {
    let mut lines = Lines::new(3, Overlong::Cut);
    let pieces = all(&mut lines, &[b"12345678", b"9\nx\n"]);
    let pieces: Vec<Vec<u8>> = pieces.into_iter().map(Result::unwrap).collect();
    assert_eq!(pieces, [&b"123"[..], b"456", b"789", b"x"]);
}

proptest! {
    #[test]
    fn how_a_stream_is_cut_changes_nothing(
        text in proptest::collection::vec(prop_oneof![3 => Just(b'a'), 1 => Just(b'\n')], 0..200),
        size in 1_usize..20, limit in 1_usize..12, cut: bool,
    ) {
        let overlong = if cut { Overlong::Cut } else { Overlong::Refuse };
        let chunks: Vec<&[u8]> = text.chunks(size).collect();
        let mut lines = Lines::new(limit, overlong);
        let mut taken = vec![];
        for chunk in chunks {
            lines.feed(chunk);
            taken.extend(std::iter::from_fn(|| lines.take_line()));
            prop_assert!(lines.pending() <= limit);
        }
        let mut whole = Lines::new(limit, overlong);
        prop_assert_eq!(&taken, &all(&mut whole, &[&text]));
        prop_assert!(taken.iter().flatten().all(|line| line.len() <= limit));
        if text.split(|&b| b == b'\n').all(|line| line.len() <= limit) {
            let back = taken.into_iter().map(Result::unwrap).collect::<Vec<_>>().join(&b'\n');
            prop_assert!(text.starts_with(&back));
        }
    }
}
