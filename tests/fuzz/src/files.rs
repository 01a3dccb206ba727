//! Files that somebody else has written: of /proc, of cgroups, and of the image.
//!
//! They lie in a made-up tree in memory; the bytes are cut into files at NULs that are doubled.

use std::{fs, path::PathBuf, process, sync::OnceLock};

use cap_std::{ambient_authority, fs::Dir};

use crate::sys::{Pid, cgroup, proc as processes, users};

const FILES: [&str; 12] = [
    "proc/self/cgroup",
    "proc/self/mountinfo",
    "sys/fs/cgroup/cpu.max",
    "sys/fs/cgroup/memory.max",
    "sys/fs/cgroup/memory.events",
    "sys/fs/cgroup/pids.max",
    "etc/passwd",
    "etc/group",
    "proc/7/stat",
    "proc/7/statm",
    "proc/7/cmdline",
    "proc/net/netstat",
];

fn root() -> &'static (PathBuf, Dir, Dir) {
    static ROOT: OnceLock<(PathBuf, Dir, Dir)> = OnceLock::new();
    ROOT.get_or_init(|| {
        let path = PathBuf::from(format!("/dev/shm/dutch-master-fuzz-{}", process::id()));
        for file in FILES {
            fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
        }
        let open = |path: &PathBuf| Dir::open_ambient_dir(path, ambient_authority()).unwrap();
        (path.clone(), open(&path), open(&path.join("proc")))
    })
}

/// The first byte says which of three groups of files is written.
pub fn proc(data: &[u8]) {
    let Some((&which, data)) = data.split_first() else { return };
    let (path, root, proc) = root();
    let files = match which % 3 {
        0 => &FILES[..6],
        1 => &FILES[6..8],
        _ => &FILES[8..],
    };
    let mut rest = data;
    for file in files {
        let end = rest.windows(2).position(|pair| pair == [0, 0]).unwrap_or(rest.len());
        fs::write(path.join(file), &rest[..end]).unwrap();
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    match which % 3 {
        0 => {
            let facts = cgroup::facts(root);
            let _ = facts.cpu_quota.map(cgroup::CpuQuota::cpus);
        }
        1 => {
            for (user, group) in
                [("app", None), ("1000", None), ("app", Some("staff")), ("0", Some("7"))]
            {
                if let Ok(found) = users::resolve(root, user, group) {
                    assert!(
                        found.groups.contains(&found.gid) && found.uid != u32::MAX,
                        "{found:?}"
                    );
                }
            }
        }
        _ => {
            let pid = Pid::new(7).unwrap();
            let _ = processes::groups(proc, &[pid]);
            let _ = (processes::first_word(proc, pid), processes::listen_drops(proc));
        }
    }
}
