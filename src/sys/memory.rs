//! What the allocator holds and nobody uses.
//!
//! # Safety: why this file
//! `malloc_trim(3)` has no safe wrapper.

/// Gives whole free pages back to the kernel, `malloc_trim(3)`: what many workers at once needed
/// would lie between what few need for as long as the master lives.
pub(crate) fn give_back() {
    // SAFETY: no pointer is passed; what is in use stays where it is, and the allocator locks.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
