//! Rolls when watched content changes: once it has been quiet for a moment, and only if it differs.

use std::{path::PathBuf, time::Duration};

use tracing::warn;

use super::Master;
use crate::sys::{
    Errno,
    watch::{
        Watcher,
        fingerprint::{Fingerprint, fingerprint, fingerprint_in_time},
    },
};

/// A release is many files, and a mounted `ConfigMap` is swapped in several steps.
const QUIET_FOR: Duration = Duration::from_secs(1);
/// What never rests is looked at all the same.
const AT_LATEST: Duration = Duration::from_secs(10);
/// When to look again at what did not answer.
const LATER: Duration = Duration::from_secs(30);

/// The watched paths and what they held last.
#[derive(Debug)]
pub(crate) struct Watch {
    watcher: Watcher,
    paths: Vec<(PathBuf, Fingerprint)>,
    look_at: Option<Duration>,
    /// When to look at the latest, once something has happened.
    at_latest: Option<Duration>,
}

impl Watch {
    pub(crate) fn start(paths: &[PathBuf]) -> Result<Self, (PathBuf, Errno)> {
        let fault = |path: &PathBuf, errno: Errno| (path.clone(), errno);
        let first = paths.first().cloned().unwrap_or_default();
        let mut watcher = Watcher::new().map_err(|errno| fault(&first, errno))?;
        let mut held = Vec::new();
        for path in paths {
            watcher.add(path).map_err(|errno| fault(path, errno))?;
            held.push((path.clone(), fingerprint(path)));
        }
        Ok(Self { watcher, paths: held, look_at: None, at_latest: None })
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.look_at
    }

    pub(crate) fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// The first path whose content differs from what we saw last; from now on this is what we saw.
    /// One that does not answer is looked at later.
    fn changed(&mut self, now: Duration) -> Option<PathBuf> {
        let mut changed = None;
        for (path, held) in &mut self.paths {
            let Ok(found) = fingerprint_in_time(path) else {
                let path = path.display().to_string();
                warn!(target: "roll", path, "a watched path does not answer: is its file server gone?");
                self.look_at = Some(now.saturating_add(LATER));
                continue;
            };
            if found != *held {
                *held = found;
                changed = changed.or_else(|| Some(path.clone()));
            }
        }
        changed
    }
}

impl Master {
    pub(super) fn read_watch(&mut self) {
        let (at, latest) = (self.now.saturating_add(QUIET_FOR), self.now.saturating_add(AT_LATEST));
        if let Some(watch) = &mut self.watch {
            // What changed is asked of the content, once it is quiet. What happens beside it, in the
            // directories that lead there, must not keep us from looking.
            if !watch.watcher.drain().is_empty() {
                watch.look_at = Some(at.min(*watch.at_latest.get_or_insert(latest)));
            }
        }
    }

    pub(super) fn look_at_watch(&mut self) {
        let now = self.now;
        let Some(watch) = self.watch.as_mut().filter(|it| it.look_at.is_some_and(|at| at <= now))
        else {
            return;
        };
        (watch.look_at, watch.at_latest) = (None, None);
        if let Some(path) = watch.changed(now) {
            self.request_roll(&format!("{} changed", path.display()));
        }
    }
}
