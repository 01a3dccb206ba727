//! The control socket's lines: round trips, and whatever else may come.

use std::time::Duration;

use dutch_master::wire::control::{
    Event, Finding, Gravity, Millis, Progress, REQUEST_LIMIT, Reply, Request, Status, answer, ask,
    reply, request,
};
use proptest::prelude::*;

fn status() -> Status {
    let text = r#"{"version":"0.1.0","pid":1,"uptime_ms":5,"contract":"node","readiness":"listening",
        "balance":"round-robin","is_ready":true,"why":"","is_stopping":false,"ready":1,"target":1,
        "generation":1,"directory":"/","roll":{"from":1,"to":2,"done":0,"of":1,"is_revert":false,
        "asked_by":"x","since_ms":1},"last_roll":null,"workers":[{"slot":0,"worker":1,
        "generation":1,"pid":null,"state":"ready","reason":null,"uptime_ms":4,"patience_ms":null,
        "cpu_ms":1,"memory":1,"connections":null,"says":null}],"slots":[],"listeners":[],
        "listen_drops":null,"events":[]}"#;
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_request_comes_back_as_it_went() {
    for each in [
        Request::Status,
        Request::Live,
        Request::Ready,
        Request::Metrics,
        Request::Doctor,
        Request::Reload { if_generation: None, wait: true },
        Request::Reload { if_generation: Some(7), wait: false },
        Request::Stop { wait: false },
        Request::Scale { to: Some(3), by: None },
        Request::Scale { to: None, by: Some(-1) },
        Request::Signal { number: 10 },
        Request::Events { follow: true },
    ] {
        let line = ask(&each);
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(request(line.trim_end().as_bytes()), Ok(each));
    }
}

#[test]
fn every_reply_comes_back_as_it_went() {
    let progress = Progress { from: None, to: 1, done: 1, of: 2, is_revert: true };
    let event =
        Event { at: Millis(1), what: "x".into(), lines: vec!["\n".into()], ..Event::default() };
    let finding = Finding { gravity: Gravity::Wrong, finding: "a".into(), remedy: "b".into() };
    for (each, is_last) in [
        (Reply::Done { message: "a\nb".into() }, true),
        (Reply::Refused { problem: "é\u{1b}".into() }, true),
        (Reply::Text { text: "a\nb\n".into() }, true),
        (Reply::Status { status: Box::new(status()) }, true),
        (Reply::Findings { findings: vec![finding] }, true),
        (Reply::Progress(progress), false),
        (Reply::Event { event }, false),
    ] {
        let line = answer(&each);
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(each.is_last(), is_last);
        assert_eq!(reply(line.trim_end().as_bytes()), Ok(each));
    }
}

#[test]
fn a_person_may_leave_out_what_goes_without_saying() {
    let asked = |text: &str| request(text.as_bytes());
    assert_eq!(asked(r#"{"v":1,"op":"status"}"#), Ok(Request::Status));
    let reload = Request::Reload { if_generation: None, wait: true };
    assert_eq!(asked(r#" {"op":"reload","v":1,"new":[{}]} "#), Ok(reload));
    assert_eq!(asked(r#"{"v":1,"op":"events"}"#), Ok(Request::Events { follow: false }));
}

#[test]
fn whatever_is_no_request_is_refused_in_a_short_sentence() {
    let deep = "[".repeat(4000);
    let long = format!("{{\"v\":1,\"op\":\"status\",\"x\":\"{}\"}}", "y".repeat(REQUEST_LIMIT));
    let odd = format!("{{\"v\":1,\"op\":\"{}\"}}", "z".repeat(3000));
    for text in [
        "",
        "{}",
        "status",
        "null",
        "[1]",
        "\0",
        r#"{"op":"status"}"#,
        r#"{"v":2,"op":"status"}"#,
        r#"{"v":1}"#,
        r#"{"v":1,"op":"dance"}"#,
        r#"{"v":1,"op":7}"#,
        r#"{"v":1,"op":"signal"}"#,
        r#"{"v":1,"op":"scale","to":-1}"#,
        r#"{"v":1,"op":"status"} x"#,
        &deep,
        &long,
        &odd,
    ] {
        let problem = request(text.as_bytes()).unwrap_err();
        assert!(problem.len() < 400 && !problem.contains('\n'), "{text:.40}: {problem}");
    }
    let problem = request(br#"{"v":2,"op":"status"}"#).unwrap_err();
    assert_eq!(problem, "version 2: only 1 is spoken here");
}

#[test]
fn a_request_may_be_as_long_as_the_limit() {
    let text = r#"{"v":1,"op":"live"}"#;
    assert_eq!(request(format!("{text:REQUEST_LIMIT$}").as_bytes()), Ok(Request::Live));
    let longer = format!("{text:width$}", width = REQUEST_LIMIT + 1);
    let problem = request(longer.as_bytes()).unwrap_err();
    assert_eq!(problem, format!("a line of more than {REQUEST_LIMIT} bytes"));
}

#[test]
fn times_are_told_in_whole_milliseconds() {
    assert_eq!(Millis::from(Duration::from_micros(1_500_999)), Millis(1500));
    assert_eq!(Duration::from(Millis(1500)), Duration::from_millis(1500));
    assert_eq!(Millis::from(Duration::MAX), Millis(u64::MAX));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = request(&bytes);
        let _ = reply(&bytes);
    }

    #[test]
    fn no_text_in_a_reply_breaks_its_line(text in ".*") {
        let each = Reply::Refused { problem: text };
        let line = answer(&each);
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert_eq!(reply(line.trim_end_matches('\n').as_bytes()), Ok(each));
    }
}
