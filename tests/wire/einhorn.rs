//! einhorn's acknowledgement, from each of its libraries.

use dutch_master::wire::einhorn::{Ack, EinhornError, LINE_LIMIT, parse};
use proptest::prelude::*;

#[test]
fn each_librarys_acknowledgement_is_read() {
    let lines: [&[u8]; 5] = [
        b"{\"command\":\"worker:ack\",\"pid\":4711}\n",
        b"{\"pid\": 4711, \"command\": \"worker:ack\"}",
        b"---%0Acommand: worker:ack%0Apid: 4711%0A\n",
        b"---%0A:command: worker:ack%0A:pid: 4711%0A",
        b"---%0Acommand: 'worker:ack'%0Apid: 4711%0Akeep-open: false%0A",
    ];
    for line in lines {
        assert_eq!(parse(line), Ok(Ack { pid: 4711 }), "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn anything_else_is_refused_by_name() {
    assert_eq!(parse(b"hello"), Err(EinhornError::Malformed));
    assert_eq!(parse(b"[1]"), Err(EinhornError::Malformed));
    assert_eq!(parse(b"\xff"), Err(EinhornError::Malformed));
    assert_eq!(parse(&[b' '; LINE_LIMIT + 1]), Err(EinhornError::TooLong));
    let other = parse(b"{\"command\":\"state\"}");
    assert_eq!(other, Err(EinhornError::OtherCommand("state".into())));
    for pid in ["0", "-1", "2147483648", "\"7\"", "1.5", "null"] {
        let line = format!("{{\"command\":\"worker:ack\",\"pid\":{pid}}}");
        assert_eq!(parse(line.as_bytes()), Err(EinhornError::BadPid), "{pid}");
    }
}

#[test]
fn an_acknowledgement_may_be_as_long_as_the_limit() {
    let text = "{\"command\":\"worker:ack\",\"pid\":4711}";
    assert_eq!(parse(format!("{text:LINE_LIMIT$}").as_bytes()), Ok(Ack { pid: 4711 }));
}

#[test]
fn a_refusal_says_what_would_be_taken() {
    let refused = |line: &[u8]| parse(line).unwrap_err().to_string();
    assert_eq!(
        refused(&[b' '; LINE_LIMIT + 1]),
        format!("an einhorn request of more than {LINE_LIMIT} bytes")
    );
    let other = refused(b"{\"command\":\"worker:\\u001b\"}");
    assert_eq!(other, "einhorn command \"worker:\\u{1b}\": only \"worker:ack\" is served");
    assert!(refused(b"hello").ends_with("neither JSON nor YAML"));
    assert!(refused(b"{\"command\":\"worker:ack\"}").ends_with("without the worker's pid"));
}

proptest! {
    #[test]
    fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&line);
    }
}
