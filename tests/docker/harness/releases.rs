//! A directory of releases on the machine, with a `current` link that is swapped as deployment
//! tools do it.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Releases, each of them a directory that holds the worker's knobs; gone with the test.
pub(crate) struct Releases(PathBuf);

impl Releases {
    /// An empty directory.
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("dm-releases-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        Self(path)
    }

    /// The directory.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }

    /// The option of `docker run` that shows the directory as `/srv`.
    pub(crate) fn volume(&self) -> String {
        format!("--volume {}:/srv", self.0.display())
    }

    /// Writes the release `name` whose workers have these knobs, and makes it the current one.
    pub(crate) fn deploy(&self, name: &str, knobs: &str) {
        self.write(&format!("{name}/mode"), &format!("version={name} {knobs}"));
        self.link(name);
    }

    /// Points `current` elsewhere in one step.
    pub(crate) fn link(&self, name: &str) {
        let next = self.0.join("next");
        symlink(name, &next).unwrap();
        fs::rename(next, self.0.join("current")).unwrap();
    }

    /// Writes a file below the directory.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Removes a release.
    pub(crate) fn remove(&self, name: &str) {
        fs::remove_dir_all(self.0.join(name)).unwrap();
    }
}

impl Drop for Releases {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
