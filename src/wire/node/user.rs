//! Messages that an application sends with `process.send()`, as far as they mean something to us.

use serde::Deserialize;

use super::{Fault, json::Scalar};

/// What an application says. Each is a custom of some cluster library that this product replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserMessage {
    /// `{event: 'request-restart'}`, the original library's: replace me.
    RequestRestart,
    /// `'ready'` (PM2), `{cmd: 'ready'}` (recluster), `'online'` (naught): I serve.
    Ready,
    /// `{cmd: 'disconnect'}` (recluster): I am about to go, replace me.
    Disconnect,
    /// `'offline'` (naught): I have stopped serving.
    Offline,
    /// `'shutdown'`: what naught and PM2 say to a worker, echoed.
    Shutdown,
    /// Anything else: none of our business.
    Other,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default)]
    cmd: Scalar<'a>,
    #[serde(borrow, default)]
    event: Scalar<'a>,
}

impl UserMessage {
    /// Reads a message that is not internal. Anything that is JSON is a message.
    pub(super) fn read(text: &[u8]) -> Result<Self, Fault> {
        if text.first() == Some(&b'{') {
            let object: Object<'_> = serde_json::from_slice(text).map_err(|_| Fault::Malformed)?;
            return Ok(match (object.event.text(), object.cmd.text()) {
                (Some("request-restart"), _) => Self::RequestRestart,
                (_, Some("ready")) => Self::Ready,
                (_, Some("disconnect")) => Self::Disconnect,
                _ => Self::Other,
            });
        }
        let scalar: Scalar<'_> = serde_json::from_slice(text).map_err(|_| Fault::Malformed)?;
        Ok(match scalar.text() {
            Some("ready" | "online") => Self::Ready,
            Some("offline") => Self::Offline,
            Some("shutdown") => Self::Shutdown,
            _ => Self::Other,
        })
    }
}
