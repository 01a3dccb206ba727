//! Who may ask a master, and which master is believed.

use std::{
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
};

use crate::harness::{BINARY, Master, Said};

/// Listens where a master of this user would, and answers as one; says so once it stands.
const IMPOSTOR: &str = r#"
import os, socket
os.setgid(65534); os.setuid(65534)
place = "/dev/shm/dutch-master-65534-%d" % os.stat("/proc/self/ns/pid").st_ino
os.mkdir(place)
door = socket.socket(socket.AF_UNIX)
door.bind(place + "/control.sock")
door.listen()
print(place, flush=True)
for _ in range(2):
    client, _ = door.accept()
    client.recv(4096)
    try: client.sendall(b'{"v":1,"reply":"done","message":"the loop \\u001b[31manswers"}\n')
    except OSError: pass
"#;

/// In namespaces of their own, so that no master of this machine is found.
fn alone(script: &str) -> Said {
    let prepare = "mount -t tmpfs -o mode=1777 none /dev/shm && mount -t tmpfs none /run";
    let script = format!("{prepare} && {script}");
    let mut command = Command::new("timeout");
    command.args(["30", "unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c"]);
    Said::of(command.args([&script, BINARY, IMPOSTOR]).output().unwrap())
}

#[test]
fn root_believes_no_stranger_that_it_finds_by_itself() {
    let said = alone(
        "/usr/bin/python3 -c \"$1\" | { read place; \"$0\" live; echo \"code $?\"
         \"$0\" live --control=\"$place/control.sock\"; echo \"code $?\"; }",
    );
    let why = "control.sock: uid 65534 listens there, neither root nor we, nor who PID 1 runs as; \
               to trust it: --control=/dev/shm/dutch-master-65534-";
    assert!(said.err.contains(why), "{said:?}");
    // What a stranger says is shown as text, whatever it may do to a terminal.
    assert_eq!(said.out, "code 1\nthe loop ·[31manswers\ncode 0\n", "{said:?}");
}

#[test]
fn a_master_that_takes_nobody_in_is_not_waited_for() {
    let said = alone(
        "/usr/bin/python3 -c '
import socket, subprocess, sys
door = socket.socket(socket.AF_UNIX); door.bind(\"/run/it\"); door.listen(0)
first = socket.socket(socket.AF_UNIX); first.connect(\"/run/it\")
sys.exit(subprocess.call([sys.argv[1], \"live\", \"--control=/run/it\"], timeout=20))' \"$0\"",
    );
    said.refuses("/run/it: the master takes nobody in, and many wait");
}

#[test]
fn a_master_of_any_user_gives_another_user_nothing() {
    for (own, other) in [(0, 65534), (65534, 4321)] {
        let master = Master::start_as(own, &[("HTTP", "127.0.0.1:0")]);
        // Even where the file's mode would let it in.
        std::fs::set_permissions(master.socket(), PermissionsExt::from_mode(0o666)).unwrap();
        let script = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(b'{\"v\":1,\"op\":\"stop\"}\\n'); print(s.recv(9999))";
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", script]).arg(master.socket()).uid(other).gid(other);
        let said = Said::of(python.output().unwrap());
        assert!(said.out.is_empty() || said.out == "b''\n", "{said:?}");
        // Its own binary believes no socket of somebody else's either, unless root's.
        let said = Said::of(master.verb(&["stop"]).uid(other).gid(other).output().unwrap());
        assert!(said.code == 1 && said.out.is_empty(), "{said:?}");
        for uid in [own, 0] {
            let said = Said::of(master.verb(&["live"]).uid(uid).gid(uid).output().unwrap());
            said.is("the loop answers\n");
        }
        let mut stream = master.connect();
        stream.write_all(b"{\"v\":1,\"op\":\"ready\"}\n").unwrap();
        let mut bytes = [0; 999];
        let length = stream.read(&mut bytes).unwrap();
        assert!(String::from_utf8_lossy(&bytes[..length]).contains("2 of 2 workers ready"));
    }
}
