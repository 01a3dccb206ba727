//! The file that Node loads before a worker's program, so that keep-alive clients hear of a drain.
//!
//! It lies in the master's own directory: a user's image needs no file for it.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

const TEXT: &str = include_str!("preload.js");

/// The file, gone with this.
#[derive(Debug)]
pub(crate) struct Preload {
    path: PathBuf,
}

impl Preload {
    /// Writes it into a directory of ours.
    pub(crate) fn write(directory: &Path) -> io::Result<Self> {
        let path = directory.join(format!("node-keepalive-{}.js", std::process::id()));
        // A master that was killed may have left its own.
        let _ = fs::remove_file(&path);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
        // Whatever our umask is, workers of another user must be able to read it.
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.write_all(TEXT.as_bytes())?;
        Ok(Self { path })
    }

    /// `NODE_OPTIONS` with it, behind what the program has there already.
    pub(crate) fn options(&self, already: Option<&OsStr>) -> OsString {
        let mut options = already.unwrap_or_default().to_owned();
        if !options.is_empty() {
            options.push(" ");
        }
        options.push("--require ");
        options.push(&self.path);
        options
    }
}

impl Drop for Preload {
    fn drop(&mut self) {
        // The directory goes only when it is empty, and nobody needs either any more.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_behind_the_options_that_are_there_and_goes_with_its_owner() {
        let preload = Preload::write(&std::env::temp_dir()).unwrap();
        let path = preload.path.clone();
        let own = format!("--require {}", path.display());
        assert_eq!(preload.options(None), OsString::from(&own));
        let both = format!("--max-old-space-size=64 {own}");
        assert_eq!(preload.options(Some("--max-old-space-size=64".as_ref())), OsString::from(both));
        assert_eq!(fs::read_to_string(&path).unwrap(), TEXT);
        drop(preload);
        assert!(!path.exists());
    }
}
