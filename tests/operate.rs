//! The built binary, operated: a master on this machine, and the verbs that talk to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test that fails says so by panicking"
)]

#[path = "operate/afar.rs"]
mod afar;
#[path = "operate/crowds.rs"]
mod crowds;
#[path = "operate/doctor.rs"]
mod doctor;
#[path = "operate/documents.rs"]
mod documents;
#[path = "operate/harness.rs"]
mod harness;
#[path = "operate/hostile.rs"]
mod hostile;
#[path = "operate/secrets.rs"]
mod secrets;
#[path = "operate/shells.rs"]
mod shells;
#[path = "operate/strangers.rs"]
mod strangers;
#[path = "operate/stuck.rs"]
mod stuck;
#[path = "operate/terminal.rs"]
mod terminal;
#[path = "operate/unopened.rs"]
mod unopened;
#[path = "operate/verbs.rs"]
mod verbs;
