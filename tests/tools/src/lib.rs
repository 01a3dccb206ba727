//! What the test programs share: the strict client's judgement, HTTP by hand, and workers' knobs.

pub mod attempt;
pub mod http;
pub mod knobs;
pub mod load;
pub mod notify;
pub mod report;
pub mod stream;
pub mod trouble;
