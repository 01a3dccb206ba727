//! Containers as they are met in the field, as made-up trees.

use std::{fs, path::PathBuf};

use super::*;

/// A made-up root directory, removed afterwards.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("cgroup-{name}-{}", std::process::id()));
        let tree = Self(path);
        fs::create_dir_all(&tree.0).unwrap();
        for (file, text) in files {
            let file = tree.0.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        tree
    }

    fn facts(&self) -> Facts {
        facts(&Dir::open_ambient_dir(&self.0, cap_std::ambient_authority()).unwrap())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const UNIFIED: &str = "25 24 0:22 / /proc rw - proc proc rw
36 35 0:30 / /sys/fs/cgroup ro,nosuid shared:9 master:3 - cgroup2 cgroup rw,nsdelegate
";

fn micros(quota: u64, period: u64) -> CpuQuota {
    CpuQuota::of(quota, period).unwrap()
}

#[test]
fn a_v2_container_with_its_own_namespace_reads_the_mount_itself() {
    let tree = Tree::new(
        "v2",
        &[
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", UNIFIED),
            ("sys/fs/cgroup/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/memory.max", "268435456\n"),
            ("sys/fs/cgroup/pids.max", "64\n"),
            ("sys/fs/cgroup/memory.current", "1048576\n"),
            ("sys/fs/cgroup/memory.events", "low 0\noom 9\noom_kill 3\noom_group_kill 1\n"),
        ],
    );
    let expected = Facts {
        cpu_quota: Some(micros(150_000, 100_000)),
        memory_limit: Some(268_435_456),
        pids_max: Some(64),
        memory_current: Some(1_048_576),
        oom_kills: Some(3),
        is_oom_group: false,
    };
    assert_eq!(tree.facts(), expected);
}

#[test]
fn the_tightest_of_all_ancestors_wins_and_state_is_our_own() {
    let tree = Tree::new(
        "nested",
        &[
            ("proc/self/cgroup", "0::/pod/app\n"),
            ("proc/self/mountinfo", UNIFIED),
            ("sys/fs/cgroup/pod/cpu.max", "50000 20000\n"),
            ("sys/fs/cgroup/pod/memory.max", "1000\n"),
            ("sys/fs/cgroup/pod/memory.current", "900\n"),
            ("sys/fs/cgroup/pod/pids.max", "max\n"),
            ("sys/fs/cgroup/pod/app/cpu.max", "300000 100000\n"),
            ("sys/fs/cgroup/pod/app/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/app/memory.current", "70\n"),
            ("sys/fs/cgroup/pod/app/memory.events", "oom_kill 0\n"),
            ("sys/fs/cgroup/pod/app/pids.max", "max\n"),
        ],
    );
    let facts = tree.facts();
    assert_eq!(facts.cpu_quota, Some(micros(50_000, 20_000)));
    assert_eq!((facts.memory_limit, facts.memory_current), (Some(1000), Some(70)));
    assert_eq!((facts.pids_max, facts.oom_kills), (None, Some(0)));
}

#[test]
fn unlimited_says_nothing() {
    let tree = Tree::new(
        "max",
        &[
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", UNIFIED),
            ("sys/fs/cgroup/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/memory.max", "max\n"),
            ("sys/fs/cgroup/pids.max", "max\n"),
        ],
    );
    assert_eq!(tree.facts(), Facts::default());
}

const LEGACY: &str = "\
40 36 0:31 /docker/ab /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct
41 36 0:32 /docker/ab /sys/fs/cgroup/memory ro master:17 - cgroup cgroup rw,memory
42 36 0:33 /docker/ab /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids
43 36 0:34 /docker/ab /sys/fs/cgroup/systemd ro - cgroup cgroup rw,xattr,name=systemd
";

#[test]
fn a_v1_container_without_a_namespace_is_told_the_hosts_path() {
    let tree = Tree::new(
        "v1",
        &[
            (
                "proc/self/cgroup",
                "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n3:pids:/docker/ab/sub\n1:name=systemd:/docker/ab\n",
            ),
            ("proc/self/mountinfo", LEGACY),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "4096\n"),
            (
                "sys/fs/cgroup/memory/memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            ),
            ("sys/fs/cgroup/pids/pids.max", "100\n"),
            ("sys/fs/cgroup/pids/sub/pids.max", "20\n"),
        ],
    );
    let expected = Facts {
        cpu_quota: Some(micros(250_000, 100_000)),
        memory_limit: Some(536_870_912),
        pids_max: Some(20),
        memory_current: Some(4096),
        oom_kills: Some(2),
        is_oom_group: false,
    };
    assert_eq!(tree.facts(), expected);
}

#[test]
fn v1_says_unlimited_by_huge_and_negative_numbers() {
    let tree = Tree::new(
        "v1max",
        &[
            ("proc/self/cgroup", "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n"),
            ("proc/self/mountinfo", LEGACY),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ],
    );
    assert_eq!(tree.facts(), Facts::default());
}

#[test]
fn a_path_that_is_not_below_the_mount_means_the_mount() {
    for (name, ours) in [("elsewhere", "0::/kubepods/pod1/c2\n"), ("above", "0::/../../other\n")] {
        let tree = Tree::new(
            name,
            &[
                ("proc/self/cgroup", ours),
                ("proc/self/mountinfo", UNIFIED),
                ("sys/fs/cgroup/memory.max", "777\n"),
            ],
        );
        assert_eq!(tree.facts().memory_limit, Some(777));
    }
}

#[test]
fn a_hybrid_system_is_read_in_both_ways() {
    let mounts = "\
36 35 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
41 36 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
";
    let tree = Tree::new(
        "hybrid",
        &[
            ("proc/self/cgroup", "5:memory:/app\n0::/app\n"),
            ("proc/self/mountinfo", mounts),
            ("sys/fs/cgroup/unified/app/pids.max", "50\n"),
            ("sys/fs/cgroup/memory/app/memory.limit_in_bytes", "12345\n"),
        ],
    );
    assert_eq!((tree.facts().memory_limit, tree.facts().pids_max), (Some(12345), Some(50)));
}

#[test]
fn a_mount_point_may_have_a_space_in_it() {
    let tree = Tree::new(
        "space",
        &[
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", "36 35 0:30 / /my\\040cgroups rw - cgroup2 cgroup2 rw\n"),
            ("my cgroups/pids.max", "5\n"),
        ],
    );
    assert_eq!(tree.facts().pids_max, Some(5));
}

#[test]
fn no_cgroups_and_broken_files_say_nothing() {
    assert_eq!(Tree::new("none", &[]).facts(), Facts::default());
    let broken = [
        ("proc/self/cgroup", "0::/\nnonsense\n:\n7:\n"),
        ("proc/self/mountinfo", "short\n36 35 0:30 / /sys/fs/cgroup rw - cgroup2\n- - -\n"),
        ("sys/fs/cgroup/cpu.max", "0 0\n"),
        ("sys/fs/cgroup/memory.max", "12x\n"),
        ("sys/fs/cgroup/pids.max", ""),
    ];
    assert_eq!(Tree::new("broken", &broken).facts(), Facts::default());
}

#[test]
fn part_of_a_cpu_counts_as_one() {
    for (quota, period, cpus) in [
        (1000, 100_000, 1),
        (100_000, 100_000, 1),
        (100_001, 100_000, 2),
        (250_000, 100_000, 3),
        (u64::MAX, 1, u16::MAX),
    ] {
        assert_eq!(micros(quota, period).cpus().get(), cpus);
    }
}

#[test]
fn this_machine_is_read_without_complaint() {
    let root = Dir::open_ambient_dir("/", cap_std::ambient_authority()).unwrap();
    let _ = facts(&root);
    // That one knows the quota, too.
    assert!(usize::from(affinity().get()) >= std::thread::available_parallelism().unwrap().get());
}

#[test]
fn a_group_kill_set_on_us_or_above_is_seen_and_one_switched_off_is_not() {
    for (own, above, seen) in [("0", "0", false), ("1", "0", true), ("0", "1", true)] {
        let tree = Tree::new(
            &format!("oom-group-{own}{above}"),
            &[
                ("proc/self/cgroup", "0::/pod/app\n"),
                ("proc/self/mountinfo", UNIFIED),
                ("sys/fs/cgroup/pod/memory.oom.group", above),
                ("sys/fs/cgroup/pod/app/memory.oom.group", own),
            ],
        );
        assert_eq!(tree.facts().is_oom_group, seen, "{own} {above}");
    }
}
