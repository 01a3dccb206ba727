//! What a worker may say of one of its servers, field by field.

use dutch_master::wire::node::{DATA_LIMIT, Fault, Incoming, Query, Target};
use proptest::prelude::*;

use crate::node::read;

fn asked(fields: &str) -> Result<Incoming, Fault> {
    read(&format!(r#"{{"cmd":"NODE_CLUSTER","act":"queryServer","seq":9,{fields}}}"#))
}

fn understood(fields: &str) -> Query {
    match asked(fields) {
        Ok(Incoming::Query(query)) => query,
        other => panic!("{fields}: {other:?}"),
    }
}

#[test]
fn a_path_is_for_everybody_only_as_far_as_the_worker_says() {
    for (fields, readable_all, writable_all) in [
        ("", false, false),
        (r#","readableAll":true"#, true, false),
        (r#","writableAll":true"#, false, true),
        (r#","readableAll":true,"writableAll":true"#, true, true),
        (r#","readableAll":false,"writableAll":null"#, false, false),
        (r#","readableAll":1,"writableAll":"true""#, false, false),
    ] {
        let query = understood(&format!(r#""addressType":-1,"address":"/a.sock"{fields}"#));
        let target = Target::Path { path: "/a.sock".into(), readable_all, writable_all };
        assert_eq!(query.target, target, "{fields}");
    }
}

#[test]
fn a_server_without_an_address_is_on_every_address() {
    for address in ["null", r#""""#] {
        let fields = format!(r#""addressType":6,"port":80,"address":{address}"#);
        let target = Target::Tcp { host: None, port: 80, v6: true, v6only: false };
        assert_eq!(understood(&fields).target, target, "{address}");
    }
}

#[test]
fn a_queue_of_no_length_is_left_to_us() {
    for (backlog, length) in [("511", Some(511)), ("1", Some(1)), ("0", None), ("-1", None)] {
        let fields = format!(r#""addressType":4,"port":1,"backlog":{backlog}"#);
        assert_eq!(understood(&fields).backlog, length, "{backlog}");
    }
}

#[test]
fn a_servers_data_may_be_as_long_as_the_limit() {
    let with = |length: usize| {
        let data = format!("\"{}\"", "k".repeat(length - 2));
        (asked(&format!(r#""addressType":4,"port":1,"data":{data}"#)), data)
    };
    let (longest, data) = with(DATA_LIMIT);
    assert!(matches!(longest, Ok(Incoming::Query(query)) if query.data == Some(data)));
    assert_eq!(with(DATA_LIMIT + 1).0, Ok(Incoming::BadQuery { seq: 9, errno: -22 }));
}

#[test]
fn a_server_that_makes_no_sense_is_answered() {
    for fields in [
        r#""addressType":4,"port":65536"#,
        r#""addressType":4,"port":-1"#,
        r#""addressType":4,"address":[],"port":1"#,
        r#""addressType":5,"port":1"#,
        r#""addressType":-1,"address":"""#,
        r#""addressType":null,"fd":-1"#,
        r#""addressType":"udp5""#,
        r#""addressType":4,"port":1,"flags":-1"#,
        r#""addressType":4,"port":1,"flags":0.5"#,
        r#""addressType":4,"port":1,"flags":18446744073709551615"#,
        r#""addressType":4,"port":1,"address":true"#,
        r#""addressType":4,"port":1,"address":{}"#,
    ] {
        assert_eq!(asked(fields), Ok(Incoming::BadQuery { seq: 9, errno: -22 }), "{fields}");
    }
    let long = "x".repeat(2000);
    let fields = format!(r#""addressType":-1,"address":"{long}""#);
    assert_eq!(asked(&fields), Ok(Incoming::BadQuery { seq: 9, errno: -22 }));
    let unnumbered = r#"{"cmd":"NODE_CLUSTER","act":"queryServer","addressType":4,"port":1}"#;
    assert_eq!(read(unnumbered), Err(Fault::Malformed));
}

proptest! {
    #[test]
    fn every_query_that_could_be_sent_is_read_or_answered(
        address in prop_oneof![Just("null".to_string()), "\"[a-z0-9.:/]{0,20}\"", Just("3".to_string())],
        port in prop_oneof![Just("null".to_string()), (-5_i64..70_000).prop_map(|n| n.to_string())],
        kind in prop_oneof![
            Just("4"), Just("6"), Just("-1"), Just("null"), Just("\"udp4\""), Just("\"udp6\"")
        ],
        fd in prop_oneof![Just("null".to_string()), (-2_i64..5).prop_map(|n| n.to_string())],
        seq in 0_u64..1 << 50,
    ) {
        let line = format!(
            r#"{{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":{address},"port":{port},"addressType":{kind},"fd":{fd},"seq":{seq}}}"#
        );
        match read(&line) {
            Ok(Incoming::Query(query)) => prop_assert_eq!(query.seq, seq),
            Ok(Incoming::BadQuery { seq: answered, .. }) => prop_assert_eq!(answered, seq),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
