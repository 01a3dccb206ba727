//! A number for what a path holds, so that a change of content is told from a mere touch.

use std::{
    ffi::OsStr,
    fs::{self, Metadata, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::Read,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use crate::sys::ask::{self, Late};

/// No more entries of a tree are looked at.
const ENTRIES: usize = 10_000;
/// No more bytes are read in all; beyond, a file's size and time of change stand for its content.
const BYTES: u64 = 64 << 20;
/// Deeper is a loop of symlinks, or not a tree to watch.
const DEPTH: usize = 32;

/// What a path holds, in one number: equal while the content is, within the life of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

/// The fingerprint of a file or of a directory tree, symlinks followed; a path that does not exist has one, too.
///
/// Names that begin with two dots are left out: there Kubernetes keeps its versions of a mounted volume, and their names
/// change though the content does not.
pub(crate) fn fingerprint(path: &Path) -> Fingerprint {
    let mut reading = Reading { hasher: DefaultHasher::new(), entries: ENTRIES, bytes: BYTES };
    reading.take(path, DEPTH);
    Fingerprint(reading.hasher.finish())
}

/// The same, of a path that may lie on a file server that is gone.
///
/// # Errors
///
/// There was no answer in time.
pub(crate) fn fingerprint_in_time(path: &Path) -> Result<Fingerprint, Late> {
    let answer = ask::files(|| fingerprint(path).0.to_ne_bytes().to_vec())?;
    Ok(Fingerprint(u64::from_ne_bytes(answer.try_into().map_err(|_| Late)?)))
}

/// A fingerprint in the making, and what it may still cost.
struct Reading {
    hasher: DefaultHasher,
    entries: usize,
    bytes: u64,
}

impl Reading {
    fn take(&mut self, path: &Path, depth: usize) {
        let Ok(found) = fs::metadata(path) else { return self.note("nothing") };
        if found.is_dir() {
            self.take_directory(path, depth);
        } else if found.is_file() {
            self.take_file(path, &found);
        } else {
            // A pipe would keep us waiting; a device has no end.
            self.note("special");
        }
    }

    fn take_directory(&mut self, path: &Path, depth: usize) {
        self.note("directory");
        let Some(depth) = depth.checked_sub(1) else { return };
        for entry in self.listing(path) {
            entry.file_name().unwrap_or_default().hash(&mut self.hasher);
            self.take(&entry, depth);
        }
        self.note("end");
    }

    fn listing(&mut self, path: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let counts = |name: &OsStr| !name.as_bytes().starts_with(b"..");
        let entries = entries.filter(|entry| counts(&entry.file_name()));
        let mut listing: Vec<PathBuf> =
            entries.map(|entry| entry.path()).take(self.entries).collect();
        self.entries = self.entries.saturating_sub(listing.len());
        listing.sort_unstable();
        listing
    }

    fn take_file(&mut self, path: &Path, found: &Metadata) {
        self.note("file");
        found.len().hash(&mut self.hasher);
        let mut bytes = Vec::new();
        // A pipe may have taken the file's place meanwhile.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        let read = file.and_then(|file| file.take(self.bytes).read_to_end(&mut bytes));
        self.bytes = self.bytes.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        bytes.hash(&mut self.hasher);
        if self.bytes == 0 || read.is_err() {
            (found.ino(), found.mtime(), found.mtime_nsec()).hash(&mut self.hasher);
        }
    }

    fn note(&mut self, kind: &str) {
        kind.hash(&mut self.hasher);
    }
}
