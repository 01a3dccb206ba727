//! What a worker reads about its listeners, in each dialect.

use dutch_master::wire::listen::{
    ExpandError, Kind, Options, Passed, STALE, environment, expand, stale,
};
use dutch_master::wire::server_starter;
use proptest::prelude::*;

fn passed(name: &str, fd: i32, kind: Kind, address: &str) -> Passed {
    Passed { name: name.into(), fd, kind, address: address.into() }
}

fn four() -> Vec<Passed> {
    vec![
        passed("http", 3, Kind::Tcp, "0.0.0.0:8000"),
        passed("admin", 4, Kind::Unix, "/run/admin.sock"),
        passed("dns", 5, Kind::Udp, "127.0.0.1:53"),
        passed("six", 6, Kind::Tcp, "[::]:8080"),
    ]
}

fn value(variables: &[(String, String)], name: &str) -> Option<String> {
    variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

#[test]
fn every_dialect_is_set_at_once() {
    let options = Options {
        generation: 7,
        master_pid: Some(1),
        einhorn_socket: Some("/run/e.sock".into()),
        unicorn: true,
    };
    let variables = environment(&four(), &options);
    let expected = [
        ("LISTEN_FDS", "4"),
        ("LISTEN_FDNAMES", "http:admin:dns:six"),
        ("NGINX", "3;4;5;6;"),
        ("UNICORN_FD", "3,4,6"),
        ("FPM_SOCKETS", "0.0.0.0:8000=3,/run/admin.sock=4,[::]:8080=6"),
        ("SERVER_STARTER_PORT", "0.0.0.0:8000=3;/run/admin.sock=4;[::]:8080=6"),
        ("SERVER_STARTER_GENERATION", "7"),
        ("EINHORN_MASTER_PID", "1"),
        ("EINHORN_SOCK_PATH", "/run/e.sock"),
        ("EINHORN_FD_COUNT", "4"),
        ("EINHORN_FDS", "3 4 5 6"),
        ("EINHORN_FD_0", "3"),
        ("EINHORN_FD_FAMILY_0", "AF_INET"),
        ("EINHORN_FD_1", "4"),
        ("EINHORN_FD_FAMILY_1", "AF_UNIX"),
        ("EINHORN_FD_2", "5"),
        ("EINHORN_FD_FAMILY_2", "AF_INET"),
        ("EINHORN_FD_3", "6"),
        ("EINHORN_FD_FAMILY_3", "AF_INET6"),
    ];
    let expected = expected.map(|(name, value)| (name.to_string(), value.to_string()));
    assert_eq!(variables, expected);
}

#[test]
fn dialects_that_contradict_are_left_out_unless_asked_for() {
    let variables = environment(&four(), &Options::default());
    assert_eq!(value(&variables, "UNICORN_FD"), None);
    assert!(!variables.iter().any(|(name, _)| name.starts_with("EINHORN_")));
}

#[test]
fn without_listeners_there_are_no_variables() {
    assert_eq!(environment(&[], &Options::default()), []);
}

#[test]
fn an_address_that_would_break_a_list_stays_out_of_it() {
    let odd = passed("a:b", 9, Kind::Unix, "/run/a=b,c;d");
    let hidden = passed("hidden", 10, Kind::Unix, "@abstract");
    let variables = environment(&[odd, hidden], &Options::default());
    assert_eq!(value(&variables, "LISTEN_FDNAMES").unwrap(), "unknown:hidden");
    assert_eq!(value(&variables, "FPM_SOCKETS"), None);
    assert_eq!(value(&variables, "SERVER_STARTER_PORT").unwrap(), "@abstract=10");
    assert_eq!(value(&variables, "NGINX").unwrap(), "9;10;");
}

fn expanded(argument: &str) -> Result<String, ExpandError> {
    expand(argument.as_bytes(), &four()).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn a_placeholder_becomes_the_listeners_number_or_address() {
    assert_eq!(expanded("fd://{fd:http}").unwrap(), "fd://3");
    assert_eq!(expanded("{fd:http},{fd:admin} at {addr:six}").unwrap(), "3,4 at [::]:8080");
    assert_eq!(expanded("{fd:0}{fd:3}").unwrap(), "36");
    assert_eq!(expanded("{{fd:http}").unwrap(), "{fd:http}");
    assert_eq!(expanded("{{{fd:http}").unwrap(), "{{fd:http}");
}

#[test]
fn a_name_that_looks_like_a_place_is_a_name() {
    let sockets = [passed("1", 3, Kind::Tcp, ":1"), passed("b", 4, Kind::Tcp, ":2")];
    assert_eq!(expand(b"{fd:1}", &sockets).unwrap(), b"3");
}

#[test]
fn other_braces_mean_themselves() {
    for text in ["{}", "{{.Name}}", "{\"a\":{\"fd\":1}}", "${HOME}", "{fd}", "{FD:http}", "a{", ""]
    {
        assert_eq!(expanded(text).unwrap(), text);
    }
    assert_eq!(expand(b"\xff{fd:http}\xfe", &four()).unwrap(), b"\xff3\xfe");
}

#[test]
fn an_unknown_listener_is_an_error_that_lists_the_known_ones() {
    let fault = expanded("{fd:htpp}").unwrap_err().to_string();
    assert!(fault.contains("\"htpp\"") && fault.contains("\"http\", \"admin\""), "{fault}");
    assert!(expanded("{fd:4}").is_err() && expanded("{addr:}").is_err());
    let none = expand(b"{fd:http}", &[]).unwrap_err().to_string();
    assert!(none.contains("DUTCH_MASTER_LISTEN"), "{none}");
    assert_eq!(expanded("x{fd:ht"), Err(ExpandError::Unclosed { text: "{fd:ht".into() }));
}

#[test]
fn the_masters_own_variables_are_stale_and_nothing_else_is() {
    for name in [
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "LISTEN_PID",
        "LISTEN_PIDFDID",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "NODE_CHANNEL_FD",
        "NODE_CHANNEL_SERIALIZATION_MODE",
        "NODE_UNIQUE_ID",
        "DUTCH_MASTER_WORKERS",
        "EINHORN_FD_0",
        "SERVER_STARTER_PORT",
        "NGINX",
        "FPM_SOCKETS",
        "UNICORN_FD",
    ] {
        assert!(stale(name.as_bytes()).is_some(), "{name}");
    }
    for name in [
        "PATH",
        "NODE_ENV",
        "NODE_OPTIONS",
        "LISTEN",
        "LISTEN_ADDRESS",
        "NGINX_VERSION",
        "WATCHDOG_ENABLED",
        "GUNICORN_FD",
        "PORT",
        "",
    ] {
        assert!(stale(name.as_bytes()).is_none(), "{name}");
    }
    assert!(STALE.iter().all(|stale| stale.reason.len() > 20));
}

proptest! {
    #[test]
    fn what_server_starter_is_told_can_be_read_back(
        places in proptest::collection::vec(("/[a-z0-9._-]{1,20}", 3..1024_i32), 0..8)
    ) {
        let sockets: Vec<Passed> =
            places.iter().map(|(path, fd)| passed("n", *fd, Kind::Unix, path)).collect();
        prop_assert_eq!(server_starter::parse(&server_starter::port(&sockets)), Some(places));
    }

    #[test]
    fn no_argument_panics_and_those_without_a_placeholder_stay(
        argument in proptest::collection::vec(any::<u8>(), 0..80)
    ) {
        if let Ok(expanded) = expand(&argument, &four()) {
            let text = String::from_utf8_lossy(&argument);
            let has_form = text.contains("{fd:") || text.contains("{addr:");
            prop_assert!(expanded == argument || has_form);
        }
    }

    #[test]
    fn no_argument_of_braces_panics(argument in "(\\{|\\}|fd:|addr:|http|0|x){0,12}") {
        let _ = expand(argument.as_bytes(), &four());
    }
}
