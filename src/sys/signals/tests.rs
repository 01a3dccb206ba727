//! Signals, with real signals.
