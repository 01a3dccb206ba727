//! Which descriptors a program finds.
#![cfg(test)]

use super::*;

#[test]
fn descriptors_arrive_at_their_numbers_in_any_permutation_and_nothing_else_does() {
    let high = |name| rustix::io::fcntl_dupfd_cloexec(memory(name), 100).unwrap();
    let sources = ["a", "b", "c", "d"].map(high);
    let numbers: Vec<_> = sources.iter().map(AsRawFd::as_raw_fd).collect();
    for order in permutations(&[0, 1, 2, 3]) {
        for shift in [0, 1, -1] {
            let mut wanted = launch(&["ls"]);
            let mut expected = BTreeMap::new();
            for (source, &place) in sources.iter().zip(&order) {
                let target = numbers[place] + shift;
                wanted.fds.push((target, source.as_fd()));
                expected.insert(
                    target,
                    rustix::fs::readlink(format!("/proc/self/fd/{}", source.as_raw_fd()), vec![])
                        .unwrap()
                        .into_string()
                        .unwrap(),
                );
            }
            let mut found = table(wanted);
            found.retain(|&number, _| number > 2);
            assert_eq!(found, expected, "{order:?} {shift}");
        }
    }
}

#[test]
fn one_descriptor_can_go_to_many_numbers_and_to_standard_input() {
    let source = memory("many");
    let mut wanted = launch(&["ls"]);
    wanted.fds = [0, 3, 4, 200].map(|target| (target, source.as_fd())).into();
    let found = table(wanted);
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 200]);
    assert!(found[&0].contains("many") && found[&200].contains("many"), "{found:?}");
}

#[test]
fn a_descriptor_without_close_on_exec_does_not_reach_the_program() {
    let open = memory("stray");
    let stray = rustix::io::fcntl_dupfd_cloexec(&open, 700).unwrap();
    rustix::io::fcntl_setfd(&stray, rustix::io::FdFlags::empty()).unwrap();
    assert_eq!(table(launch(&["ls"])).into_keys().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn an_old_kernel_without_close_range_closes_them_all_the_same() {
    alone(
        "sys::spawn::tests::descriptors::an_old_kernel_without_close_range_closes_them_all_the_same",
        || {
            let open: Vec<_> = (0..100).map(|_| memory("x")).collect();
            let kept = open[50].as_raw_fd();
            std::mem::forget(open);
            assert!(super::super::descriptors::close_without_close_range(&[kept]));
            let left = open_descriptors();
            assert!(left.contains(&kept.to_string()) && left.len() == 5, "{left:?}");
        },
    );
}

#[test]
fn a_thousand_starts_leave_no_descriptor_and_no_process() {
    alone(
        "sys::spawn::tests::descriptors::a_thousand_starts_leave_no_descriptor_and_no_process",
        || {
            let before = open_descriptors();
            for _ in 0..1000 {
                let spawned = spawn(&launch(&["/bin/true"])).unwrap();
                assert_eq!(wait(spawned.pid).code(), Some(0));
                assert_eq!(exec_result(&spawned.exec_status), ExecResult::Running);
            }
            assert_eq!(open_descriptors(), before);
            assert_eq!(reap::reap(), None);
        },
    );
}
