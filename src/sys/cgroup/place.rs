//! Where our cgroups are in the file system.

use std::{
    ffi::OsString,
    io::Read,
    os::unix::ffi::OsStringExt,
    path::{Component, Path, PathBuf},
};

use cap_std::fs::Dir;

/// A host with thousands of mounts still has a mountinfo shorter than this.
const LONGEST: u64 = 8 << 20;

/// Which of the kernel's two kinds of cgroups a hierarchy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// One hierarchy for each controller.
    One,
    /// One hierarchy for all.
    Two,
}

/// Our place in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// How its files are named.
    pub(super) version: Version,
    /// Where it is mounted, relative to `/`.
    pub(super) mount: PathBuf,
    /// Our cgroup, relative to the mount.
    pub(super) below: PathBuf,
}

/// Our place in each hierarchy that may hold limits; on a hybrid system that is one for version 2 and several for version 1.
pub(super) fn places(root: &Dir) -> Vec<Place> {
    let mounts = text(root, "proc/self/mountinfo");
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::of_line).collect();
    let ours = text(root, "proc/self/cgroup");
    ours.lines().filter_map(|line| place(line, &mounts)).collect()
}

/// A line of `/proc/self/cgroup`: `4:cpu,cpuacct:/docker/ab12`, or for version 2 `0::/user.slice`.
fn place(line: &str, mounts: &[Mount]) -> Option<Place> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, Path::new(fields.next()?));
    let version = if controllers.is_empty() { Version::Two } else { Version::One };
    let holds = |mount: &&Mount| {
        mount.version == version
            && (version == Version::Two || controllers.split(',').any(|name| mount.has(name)))
    };
    let candidates = || mounts.iter().filter(holds);
    // A hierarchy may be mounted several times: the mount whose root is above us shows the most.
    let mount = candidates().find(|mount| path.starts_with(&mount.root)).or(candidates().next())?;
    Some(Place {
        version,
        mount: mount.at.strip_prefix("/").unwrap_or(&mount.at).into(),
        below: plain(path.strip_prefix(&mount.root).unwrap_or(Path::new(""))),
    })
}

/// Without a leading `/`; a path with `..`, which a cgroup namespace shows for places outside of it, is the mount itself.
fn plain(path: &Path) -> PathBuf {
    if path.components().any(|part| part == Component::ParentDir) {
        return PathBuf::new();
    }
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// A mounted hierarchy.
struct Mount {
    version: Version,
    /// Which part of the hierarchy is mounted.
    root: PathBuf,
    at: PathBuf,
    options: Vec<String>,
}

impl Mount {
    /// A line of `mountinfo`, where it is a cgroup's.
    fn of_line(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, at) = (unescape(left.next()?), unescape(left.next()?));
        let mut right = right.split(' ');
        let version = match right.next()? {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => return None,
        };
        let options = right.nth(1).unwrap_or_default().split(',').map(String::from).collect();
        Some(Self { version, root, at, options })
    }

    fn has(&self, controller: &str) -> bool {
        self.options.iter().any(|option| option == controller)
    }
}

/// mountinfo writes spaces, tabs, line ends and backslashes as `\040`.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| byte == b'\\');
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = code.and_then(|code| u8::from_str_radix(code, 8).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    OsString::from_vec(bytes).into()
}

fn text(root: &Dir, path: &str) -> String {
    let mut bytes = Vec::new();
    let _ = root.open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
