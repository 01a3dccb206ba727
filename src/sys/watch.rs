//! Tells when the content of watched paths may have changed, and whether it has.
//!
//! What a path means changes by more than a write to the file: Kubernetes renames a new `..data` symlink over the old one, a
//! release is a `current` symlink that is swapped, an editor renames a new file into place. So every directory on the way
//! to a path, along all symlinks, is watched for the name that is looked up in it, and what the path leads to as a whole.
//! Bursts are not damped here, and events are hints only: compare fingerprints.

pub(crate) mod fingerprint;

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use super::Errno;

/// A chain of more symlinks than the kernel follows (`path_resolution(7)`) is a loop.
const LINKS: usize = 40;
/// A watched tree costs one watch a directory, and a user has 8192 of them on an old kernel.
const DIRECTORIES: usize = 1024;

/// What may give a name another meaning.
const NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::MASK_ADD);

/// A set of watched paths.
#[derive(Debug)]
pub(crate) struct Watcher {
    fd: OwnedFd,
    paths: Vec<PathBuf>,
    /// By watch descriptor: which paths want to know of which names in that directory.
    wanted: HashMap<i32, Vec<Want>>,
}

/// One path's interest in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Want {
    /// Index of the path.
    path: usize,
    /// The name that matters; every one if there is none.
    name: Option<OsString>,
}

impl Want {
    fn is_met_by(&self, name: Option<&OsStr>) -> bool {
        match (&self.name, name) {
            (Some(wanted), Some(name)) => wanted == name,
            _ => true,
        }
    }
}

impl Watcher {
    /// Watches nothing yet.
    pub(crate) fn new() -> Result<Self, Errno> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { fd, paths: Vec::new(), wanted: HashMap::new() })
    }

    /// Watches a file, a directory tree, or a name that is still to come. Its directory must exist.
    pub(crate) fn add(&mut self, path: &Path) -> Result<(), Errno> {
        let index = self.paths.len();
        self.paths.push(path.to_owned());
        let armed = self.arm(index);
        if armed.is_err() {
            self.paths.truncate(index);
            self.forget(index);
            self.sweep();
        }
        armed
    }

    /// Takes all that has happened: the paths given to `add` that may differ now.
    pub(crate) fn drain(&mut self) -> Vec<PathBuf> {
        let mut touched = vec![false; self.paths.len()];
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut reader = Reader::new(&self.fd, &mut buffer);
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                touched.fill(true);
            }
            let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
            let wanted = self.wanted.get(&event.wd()).into_iter().flatten();
            for want in wanted.filter(|want| want.is_met_by(name)) {
                touched.get_mut(want.path).into_iter().for_each(|touched| *touched = true);
            }
            if event.events().contains(ReadFlags::IGNORED) {
                self.wanted.remove(&event.wd());
            }
        }
        let touched = touched.into_iter().enumerate().filter(|(_, touched)| *touched);
        touched.filter_map(|(index, _)| self.arm_again(index)).collect()
    }

    /// Symlinks may lead elsewhere now, and directories may be new.
    fn arm_again(&mut self, index: usize) -> Option<PathBuf> {
        self.forget(index);
        // What has gone is noticed when it comes back: the directories above it are watched for its name.
        let _ = self.arm(index);
        self.sweep();
        self.paths.get(index).cloned()
    }

    /// Drops one path's interests; the watches stay, since most of them are wanted again at once.
    fn forget(&mut self, index: usize) {
        self.wanted.values_mut().for_each(|wants| wants.retain(|want| want.path != index));
    }

    /// Ends the watches that nobody wants.
    fn sweep(&mut self) {
        self.wanted.retain(|&watch, wants| {
            if wants.is_empty() {
                // The kernel has ended it already if the file is gone.
                let _ = inotify::remove_watch(&self.fd, watch);
            }
            !wants.is_empty()
        });
    }

    fn arm(&mut self, index: usize) -> Result<(), Errno> {
        let Some(path) = self.paths.get(index).cloned() else { return Ok(()) };
        let mut last = Ok(());
        for (directory, name) in steps(&path) {
            last = self.watch(&directory, NAMES, Want { path: index, name: Some(name) });
        }
        last?;
        match self.watch_tree(&path, index, &mut 0) {
            // A name still to come is watched for by its directory.
            Err(Errno(libc::ENOENT)) => Ok(()),
            result => result,
        }
    }

    /// Watches a file, or a directory and those below it.
    fn watch_tree(&mut self, path: &Path, index: usize, count: &mut usize) -> Result<(), Errno> {
        self.watch(path, NAMES | WatchFlags::CLOSE_WRITE, Want { path: index, name: None })?;
        *count = count.saturating_add(1);
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            if *count >= DIRECTORIES {
                break;
            }
            // It may be gone again.
            let _ = self.watch_tree(&entry.path(), index, count);
        }
        Ok(())
    }

    fn watch(&mut self, path: &Path, flags: WatchFlags, want: Want) -> Result<(), Errno> {
        let watch = inotify::add_watch(&self.fd, path, flags)?;
        let wants = self.wanted.entry(watch).or_default();
        if !wants.contains(&want) {
            wants.push(want);
        }
        Ok(())
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The directories that are looked into on the way to a path, each with the name that is looked up in it.
fn steps(path: &Path) -> Vec<(PathBuf, OsString)> {
    let mut steps = Vec::new();
    let mut links = 0usize;
    let mut at = PathBuf::from(".");
    let mut rest = parts(path);
    while let Some(part) = rest.pop() {
        let next = at.join(&part);
        if Path::new(&part).file_name().is_some() {
            steps.push((at.clone(), part));
        }
        match std::fs::read_link(&next) {
            Ok(target) if links < LINKS => {
                links = links.saturating_add(1);
                rest.extend(parts(&target));
            }
            _ => at = next,
        }
    }
    steps
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.rev().map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests;
