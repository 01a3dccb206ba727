//! Where the kernel enters: the little of Rust's runtime that we need, and nothing more.
//!
//! An init is started with every container, so its own start is a cost that counts. Rust's runtime
//! reads /proc/self/maps, and prepares a stack on which to tell of a stack overflow; we do
//! without. What it does for safety is done here: standard descriptors that are closed are opened,
//! lest a socket of ours become somebody's standard output, and a reader that left is an error
//! instead of a signal.
//!
//! # Safety: why this file
//!
//! The C library calls `main` by its name and hands over raw arguments.
#![allow(unsafe_code, reason = "main by its C name, with C's arguments")]

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

/// Called by the C library.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
    open_standard_descriptors();
    // SAFETY: SIG_IGN is no function; `signals` has noted what it was before.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // SAFETY: these are main's own arguments.
    let code = crate::start(unsafe { copied(count, words) });
    // Nothing waits to be written: what exit(3) would look through costs more than all of our end.
    super::panic::leave(code.into())
}

/// Each that is closed becomes /dev/null: the lowest free number is always the one just asked for.
fn open_standard_descriptors() {
    for number in libc::STDIN_FILENO..=libc::STDERR_FILENO {
        // SAFETY: a number, and a text that ends in a null. What is opened is for whoever uses the
        // number, and stays open.
        unsafe {
            if libc::fcntl(number, libc::F_GETFD) == -1 {
                libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            }
        }
    }
}

/// # Safety
///
/// `words` must be an array of `count` pointers to texts that end in a null.
unsafe fn copied(count: c_int, words: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(count).unwrap_or_default();
    if words.is_null() {
        return Vec::new();
    }
    // SAFETY: what the caller promises.
    let words = unsafe { std::slice::from_raw_parts(words, count) };
    // SAFETY: the same.
    let text = |&word: &*const c_char| unsafe { CStr::from_ptr(word) }.to_bytes();
    words.iter().map(|word| OsStr::from_bytes(text(word)).to_owned()).collect()
}
