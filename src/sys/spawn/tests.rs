//! Spawn, with real processes.
