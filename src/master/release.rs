//! A generation's snapshot: its directory, held open, and its environment, held in memory.
//!
//! Without it "back to the last good release" would start whatever `current` points to by then.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use cap_std::{ambient_authority, fs::Dir};

use crate::sys::{ask, host};

/// The longest value that `ENV_DIR` may hold: Linux takes no more in one string of an environment
/// (`MAX_ARG_STRLEN`, 32 pages).
const LONGEST_VALUE: u64 = 128 * 1024;
/// How often we look again when Kubernetes swaps the mounted directory under us.
const LOOKS: u32 = 5;

/// Variables, sorted by name.
pub(crate) type Environment = BTreeMap<OsString, OsString>;

/// Where releases come from; the same for the master's whole life.
#[derive(Debug)]
pub(crate) struct Sources {
    /// The workers' directory; the master's own without one.
    pub(crate) chdir: Option<PathBuf>,
    /// A directory whose files are variables.
    pub(crate) env_dir: Option<PathBuf>,
    /// What the container says, without what is for the master only.
    pub(crate) container: Environment,
    /// What the operator says for the workers only.
    pub(crate) worker: Vec<(OsString, OsString)>,
}

/// What a generation is started from.
#[derive(Debug)]
pub(crate) struct Release {
    /// The workers' directory.
    pub(crate) directory: Dir,
    /// Where that was, for the log.
    pub(crate) path: PathBuf,
    /// The workers' environment, but for what each worker gets of its own.
    pub(crate) environment: Environment,
}

/// Why there is no snapshot.
#[derive(Debug)]
pub(crate) enum ReleaseError {
    /// The workers' directory can't be opened.
    Directory(PathBuf, io::Error),
    /// The directory of variables, or a file of it, can't be read.
    Variables(PathBuf, io::Error),
    /// What this setting names does not answer.
    Silent(&'static str, PathBuf),
    /// A file of it holds what no variable can hold.
    Value(PathBuf, &'static str),
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path, error) => {
                write!(f, "workers' directory {}: {error}", path.display())
            }
            Self::Variables(path, error) => write!(f, "ENV_DIR: {}: {error}", path.display()),
            Self::Silent(setting, path) => {
                let (path, seconds) = (path.display(), ask::FILES_PATIENCE.as_secs());
                write!(f, "{setting}: {path}: no answer in {seconds} s: is its file server gone?")
            }
            Self::Value(path, problem) => write!(f, "ENV_DIR: {}: {problem}", path.display()),
        }
    }
}

impl Sources {
    /// Takes the snapshot of now, unless the files do not answer: a child tries that first.
    pub(crate) fn snapshot_in_time(&self) -> Result<Release, ReleaseError> {
        if let Some(path) = &self.chdir {
            try_out("CHDIR", path, || drop(open(path)))?;
        }
        if let Some(path) = &self.env_dir {
            try_out("ENV_DIR", path, || drop(read_variables(path)))?;
        }
        self.snapshot()
    }

    /// Takes the snapshot of now.
    pub(crate) fn snapshot(&self) -> Result<Release, ReleaseError> {
        let path = self.chdir.clone().unwrap_or_else(|| PathBuf::from("."));
        let directory =
            open(&path).map_err(|error| ReleaseError::Directory(path.clone(), error))?;
        // Of what is open: by its path another release could be found by now.
        let resolved =
            host::path_of(&directory).or_else(|| std::fs::canonicalize(&path).ok()).unwrap_or(path);
        let mut environment = self.container.clone();
        if self.chdir.is_some() {
            environment.insert("PWD".into(), resolved.clone().into());
        }
        if let Some(from) = &self.env_dir {
            environment.extend(read_variables(from)?);
        }
        environment.extend(self.worker.iter().cloned());
        Ok(Release { directory, path: resolved, environment })
    }
}

fn try_out(setting: &'static str, path: &Path, look: impl Fn()) -> Result<(), ReleaseError> {
    let tried = ask::files(|| {
        look();
        Vec::new()
    });
    tried.map(drop).map_err(|ask::Late| ReleaseError::Silent(setting, path.to_owned()))
}

fn open(path: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(path, ambient_authority())
}

/// Reads a directory of variables, all from one side of a swap of Kubernetes' `..data` link.
fn read_variables(from: &Path) -> Result<Environment, ReleaseError> {
    let unreadable = |error| ReleaseError::Variables(from.to_owned(), error);
    let mut looks = 1;
    loop {
        let directory = open(from).map_err(unreadable)?;
        let before = directory.read_link("..data").ok();
        let read = read_once(&directory, from);
        let is_torn = directory.read_link("..data").ok() != before;
        if !is_torn || looks == LOOKS {
            return read;
        }
        looks = looks.saturating_add(1);
    }
}

fn read_once(directory: &Dir, from: &Path) -> Result<Environment, ReleaseError> {
    let unreadable = |error| ReleaseError::Variables(from.to_owned(), error);
    let mut variables = Environment::new();
    for entry in directory.entries().map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if is_hidden(&name) {
            continue;
        }
        let told = |error| ReleaseError::Variables(from.join(&name), error);
        // Opening a pipe would keep us waiting.
        if !directory.metadata(&name).map_err(told)?.is_file() {
            continue;
        }
        let file = directory.open(&name).map_err(told)?;
        let mut text = Vec::new();
        file.take(LONGEST_VALUE.saturating_add(1)).read_to_end(&mut text).map_err(told)?;
        let value = value(text).map_err(|why| ReleaseError::Value(from.join(&name), why))?;
        variables.insert(name, value);
    }
    Ok(variables)
}

/// Kubernetes keeps its own books in names that begin with a dot.
fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().first() == Some(&b'.') || name.as_bytes().contains(&b'=')
}

/// A file's text without the line feed that editors put at its end.
fn value(mut text: Vec<u8>) -> Result<OsString, &'static str> {
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LONGEST_VALUE {
        return Err("longer than a variable may be (128 KiB)");
    }
    if text.contains(&0) {
        return Err("holds a zero byte, which no variable can");
    }
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    Ok(OsStr::from_bytes(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("dm-release-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn sources(chdir: &Path, env_dir: Option<&Path>) -> Sources {
        Sources {
            chdir: Some(chdir.to_owned()),
            env_dir: env_dir.map(Path::to_owned),
            container: [("A".into(), "container".into()), ("B".into(), "container".into())].into(),
            worker: vec![("B".into(), "worker".into())],
        }
    }

    #[test]
    fn a_snapshot_stays_in_its_directory_when_the_link_moves_on() {
        let base = folder("link");
        for release in ["v1", "v2"] {
            fs::create_dir(base.join(release)).unwrap();
            fs::write(base.join(release).join("name"), release).unwrap();
        }
        let current = base.join("current");
        std::os::unix::fs::symlink("v1", &current).unwrap();
        let first = sources(&current, None).snapshot().unwrap();
        fs::remove_file(&current).unwrap();
        std::os::unix::fs::symlink("v2", &current).unwrap();
        let second = sources(&current, None).snapshot().unwrap();
        assert_eq!(first.directory.read_to_string("name").unwrap(), "v1");
        assert_eq!(second.directory.read_to_string("name").unwrap(), "v2");
        assert!(second.path.ends_with("v2"));
    }

    #[test]
    fn files_are_variables_and_the_operator_has_the_last_word() {
        let base = folder("env");
        for (name, text) in
            [("A", "file\n"), ("B", "file"), ("C", "two\nlines\n"), (".hidden", "x")]
        {
            fs::write(base.join(name), text).unwrap();
        }
        fs::create_dir(base.join("folder")).unwrap();
        let of = sources(&base, Some(&base)).snapshot().unwrap().environment;
        let get = |name: &str| of.get(OsStr::new(name)).and_then(|value| value.to_str());
        assert_eq!(
            (get("A"), get("B"), get("C")),
            (Some("file"), Some("worker"), Some("two\nlines"))
        );
        assert_eq!((get(".hidden"), get("folder")), (None, None));
    }

    #[test]
    fn a_mounted_configmap_is_read_through_its_links() {
        let base = folder("configmap");
        fs::create_dir(base.join("..2026")).unwrap();
        fs::write(base.join("..2026/KEY"), "value").unwrap();
        std::os::unix::fs::symlink("..2026", base.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/KEY", base.join("KEY")).unwrap();
        let of = sources(&base, Some(&base)).snapshot().unwrap().environment;
        assert_eq!(of.get(OsStr::new("KEY")), Some(&"value".into()));
    }

    #[test]
    fn a_pipe_in_the_directory_of_variables_keeps_nobody_waiting() {
        let base = folder("fifo");
        fs::write(base.join("A"), "file").unwrap();
        let made = std::process::Command::new("mkfifo").arg(base.join("PIPE")).status().unwrap();
        assert!(made.success());
        let of = sources(&base, Some(&base)).snapshot().unwrap().environment;
        assert_eq!(
            (of.get(OsStr::new("A")), of.get(OsStr::new("PIPE"))),
            (Some(&"file".into()), None)
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let base = folder("bad");
        fs::write(base.join("ZERO"), "a\0b").unwrap();
        let told = sources(&base, Some(&base)).snapshot().unwrap_err().to_string();
        assert!(told.contains("ZERO") && told.contains("zero byte"), "{told}");
        let gone = base.join("gone");
        let told = sources(&gone, None).snapshot().unwrap_err().to_string();
        assert!(told.contains("gone") && told.contains("directory"), "{told}");
    }
}
