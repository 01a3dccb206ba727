//! What a readable descriptor is: the token that the poll hands back, as a type.

use dutch_master::WorkerId;

use super::output::Stream;

/// Where something came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A signal to us.
    Signals,
    /// A reader of our output that takes more.
    Sink,
    /// A watched path.
    Watch,
    /// A new client of einhorn's socket.
    Einhorn,
    /// Such a client.
    EinhornClient(u64),
    /// The output of `NUM_WORKERS_COMMAND`.
    Count,
    /// The start of a worker's program.
    Exec(WorkerId),
    /// A worker's notify socket.
    Notify(WorkerId),
    /// A worker's `NOTIFY_FD`.
    ReadyPipe(WorkerId),
    /// The channels and servers of Node workers.
    Cluster,
    /// The calls of captured servers.
    Capture,
    /// An operator who connects to the control socket.
    Control,
    /// A client of HTTP that connects.
    Http,
    /// One of either who is connected.
    Client(u64),
    /// Somebody who waits in a lane.
    Lanes,
    /// A lane's socket that a worker has shut.
    Ends,
    /// Clients that we carry to other lanes.
    Relays,
    /// What a worker prints.
    Output(WorkerId, Stream),
}

/// The low bits of a token say what, the others who.
const KIND_BITS: u32 = 5;
const KIND_MASK: u64 = 0x1f;

impl Source {
    /// The token to poll with.
    pub(crate) const fn token(self) -> u64 {
        let (kind, who) = match self {
            Self::Signals => (0, 0),
            Self::Sink => (1, 0),
            Self::Watch => (2, 0),
            Self::Einhorn => (3, 0),
            Self::EinhornClient(number) => (4, number),
            Self::Count => (5, 0),
            Self::Cluster => (11, 0),
            Self::Capture => (15, 0),
            Self::Control => (12, 0),
            Self::Http => (13, 0),
            Self::Client(number) => (14, number),
            Self::Lanes => (16, 0),
            Self::Relays => (17, 0),
            Self::Ends => (18, 0),
            Self::Exec(id) => (6, id.get()),
            Self::Notify(id) => (7, id.get()),
            Self::ReadyPipe(id) => (8, id.get()),
            Self::Output(id, Stream::Out) => (9, id.get()),
            Self::Output(id, Stream::Err) => (10, id.get()),
        };
        (who << KIND_BITS) | kind
    }

    /// The source that a token stands for.
    pub(crate) const fn from_token(token: u64) -> Self {
        let who = token >> KIND_BITS;
        let id = WorkerId::from_number(who);
        match token & KIND_MASK {
            0 => Self::Signals,
            1 => Self::Sink,
            2 => Self::Watch,
            3 => Self::Einhorn,
            4 => Self::EinhornClient(who),
            5 => Self::Count,
            6 => Self::Exec(id),
            7 => Self::Notify(id),
            8 => Self::ReadyPipe(id),
            9 => Self::Output(id, Stream::Out),
            11 => Self::Cluster,
            15 => Self::Capture,
            12 => Self::Control,
            13 => Self::Http,
            14 => Self::Client(who),
            16 => Self::Lanes,
            17 => Self::Relays,
            18 => Self::Ends,
            _ => Self::Output(id, Stream::Err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_for_one_source() {
        let id = WorkerId::from_number(70_000);
        let all = [
            Source::Signals,
            Source::Sink,
            Source::Watch,
            Source::Einhorn,
            Source::EinhornClient(9),
            Source::Count,
            Source::Cluster,
            Source::Capture,
            Source::Control,
            Source::Http,
            Source::Client(9),
            Source::Lanes,
            Source::Relays,
            Source::Ends,
            Source::Exec(id),
            Source::Notify(id),
            Source::ReadyPipe(id),
            Source::Output(id, Stream::Out),
            Source::Output(id, Stream::Err),
        ];
        for source in all {
            assert_eq!(Source::from_token(source.token()), source);
        }
    }
}
