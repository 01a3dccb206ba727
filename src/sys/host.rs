//! Small facts about where we run, and the directory that is ours while we do.

use std::{
    ffi::{CStr, OsString},
    fmt,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{Access, AtFlags, Mode, OFlags},
    io::Errno as Raw,
};

use super::{Errno, Pid};

/// The host's name; `localhost` where it is not text.
pub(crate) fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_str()
        .map_or_else(|_| "localhost".to_owned(), str::to_owned)
}

/// Whether we are the init of our pid namespace.
pub(crate) fn is_pid_1() -> bool {
    std::process::id() == 1
}

/// One variable of ours, without a copy of all the others.
#[expect(clippy::disallowed_methods, reason = "an init has no configuration to be read by config")]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The user we act as.
pub(crate) fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The process group that a process belongs to; nothing when it is gone.
pub(crate) fn group_of(pid: Pid) -> Option<Pid> {
    let pid = nix::unistd::Pid::from_raw(pid.get());
    // Zero is a group outside of our pid namespace.
    nix::unistd::getpgid(Some(pid)).ok().and_then(|group| Pid::new(group.as_raw()))
}

/// Whether the other side of a pipe or socket is gone.
pub(crate) fn has_hung_up(fd: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(fd, PollFlags::empty())];
    let over = PollFlags::HUP | PollFlags::ERR;
    let asked = rustix::event::poll(&mut polled, Some(&Timespec::default()));
    asked.is_ok() && polled.iter().any(|fd| fd.revents().intersects(over))
}

/// Where an open file or directory is now; nothing where that can't be said.
pub(crate) fn path_of(fd: &impl AsFd) -> Option<PathBuf> {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let path = std::fs::read_link(link).ok()?;
    // A removed one has a name that is nobody's, or somebody else's.
    let (open, named) = (rustix::fs::fstat(fd).ok()?, rustix::fs::stat(&path).ok()?);
    ((open.st_dev, open.st_ino) == (named.st_dev, named.st_ino)).then_some(path)
}

/// Whether a program gives rights to who executes it; nothing where there is no such file.
pub(crate) fn grants_rights(program: &CStr) -> Option<bool> {
    let mode = Mode::from_raw_mode(rustix::fs::stat(program).ok()?.st_mode);
    let capabilities = rustix::fs::getxattr(program, c"security.capability", &mut [0_u8; 0]);
    Some(mode.intersects(Mode::SUID | Mode::SGID) || capabilities.is_ok())
}

/// Whether two descriptors stand for the same file, pipe or socket.
pub(crate) fn is_same_file(one: &OwnedFd, other: &OwnedFd) -> bool {
    match (rustix::fs::fstat(one), rustix::fs::fstat(other)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}

/// The number by which /proc knows an open socket.
pub(crate) fn inode(fd: impl AsFd) -> Option<u64> {
    rustix::fs::fstat(fd).ok().map(|facts| facts.st_ino)
}

/// A name that nobody can guess.
pub(crate) fn secret() -> Result<String, Errno> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// A number that differs from run to run.
pub(crate) fn seed() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(_) => u64::from_ne_bytes(bytes),
        Err(_) => std::process::id().into(),
    }
}

/// A pipe that no other program inherits, our reading end non-blocking.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK)?;
    Ok((reader, writer))
}

/// What a non-blocking pipe held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PipeRead {
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nothing now.
    Nothing,
    /// Nobody writes any more.
    End,
}

/// Takes what a non-blocking pipe holds, at most 64 KiB at once.
pub(crate) fn read_pipe(pipe: &OwnedFd) -> PipeRead {
    let mut buffer = vec![0; 65_536];
    loop {
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => return PipeRead::End,
            Ok(length) => {
                buffer.truncate(length);
                return PipeRead::Bytes(buffer);
            }
            Err(Raw::INTR) => {}
            Err(Raw::AGAIN) => return PipeRead::Nothing,
            Err(_) => return PipeRead::End,
        }
    }
}

/// A directory of ours for sockets, removed when dropped if it is empty.
#[derive(Debug)]
pub(crate) struct RuntimeDir {
    path: PathBuf,
}

/// Why no place would do.
#[derive(Debug)]
pub(crate) struct NoRuntimeDir(Vec<(PathBuf, Errno)>);

impl fmt::Display for NoRuntimeDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no writable directory for sockets:")?;
        self.0.iter().try_for_each(|(path, error)| write!(f, " {} ({error})", path.display()))
    }
}

impl RuntimeDir {
    /// Makes the first of these directories that can be made. Workers of another user may pass
    /// through but not look around.
    pub(crate) fn make(places: &[PathBuf]) -> Result<Self, NoRuntimeDir> {
        let mut refused = Vec::new();
        for path in places {
            match make_private(path) {
                Ok(()) => return Ok(Self { path: path.clone() }),
                Err(error) => refused.push((path.clone(), error)),
            }
        }
        Err(NoRuntimeDir(refused))
    }

    /// Makes it again, should another master that shares it have removed it as empty.
    pub(crate) fn ensure(&self) -> Result<(), Errno> {
        make_private(&self.path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RuntimeDir {
    fn drop(&mut self) {
        // Every socket removes its own file; what others put there keeps the directory.
        let _ = std::fs::remove_dir(&self.path);
    }
}

/// Makes a directory of ours, or takes over one that a master before us left behind.
fn make_private(path: &Path) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(0o711);
    match rustix::fs::mkdir(path, mode) {
        Ok(()) => {}
        Err(Raw::EXIST) => {
            // A link, or somebody else's directory, would let them choose where our sockets are.
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = rustix::fs::open(path, flags, Mode::empty())?;
            if rustix::fs::fstat(&directory)?.st_uid != uid() {
                return Err(Raw::PERM.into());
            }
        }
        Err(error) => return Err(error.into()),
    }
    rustix::fs::chmod(path, mode)?;
    Ok(rustix::fs::accessat(rustix::fs::CWD, path, Access::WRITE_OK, AtFlags::EACCESS)?)
}

/// The number of our pid namespace: what tells masters apart that share a file system.
pub(crate) fn pid_namespace() -> u64 {
    rustix::fs::stat("/proc/self/ns/pid").map_or(0, |facts| facts.st_ino)
}

/// How a thread stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kin {
    /// They are threads of one process, so that a descriptor's number means the same to both.
    Same,
    /// It is another process's.
    Other,
    /// It has ended.
    Gone,
}

/// How the thread `other` stands to the thread `of`, which is alive.
pub(crate) fn kin(of: u32, other: u32) -> Kin {
    let is_there = |path: String| rustix::fs::stat(path).is_ok();
    if of == other || is_there(format!("/proc/{of}/task/{other}")) {
        Kin::Same
    } else if is_there(format!("/proc/{other}")) {
        Kin::Other
    } else {
        Kin::Gone
    }
}

/// The process that a thread is of.
pub(crate) fn process_of(thread: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// What tells the network namespace of a thread, or ours, from others; none where /proc does not say.
///
/// `ns/net` takes the right to trace the thread; the files below `net`, which each namespace has of
/// its own, take none.
pub(crate) fn network_of(thread: Option<u32>) -> Option<u64> {
    let name = thread.map_or("self".to_owned(), |thread| thread.to_string());
    rustix::fs::stat(format!("/proc/{name}/net/dev")).ok().map(|facts| facts.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_one_process_are_told_from_those_of_others_and_from_none() {
        let own = std::process::id();
        let here = std::thread::spawn(|| rustix::thread::gettid().as_raw_nonzero().get());
        let gone = u32::try_from(here.join().unwrap()).unwrap();
        let (told, hears) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let there = std::thread::spawn(move || {
            told.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            ends.recv().unwrap_err();
        });
        let alive = u32::try_from(hears.recv().unwrap()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        assert_eq!(kin(own, alive), Kin::Same);
        assert_eq!([own, alive, gone].map(process_of), [Some(own), Some(own), None]);
        assert_eq!(kin(alive, own), Kin::Same);
        assert_eq!(kin(own, child.id()), Kin::Other);
        assert_eq!(kin(own, gone), Kin::Gone);
        assert_eq!(network_of(Some(child.id())), network_of(None));
        drop(end);
        there.join().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn the_path_of_what_is_open_is_not_where_its_link_points_to_by_now() {
        let base = std::env::temp_dir().join(format!("dm-path-of-{}", std::process::id()));
        for release in ["v1", "v2"] {
            std::fs::create_dir_all(base.join(release)).unwrap();
        }
        let current = base.join("current");
        std::os::unix::fs::symlink("v1", &current).unwrap();
        let open = std::fs::File::open(&current).unwrap();
        std::fs::remove_file(&current).unwrap();
        std::os::unix::fs::symlink("v2", &current).unwrap();
        assert_eq!(path_of(&open), Some(base.join("v1").canonicalize().unwrap()));
        std::fs::remove_dir_all(&base).unwrap();
        assert_eq!(path_of(&open), None, "removed");
    }

    #[test]
    fn a_directory_that_another_master_removed_is_made_again() {
        let place = std::env::temp_dir().join(format!("dm-runtime-{}", std::process::id()));
        let ours = RuntimeDir::make(std::slice::from_ref(&place)).unwrap();
        drop(RuntimeDir::make(std::slice::from_ref(&place)).unwrap());
        assert!(!place.exists());
        ours.ensure().unwrap();
        assert!(place.is_dir());
    }
}
