//! Node's cluster protocol: frames as real workers and Node's own primary send them, and frames
//! that nobody should send.
//!
//! In the captures `W>` is a worker's line, `W+` one with a descriptor, `P>` and `P+` a primary's.

use dutch_master::wire::node::{
    Answer, Dialect, Fault, Inbox, Incoming, LINE_LIMIT, MALFORMED_LIMIT, Outgoing, Query,
    SockName, Target, UserMessage, Wrapped, Wrappers,
};
use proptest::prelude::*;
use serde_json::Value;

const WORKERS: [(&str, &str); 5] = [
    ("12", include_str!("node/node-12.txt")),
    ("16", include_str!("node/node-16.txt")),
    ("20", include_str!("node/node-20.txt")),
    ("24", include_str!("node/node-24.txt")),
    ("26", include_str!("node/node-26.txt")),
];
const BUN: &str = include_str!("node/bun-1.3.txt");
const PRIMARY: &str = include_str!("node/primary-26.txt");

/// The lines that a worker sent in one of a capture's parts.
fn part<'a>(capture: &'a str, name: &str) -> Vec<&'a str> {
    let heading = format!("# {name}");
    let lines = capture.lines().skip_while(|line| *line != heading).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.strip_prefix("W> ").or(line.strip_prefix("W+ "))).collect()
}

pub(crate) fn read(line: &str) -> Result<Incoming, Fault> {
    let mut inbox = Inbox::default();
    inbox.feed(line.as_bytes());
    inbox.feed(b"\n");
    let message = inbox.take_message().expect("a whole line is a message");
    assert_eq!(inbox.take_message(), None);
    message
}

fn name(message: &Incoming) -> &'static str {
    match message {
        Incoming::Online => "online",
        Incoming::Query(_) => "query",
        Incoming::BadQuery { .. } => "bad query",
        Incoming::Listening(_) => "listening",
        Incoming::Close { .. } => "close",
        Incoming::Leaving { .. } => "leaving",
        Incoming::Reply { accepted: true, .. } => "accepted",
        Incoming::Reply { accepted: false, .. } => "refused",
        Incoming::Handle(Wrapped::User(_)) => "handle of the user's",
        Incoming::Handle(Wrapped::Internal) => "handle",
        Incoming::HandleAck => "ack",
        Incoming::HandleNack => "nack",
        Incoming::Ignored => "ignored",
        Incoming::User(UserMessage::RequestRestart) => "restart, please",
        Incoming::User(UserMessage::Ready) => "ready",
        Incoming::User(_) => "user",
    }
}

fn names(capture: &str, part_name: &str) -> Vec<&'static str> {
    let lines = part(capture, part_name);
    lines.iter().map(|line| name(&read(line).expect(line))).collect()
}

#[test]
fn every_version_of_node_is_understood() {
    for (version, capture) in WORKERS {
        let user = ["ready", "restart, please", "ready", "user"];
        let mut story = names(capture, "rr");
        let asked = story.drain(..2).collect::<Vec<_>>();
        assert_eq!((asked, version), (vec!["online", "query"], version));
        // The order of two streams of messages is the worker's own affair.
        for word in user.iter().chain(&["listening", "ack", "accepted", "nack", "ack", "accepted"])
        {
            let at = story.iter().position(|known| known == word).expect(word);
            story.remove(at);
        }
        assert_eq!((story, version), (vec!["user", "close"], version));
        assert_eq!(names(capture, "error"), ["online", "query", "user"], "{version}");
        let leaving = ["online", "query", "listening", "close", "leaving"];
        assert_eq!(names(capture, "tls"), leaving, "{version}");
        let two = ["online", "query", "query", "listening", "listening", "close", "close"];
        assert_eq!(names(capture, "path"), two, "{version}");
        assert_eq!(names(capture, "fd"), ["online", "query", "user"], "{version}");
        assert_eq!(names(capture, "handle"), ["online", "handle of the user's", "user"]);
        assert_eq!(names(capture, "kill"), ["online", "leaving"], "{version}");
        assert_eq!(names(capture, "shared").iter().filter(|word| **word == "ack").count(), 2);
    }
}

#[test]
fn bun_is_known_by_its_mark_and_understood() {
    assert_eq!(names(BUN, "kill"), ["online", "leaving"]);
    assert_eq!(names(BUN, "error"), ["online", "query"]);
    assert_eq!(names(BUN, "rr")[..3], ["online", "listening", "ready"]);
    // A path, which Bun does not send along: there is nothing to open.
    assert_eq!(names(BUN, "path")[..2], ["online", "bad query"]);
    let mut inbox = Inbox::default();
    assert_eq!(inbox.dialect(), Dialect::Node);
    inbox.feed(part(BUN, "kill")[0].as_bytes());
    inbox.feed(b"\n");
    assert_eq!(inbox.take_message(), Some(Ok(Incoming::Online)));
    assert_eq!(inbox.dialect(), Dialect::Bun);
}

fn queries(capture: &str, part_name: &str) -> Vec<Query> {
    let messages = part(capture, part_name).into_iter().map(|line| read(line).expect(line));
    messages
        .filter_map(|message| if let Incoming::Query(query) = message { Some(query) } else { None })
        .collect()
}

#[test]
fn a_server_is_read_in_every_form() {
    let capture = WORKERS[4].1;
    let [any] = &queries(capture, "rr")[..] else { panic!() };
    assert_eq!(any.target, Target::Tcp { host: None, port: 0, v6: false, v6only: false });
    assert_eq!((any.seq, any.index, any.backlog, &any.data), (1, 0, None, &None));
    let [path, six] = &queries(capture, "path")[..] else { panic!() };
    assert!(matches!(&path.target, Target::Path { path, .. } if path == "/tmp/app/app.sock"));
    let host = Some("::1".to_string());
    assert_eq!(six.target, Target::Tcp { host, port: 0, v6: true, v6only: true });
    assert_eq!(six.backlog, Some(77));
    let [tls] = &queries(capture, "tls")[..] else { panic!() };
    assert!(tls.data.as_ref().is_some_and(|data| data.starts_with(r#"{"ticketKeys":""#)));
    let [fd] = &queries(capture, "fd")[..] else { panic!() };
    assert_eq!(fd.target, Target::Fd(0));
    let [_, udp] = &queries(capture, "shared")[..] else { panic!() };
    let host = Some("127.0.0.1".to_string());
    assert_eq!(udp.target, Target::Udp { host, port: 0, v6: false, flags: 0 });
    let keys: Vec<String> = [any, path, six, tls, fd, udp].map(Query::key).into();
    let expected = [
        "null:0:4::0",
        "/tmp/app/app.sock:-1:-1:",
        "::1:0:6::0",
        "127.0.0.1:0:4::0",
        "null:null:null:0",
        "127.0.0.1:0:udp4::0",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn listening_is_recognised_as_the_answer_to_its_query() {
    for (version, capture) in WORKERS {
        for part_name in ["rr", "path", "tls", "shared"] {
            let asked = queries(capture, part_name);
            let messages = part(capture, part_name).into_iter().map(|line| read(line).expect(line));
            let mut heard = 0;
            for message in messages {
                let Incoming::Listening(listening) = message else { continue };
                let known = asked.iter().filter(|query| query.is_answered_by(&listening)).count();
                assert_eq!(known, 1, "{version} {part_name}");
                heard += 1;
            }
            assert_eq!(heard, asked.len(), "{version} {part_name}");
        }
    }
}

/// What Node's own primary sent: its messages but for their numbers, and whether with a descriptor.
fn sent_by_node() -> Vec<(Value, bool)> {
    let lines = PRIMARY.lines().filter_map(|line| line.strip_prefix('P'));
    let mut sent: Vec<(Value, bool)> = lines
        .map(|line| (serde_json::from_str(&line[2..]).unwrap(), line.starts_with('+')))
        .collect();
    for (message, _) in &mut sent {
        strip_seq(message);
    }
    sent
}

fn strip_seq(message: &mut Value) {
    let inner = if message["msg"].is_object() { &mut message["msg"] } else { message };
    if inner["act"] == Value::Null {
        inner.as_object_mut().unwrap().remove("seq");
    }
}

#[test]
fn our_messages_are_those_of_nodes_own_primary() {
    let node = sent_by_node();
    let key = "127.0.0.1:0:4:undefined:0";
    let data = Some(r#"{"ticketKeys":"abcd"}"#);
    let port = node[0].0["sockname"]["port"].as_u64().unwrap().try_into().unwrap();
    let sockname = SockName { address: "127.0.0.1".into(), port, v6: false };
    let ours = [
        Outgoing::Serve { ack: 1, key, data, name: Some(&sockname) },
        Outgoing::Connection { seq: 1, key },
        Outgoing::Disconnect { seq: 2 },
        Outgoing::Confirm { ack: 5 },
        Outgoing::Share { ack: 1, key, data, udp: false },
    ];
    for (ours, (theirs, with_descriptor)) in ours.iter().zip(&node) {
        let line = ours.encode(Dialect::Node);
        assert_eq!(line.last(), Some(&b'\n'));
        assert_eq!(&serde_json::from_slice::<Value>(&line).unwrap(), theirs);
        assert_eq!(ours.carries_descriptor(), *with_descriptor);
    }
}

#[test]
fn a_refusal_carries_the_errno_and_bun_gets_its_mark() {
    let refusal = Outgoing::Refuse { ack: 7, key: "a\"b", errno: -98 };
    let text = r#"{"cmd":"NODE_CLUSTER","errno":-98,"key":"a\"b","ack":7,"data":null}"#;
    assert_eq!(refusal.encode(Dialect::Node), format!("{text}\n").as_bytes());
    assert_eq!(refusal.encode(Dialect::Bun), format!("\u{2}{text}\n").as_bytes());
    assert_eq!(Outgoing::User("\"shutdown\"").encode(Dialect::Bun), b"\"shutdown\"\n");
    assert_eq!(Outgoing::HandleAck.encode(Dialect::Node), b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
    assert_eq!(Outgoing::HandleNack.encode(Dialect::Node), b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n");
}

#[test]
fn what_other_libraries_workers_say_is_recognised() {
    let table = [
        (r#"{"event":"request-restart"}"#, UserMessage::RequestRestart),
        (r#"{"event":"request-restart","cmd":7}"#, UserMessage::RequestRestart),
        (r#""ready""#, UserMessage::Ready),
        (r#""online""#, UserMessage::Ready),
        (r#"{"cmd":"ready"}"#, UserMessage::Ready),
        (r#"{"cmd":"disconnect"}"#, UserMessage::Disconnect),
        (r#""offline""#, UserMessage::Offline),
        (r#""shutdown""#, UserMessage::Shutdown),
        (r#"{"cmd":"NODE_"}"#, UserMessage::Other),
        (r#"{"cmd":{"a":[1]},"event":null,"seq":"x"}"#, UserMessage::Other),
        ("null", UserMessage::Other),
        ("-1.5e300", UserMessage::Other),
        ("[[{}],1,\"ready\"]", UserMessage::Other),
    ];
    for (line, message) in table {
        assert_eq!(read(line), Ok(Incoming::User(message)), "{line}");
    }
}

#[test]
fn internal_messages_that_mean_nothing_are_ignored() {
    for line in [
        r#"{"cmd":"NODE_DEBUG_ENABLED"}"#,
        r#"{"cmd":"NODE_SOCKET_GET_COUNT","key":"x"}"#,
        r#"{"cmd":"NODE_CLUSTER"}"#,
        r#"{"cmd":"NODE_CLUSTER","act":"newer"}"#,
        r#"{"cmd":"NODE_X"}"#,
    ] {
        assert_eq!(read(line), Ok(Incoming::Ignored), "{line}");
    }
}

#[test]
fn a_descriptor_comes_with_the_applications_message_or_an_internal_one() {
    let table = [
        (r#"{"event":"request-restart"}"#, Wrapped::User(UserMessage::RequestRestart)),
        (r#""ready""#, Wrapped::User(UserMessage::Ready)),
        (r#"[{"cmd":"NODE_CLUSTER"}]"#, Wrapped::User(UserMessage::Other)),
        (r#"{"cmd":"NODE_CLUSTER","act":"online"}"#, Wrapped::Internal),
        (r#"{"cmd":"NODE_HANDLE","msg":"ready"}"#, Wrapped::Internal),
        ("null", Wrapped::Internal),
    ];
    for (inside, wrapped) in table {
        let line = format!(r#"{{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{inside}}}"#);
        assert_eq!(read(&line), Ok(Incoming::Handle(wrapped)), "{inside}");
    }
    assert_eq!(read(r#"{"cmd":"NODE_HANDLE"}"#), Ok(Incoming::Handle(Wrapped::Internal)));
}

#[test]
fn an_answer_to_a_descriptor_is_known_however_its_json_is_written() {
    for line in [r#"{"cmd":"NODE_HANDLE_ACK"}"#, r#"{ "seq": 1, "cmd": "NODE_HANDLE_ACK" }"#] {
        assert_eq!(read(line), Ok(Incoming::HandleAck), "{line}");
    }
}

#[test]
fn a_text_is_the_same_however_it_is_escaped() {
    let close = r#"{"cmd":"NODE\u005fCLUSTER","act":"clos\u0065","key":"\/a\"b"}"#;
    assert_eq!(read(close), Ok(Incoming::Close { key: "/a\"b".into() }));
}

#[test]
fn a_message_with_an_ack_is_a_reply_whatever_else_it_holds() {
    let reply = r#"{"cmd":"NODE_CLUSTER","act":"close","key":"k","ack":3,"accepted":false}"#;
    assert_eq!(read(reply), Ok(Incoming::Reply { ack: 3, accepted: false }));
}

#[test]
fn malformed_lines_are_dropped_and_too_many_end_it() {
    let mut inbox = Inbox::default();
    for _ in 0..MALFORMED_LIMIT {
        inbox.feed(b"{oops\n\"ready\"\n");
        assert_eq!(inbox.take_message(), Some(Err(Fault::Malformed)));
        assert_eq!(inbox.take_message(), Some(Ok(Incoming::User(UserMessage::Ready))));
    }
    inbox.feed(b"\xff\n");
    let last = inbox.take_message();
    assert_eq!(last, Some(Err(Fault::TooManyMalformed)));
    assert!(Fault::TooManyMalformed.is_fatal() && !Fault::Malformed.is_fatal());
}

#[test]
fn a_fault_says_where_it_is_and_how_much_would_be_borne() {
    for (fault, text) in [
        (Fault::Malformed, "a line on the Node channel that is no message"),
        (Fault::TooManyMalformed, "more than 100 lines on the Node channel are no message"),
        (Fault::LineTooLong, "a line of more than 1048576 bytes on the Node channel"),
    ] {
        assert_eq!(fault.to_string(), text);
    }
}

#[test]
fn a_line_without_end_is_refused_at_the_limit() {
    let mut inbox = Inbox::default();
    inbox.feed(&vec![b'"'; LINE_LIMIT + 1]);
    assert_eq!(inbox.take_message(), Some(Err(Fault::LineTooLong)));
    assert!(inbox.is_between_messages() && Fault::LineTooLong.is_fatal());
}

#[test]
fn answers_belong_to_the_oldest_message_under_way() {
    let mut wrappers = Wrappers::default();
    assert_eq!(wrappers.note_answer(true), Answer::Unasked);
    wrappers.note_sent('a');
    wrappers.note_sent('b');
    assert_eq!(wrappers.under_way(), 2);
    assert_eq!(wrappers.note_answer(false), Answer::Lost('a'));
    assert_eq!(wrappers.note_answer(true), Answer::Taken('b'));
    assert_eq!((wrappers.under_way(), wrappers.note_answer(true)), (0, Answer::Unasked));
}

proptest! {
    #[test]
    fn how_a_channel_is_cut_changes_nothing(size in 1_usize..200) {
        let mut stream = vec![];
        for line in part(WORKERS[3].1, "rr").iter().chain(&part(BUN, "rr")) {
            stream.extend(line.as_bytes());
            stream.push(b'\n');
        }
        let mut inbox = Inbox::default();
        let mut messages = vec![];
        for chunk in stream.chunks(size) {
            inbox.feed(chunk);
            messages.extend(std::iter::from_fn(|| inbox.take_message()));
        }
        prop_assert!(messages.iter().all(Result::is_ok) && inbox.is_between_messages());
        prop_assert_eq!(messages.len(), part(WORKERS[3].1, "rr").len() + part(BUN, "rr").len());
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut inbox = Inbox::default();
        inbox.feed(&bytes);
        while inbox.take_message().is_some() {}
    }

    #[test]
    fn no_spoilt_message_panics(
        which in 0_usize..30, at in 0_usize..400, with in any::<u8>(), drop in 0_usize..20
    ) {
        let lines: Vec<&str> = WORKERS.iter().flat_map(|(_, capture)| part(capture, "path")).collect();
        let mut line = lines[which % lines.len()].as_bytes().to_vec();
        let at = at % line.len();
        line[at] = with;
        line.drain(at..line.len().min(at + drop));
        line.push(b'\n');
        let mut inbox = Inbox::default();
        inbox.feed(&line);
        while inbox.take_message().is_some() {}
    }

    #[test]
    fn any_key_and_address_make_one_line_of_json(key in "\\PC{0,30}|[\\x00-\\x1f\"\\\\]{0,9}") {
        let name = SockName { address: key.clone(), port: 1, v6: true };
        for message in [
            Outgoing::Serve { ack: 1, key: &key, data: None, name: Some(&name) },
            Outgoing::Share { ack: 1, key: &key, data: Some("[1]"), udp: true },
            Outgoing::Connection { seq: 1, key: &key },
        ] {
            let line = message.encode(Dialect::Node);
            prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
            let value: Value = serde_json::from_slice(&line).unwrap();
            let inner = if value["msg"].is_object() { &value["msg"] } else { &value };
            prop_assert_eq!(inner["key"].as_str(), Some(&*key));
        }
    }
}
