//! What each fuzz target does with its bytes: nothing may panic, and what is promised must hold.
//!
//! The shell's parsers are private to the binary, so their files are compiled into this crate, as
//! they stand. `scripts/test fuzz` gives every target a few seconds, and
//! `scripts/test fuzz-long` ten minutes.
#![allow(dead_code, unused_imports, reason = "the shell's rooms hold more than their parsers")]

mod cluster;
mod files;
mod formats;
mod settings;

#[path = "../../../src"]
mod shell {
    pub(crate) mod config;
}
use shell::config;

#[path = "../../../src/master/http/request.rs"]
mod request;

/// The rooms of sys that read files, and as much of the others as those name.
#[path = "../../../src/sys"]
mod sys {
    pub(crate) mod cgroup;
    pub(crate) mod proc;
    pub(crate) mod users;

    pub(crate) mod spawn {
        #[derive(Debug)]
        pub(crate) struct Credentials {
            pub(crate) uid: u32,
            pub(crate) gid: u32,
            pub(crate) groups: Vec<u32>,
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Pid(i32);

    impl Pid {
        pub(crate) const fn new(number: i32) -> Option<Self> {
            if number > 0 { Some(Self(number)) } else { None }
        }
    }

    impl std::fmt::Display for Pid {
        fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.fmt(out)
        }
    }
}

pub use cluster::primary;
pub use files::proc;
pub use formats::{control, http, node, notify};
pub use settings::{config, listen};
