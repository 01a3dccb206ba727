//! Every way in which the content of a path changes in the field.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use super::{fingerprint::fingerprint, *};

/// A directory of its own for a test, removed afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("watch-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A symlink swapped as ln -sfn and the kubelet do it: by renaming a new one over the old one.
    fn swap(&self, link: &str, target: &str) {
        let new = self.0.join("..new");
        symlink(target, &new).unwrap();
        fs::rename(new, self.0.join(link)).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn watch(path: &Path) -> Watcher {
    let mut watcher = Watcher::new().unwrap();
    watcher.add(path).unwrap();
    watcher
}

/// Whether something has happened; inotify tells at once, so nobody waits.
fn is_touched(watcher: &mut Watcher) -> bool {
    !watcher.drain().is_empty()
}

#[test]
fn a_file_written_in_place_or_renamed_into_place_is_seen_again_and_again() {
    let scratch = Scratch::new("file");
    let path = scratch.write("conf", "one");
    let mut watcher = watch(&path);
    assert!(!is_touched(&mut watcher));
    for round in 0..3 {
        scratch.write("conf", &format!("written {round}"));
        assert_eq!(watcher.drain(), [path.as_path()]);
        fs::rename(scratch.write("conf.new", "renamed"), &path).unwrap();
        assert!(is_touched(&mut watcher));
        fs::remove_file(&path).unwrap();
        assert!(is_touched(&mut watcher));
    }
}

#[test]
fn a_neighbour_is_not_our_business() {
    let scratch = Scratch::new("neighbour");
    let mut watcher = watch(&scratch.write("conf", "one"));
    scratch.write("other", "two");
    scratch.write("sub/conf", "three");
    assert!(!is_touched(&mut watcher));
}

#[test]
fn the_kubelets_swap_of_a_mounted_configmap_is_seen_by_a_file_and_by_its_directory() {
    let scratch = Scratch::new("kubernetes");
    scratch.write("mount/..1/key", "one");
    scratch.write("mount/..2/key", "two");
    scratch.write("mount/..3/key", "two");
    scratch.swap("mount/..data", "..1");
    symlink("..data/key", scratch.0.join("mount/key")).unwrap();
    for path in [scratch.0.join("mount/key"), scratch.0.join("mount")] {
        scratch.swap("mount/..data", "..1");
        let mut watcher = watch(&path);
        let first = fingerprint(&path);
        scratch.swap("mount/..data", "..2");
        assert!(is_touched(&mut watcher));
        let second = fingerprint(&path);
        assert_ne!(first, second);
        scratch.swap("mount/..data", "..3");
        assert!(is_touched(&mut watcher), "the watch has moved on with the symlink");
        assert_eq!(fingerprint(&path), second, "another version with the same content");
    }
}

#[test]
fn a_symlink_on_the_way_that_is_swapped_is_seen() {
    let scratch = Scratch::new("current");
    scratch.write("releases/1/etc/conf", "one");
    scratch.write("releases/2/etc/conf", "two");
    scratch.swap("current", &scratch.0.join("releases/1").display().to_string());
    let path = scratch.0.join("current/etc/conf");
    let mut watcher = watch(&path);
    let first = fingerprint(&path);
    scratch.swap("current", "releases/2");
    assert!(is_touched(&mut watcher));
    assert_ne!(fingerprint(&path), first);
    scratch.write("releases/1/etc/conf", "three");
    assert!(!is_touched(&mut watcher), "the old release is not watched any more");
    scratch.write("releases/2/etc/conf", "four");
    assert!(is_touched(&mut watcher));
}

#[test]
fn a_directory_is_watched_with_all_below_it_and_what_is_added_later() {
    let scratch = Scratch::new("tree");
    scratch.write("tree/a/b/c", "one");
    let mut watcher = watch(&scratch.0.join("tree"));
    scratch.write("tree/a/b/c", "two");
    assert!(is_touched(&mut watcher));
    scratch.write("tree/new/file", "three");
    assert!(is_touched(&mut watcher));
    scratch.write("tree/new/file", "four");
    assert!(is_touched(&mut watcher));
}

#[test]
fn what_vanishes_with_its_directory_is_seen_when_it_comes_back() {
    let scratch = Scratch::new("vanish");
    let path = scratch.write("a/b/conf", "one");
    let mut watcher = watch(&path);
    fs::remove_dir_all(scratch.0.join("a")).unwrap();
    assert!(is_touched(&mut watcher));
    let gone = fingerprint(&path);
    fs::create_dir(scratch.0.join("a")).unwrap();
    assert!(is_touched(&mut watcher));
    scratch.write("a/b/conf", "one");
    assert!(is_touched(&mut watcher));
    assert_ne!(fingerprint(&path), gone);
}

#[test]
fn a_name_still_to_come_may_be_watched_but_not_a_directory_still_to_come() {
    let scratch = Scratch::new("tocome");
    let path = scratch.0.join("conf");
    let mut watcher = watch(&path);
    assert_eq!(watcher.add(&scratch.0.join("no/conf")), Err(Errno(libc::ENOENT)));
    scratch.write("conf", "one");
    assert_eq!(watcher.drain(), [path]);
}

#[test]
fn a_loop_of_symlinks_ends() {
    let scratch = Scratch::new("loop");
    symlink("b", scratch.0.join("a")).unwrap();
    symlink("a", scratch.0.join("b")).unwrap();
    let path = scratch.0.join("a");
    assert_eq!(Watcher::new().unwrap().add(&path), Err(Errno(libc::ELOOP)));
    symlink(".", scratch.0.join("self")).unwrap();
    assert_eq!(fingerprint(&scratch.0), fingerprint(&scratch.0));
}

#[test]
fn a_touch_or_another_mode_is_no_other_content() {
    let scratch = Scratch::new("touch");
    let path = scratch.write("conf", "one");
    let before = fingerprint(&path);
    scratch.write("conf", "one");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(fingerprint(&path), before);
    scratch.write("conf", "two");
    assert_ne!(fingerprint(&path), before);
}

#[test]
fn names_and_places_of_files_are_content_of_their_directory() {
    let scratch = Scratch::new("names");
    scratch.write("a/x", "1");
    scratch.write("b/y", "2");
    let one = fingerprint(&scratch.0);
    fs::rename(scratch.0.join("a/x"), scratch.0.join("b/x")).unwrap();
    let two = fingerprint(&scratch.0);
    fs::rename(scratch.0.join("b/x"), scratch.0.join("b/z")).unwrap();
    assert!(one != two && two != fingerprint(&scratch.0));
}

#[test]
fn a_pipe_in_a_watched_directory_keeps_nobody_waiting() {
    let scratch = Scratch::new("pipe");
    let pipe = scratch.0.join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    assert_eq!(fingerprint(&scratch.0), fingerprint(&scratch.0));
    assert_eq!(fingerprint(&pipe), fingerprint(&pipe));
}
