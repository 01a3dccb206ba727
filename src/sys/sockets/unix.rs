//! Unix listeners in the file system.
//!
//! A socket file outlives its socket, so a former master's file is in the way of the next one. It is replaced only if
//! nobody answers on it, and nothing else but a socket is ever removed. Until owner and mode are right, nobody but root can
//! connect: the file is born with mode 0, not opened up and then closed down.

use std::{
    ffi::{OsStr, OsString},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid},
    io::Errno as Code,
    net::{self, AddressFamily, SocketAddrUnix, SocketType},
};

use super::{Fault, Options, backlog, socket};

/// `sun_path` without its closing zero, which some programs that read the name insist on.
const LONGEST: usize = 107;

/// A listener's file, by a handle of its directory: where the path leads may change meanwhile.
#[derive(Debug)]
pub(crate) struct SocketFile {
    directory: OwnedFd,
    name: OsString,
}

impl SocketFile {
    /// What is, or will be, at a path.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let directory = open_directory(path.parent()?).ok()?;
        Some(Self { directory, name: path.file_name()?.to_owned() })
    }

    /// Removes it if it is a socket; nothing else that somebody may have put there.
    pub(crate) fn remove(&self) {
        let found = rustix::fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        if found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Socket) {
            remove(&self.directory, &self.name);
        }
    }
}

/// Opens a listener at a path.
pub(super) fn listen(path: &Path, options: &Options) -> Result<OwnedFd, Fault> {
    let name = path.file_name().ok_or(Fault::NoName)?;
    let directory = open_directory(path.parent().unwrap_or(Path::new("/")))?;
    let at = address(path, name, &directory)?;
    make_way(&directory, name, &at)?;
    let fd = socket(AddressFamily::UNIX, SocketType::STREAM).map_err(other)?;
    let must_adjust = options.mode.is_some() || options.uid.is_some() || options.gid.is_some();
    if must_adjust {
        // The file gets the mode of the socket's own inode, less the umask (unix_bind_bsd).
        rustix::fs::fchmod(&fd, Mode::empty()).map_err(owner)?;
    }
    net::bind(&fd, &at).map_err(fault)?;
    if must_adjust {
        adjust(&directory, name, options).inspect_err(|_| remove(&directory, name))?;
    }
    net::listen(&fd, backlog(options)).map_err(other)?;
    Ok(fd)
}

fn open_directory(path: &Path) -> Result<OwnedFd, Fault> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(fault)
}

/// The path as a socket address; a path too long for one goes through a handle of its directory.
fn address(path: &Path, name: &OsStr, directory: &OwnedFd) -> Result<SocketAddrUnix, Fault> {
    if path.as_os_str().len() <= LONGEST {
        return SocketAddrUnix::new(path).map_err(other);
    }
    let mut short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    short.push(name);
    if short.as_os_str().len() > LONGEST {
        return Err(Fault::TooLong);
    }
    SocketAddrUnix::new(short.as_os_str().as_bytes()).map_err(other)
}

/// Removes a stale socket file.
fn make_way(directory: &OwnedFd, name: &OsStr, at: &SocketAddrUnix) -> Result<(), Fault> {
    let found = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Code::NOENT) => return Ok(()),
        found => found.map_err(fault)?,
    };
    if FileType::from_raw_mode(found.st_mode) != FileType::Socket {
        return Err(Fault::NotASocket);
    }
    let probe = socket(AddressFamily::UNIX, SocketType::STREAM).map_err(other)?;
    match net::connect(probe, at) {
        Err(Code::CONNREFUSED) => {
            rustix::fs::unlinkat(directory, name, AtFlags::empty()).map_err(fault)
        }
        Err(Code::NOENT) => Ok(()),
        // EAGAIN: its queue is full. EPROTOTYPE: it is of another type. Somebody is there.
        Ok(()) | Err(Code::AGAIN | Code::PROTOTYPE) => Err(Fault::InUse),
        Err(code) => Err(fault(code)),
    }
}

/// Owner first: the mode then opens the file to the right group.
fn adjust(directory: &OwnedFd, name: &OsStr, options: &Options) -> Result<(), Fault> {
    let (uid, gid) = (options.uid.map(Uid::from_raw), options.gid.map(Gid::from_raw));
    rustix::fs::chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(owner)?;
    let mode = options.mode.map_or(DEFAULT_MODE, Mode::from_raw_mode);
    rustix::fs::chmodat(directory, name, mode, AtFlags::empty()).map_err(owner)
}

/// For a file with an owner and no mode set: what the usual umask of 022 leaves.
const DEFAULT_MODE: Mode = Mode::from_raw_mode(0o755);

fn remove(directory: &OwnedFd, name: &OsStr) {
    // The error that led here is the one to report.
    let _ = rustix::fs::unlinkat(directory.as_fd(), name, AtFlags::empty());
}

fn fault(code: Code) -> Fault {
    match code {
        Code::ADDRINUSE => Fault::InUse,
        Code::NOENT | Code::NOTDIR => Fault::NoDirectory,
        Code::ACCESS | Code::PERM => Fault::Denied,
        other => Fault::Other(other.into()),
    }
}

fn other(code: Code) -> Fault {
    Fault::Other(code.into())
}

fn owner(code: Code) -> Fault {
    Fault::Owner(code.into())
}
