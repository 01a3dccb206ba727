//! Each step that fails, and what is said about it.
#![cfg(test)]

use super::*;

#[test]
fn a_program_that_is_not_there_is_127_and_named() {
    let (error, _) = failure(&launch(&["no-such-program"]));
    assert_eq!(error.to_string(), "no-such-program: not found");
    assert_eq!((error.step, error.errno.0, error.shell_code()), (Step::Exec, libc::ENOENT, 127));
    let (error, _) = failure(&launch(&["/no/such/program"]));
    assert_eq!(
        (error.to_string().as_str(), error.shell_code()),
        ("/no/such/program: not found", 127)
    );
}

#[test]
fn a_file_that_may_not_be_executed_is_126() {
    let path = scratch("denied", "600", "#!/bin/sh\n");
    let (error, _) = failure(&launch(&[path.to_str().unwrap()]));
    assert_eq!((error.step, error.errno.0, error.shell_code()), (Step::Exec, libc::EACCES, 126));
    assert_eq!(error.to_string(), format!("{}: permission denied", path.display()));
    let (error, _) = failure(&launch(&["/"]));
    assert_eq!((error.errno.0, error.shell_code()), (libc::EACCES, 126));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_refusal_early_in_path_does_not_hide_a_program_later_but_beats_absence() {
    let denied = CString::new(scratch("early", "600", "").into_os_string().as_bytes()).unwrap();
    let mut wanted = launch(&["true"]);
    wanted.candidates = vec![c"/nowhere/true".into(), denied.clone(), c"/bin/true".into()];
    assert_eq!(said(wanted.clone()).1.code(), Some(0));
    wanted.candidates.pop();
    let (error, _) = failure(&wanted);
    assert_eq!((error.errno.0, error.path.as_bytes()), (libc::EACCES, denied.as_bytes()));
    std::fs::remove_file(error.path).unwrap();
}

#[test]
fn a_script_without_shebang_is_a_format_error_that_says_so() {
    let path = scratch("format", "700", "echo hello\n");
    let (error, _) = failure(&launch(&[path.to_str().unwrap()]));
    assert_eq!(error.errno.0, libc::ENOEXEC);
    assert!(error.to_string().ends_with("missing shebang or wrong architecture"), "{error}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_missing_interpreter_is_told_from_a_missing_program() {
    let path = scratch("interpreter", "700", "#!/no/such/interpreter\n");
    let (error, _) = failure(&launch(&[path.to_str().unwrap()]));
    assert_eq!((error.step, error.shell_code()), (Step::Interpreter, 126));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_handle_that_is_no_directory_fails_the_directory_step() {
    let file = memory("file");
    let mut wanted = launch(&["true"]);
    wanted.cwd = Some(file.as_fd());
    let (error, _) = failure(&wanted);
    assert_eq!((error.step, error.errno.0), (Step::Directory, libc::ENOTDIR));
}

#[test]
fn a_limit_that_the_kernel_refuses_fails_its_step() {
    let mut wanted = launch(&["true"]);
    let resource = Resource::from_name("NOFILE").unwrap();
    wanted.limits.rlimits = vec![Limit { resource, soft: Some(60), hard: Some(50) }];
    assert_eq!(failure(&wanted).0.step, Step::ResourceLimit);
    wanted.limits = Limits { oom_score_adj: OomScore::Require(2000), ..Limits::default() };
    assert_eq!(failure(&wanted).0.step, Step::OomScore);
    wanted.limits = Limits { oom_score_adj: OomScore::Prefer(2000), ..Limits::default() };
    assert_eq!(said(wanted).1.code(), Some(0));
}

#[test]
fn without_the_right_each_credential_fails_its_own_step() {
    alone(
        "sys::spawn::tests::failures::without_the_right_each_credential_fails_its_own_step",
        || {
            assert!(kernel::getuid().is_root(), "this test needs root");
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_gid(rustix::thread::Gid::from_raw(65534)).unwrap();
            rustix::thread::set_thread_uid(rustix::thread::Uid::from_raw(65534)).unwrap();
            let step = |uid, gid, groups: &[u32]| {
                let mut wanted = launch(&["true"]);
                wanted.credentials = Some(Credentials { uid, gid, groups: groups.to_vec() });
                let (error, _) = failure(&wanted);
                assert_eq!(error.errno.0, libc::EPERM);
                error.step
            };
            assert_eq!(step(65534, 65534, &[4]), Step::SupplementaryGroups);
            assert_eq!(step(65534, 4, &[]), Step::GroupId);
            assert_eq!(step(0, 65534, &[]), Step::UserId);
            let mut same = launch(&["true"]);
            same.credentials = Some(Credentials { uid: 65534, gid: 65534, groups: vec![] });
            assert_eq!(said(same).1.code(), Some(0), "what we are already takes no privilege");
        },
    );
}

#[test]
fn no_room_for_a_process_is_an_error_that_may_pass_and_leaks_nothing() {
    alone(
        "sys::spawn::tests::failures::no_room_for_a_process_is_an_error_that_may_pass_and_leaks_nothing",
        || {
            assert!(kernel::getuid().is_root(), "this test needs root");
            rustix::thread::set_thread_uid(rustix::thread::Uid::from_raw(65432)).unwrap();
            let none = kernel::Rlimit { current: Some(0), maximum: Some(0) };
            kernel::setrlimit(kernel::Resource::Nproc, none).unwrap();
            let before = open_descriptors();
            let error = spawn(&launch(&["true"])).unwrap_err();
            assert_eq!((error.step, error.errno.0), (Step::Fork, libc::EAGAIN));
            assert!(error.to_string().contains("no room for a process"), "{error}");
            assert_eq!(open_descriptors(), before);
        },
    );
}

#[test]
fn a_long_path_in_an_error_comes_back_cut_but_whole_in_itself() {
    let long = format!("/{}", "x/".repeat(3000));
    let (error, _) = failure(&launch(&[&long]));
    assert_eq!(error.errno.0, libc::ENAMETOOLONG);
    assert!(long.as_bytes().starts_with(error.path.as_bytes()) && error.path.len() > 4000);
}

#[test]
fn candidates_are_those_of_execvp() {
    let texts = |program: &str, path: Option<&str>| {
        let found = candidates(OsStr::new(program), path.map(OsStr::new));
        found.into_iter().map(|path| path.into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(texts("sh", Some("/a::/b")), ["/a/sh", "sh", "/b/sh"]);
    assert_eq!(texts("./sh", Some("/a")), ["./sh"]);
    assert_eq!(texts("sh", None), ["/usr/local/bin/sh", "/bin/sh", "/usr/bin/sh"]);
    assert_eq!(texts("", Some("/a")), [""]);
    assert!(texts("a\0b", Some("/a")).is_empty());
}
