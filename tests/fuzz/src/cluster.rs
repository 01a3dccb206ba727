//! A cluster of hostile members: any order of events, any bytes, any answers.

use std::{collections::BTreeSet, time::Duration};

use dutch_master::{
    Timestamp,
    wire::node::primary::{Attachment, Effect, Event, Options, Primary},
};

/// Lines that get far, for the mutations to begin from.
const LINES: [&[u8]; 6] = [
    b"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\"}\n",
    b"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"seq\":1,\"index\":0,\"port\":80,\"addressType\":4,\"fd\":null,\"flags\":0}\n",
    b"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"port\":80,\"addressType\":4}\n",
    b"{\"cmd\":\"NODE_CLUSTER\",\"ack\":1,\"accepted\":true}\n",
    b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n",
    b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n",
];

/// The hands of the primary, which remember what they hold.
struct Hands {
    primary: Primary,
    now: Timestamp,
    /// Connections that were accepted and not closed yet.
    held: BTreeSet<u64>,
    next_connection: u64,
    /// Listeners that somebody wants open.
    asked: Vec<u64>,
    inspected: Vec<u64>,
    descriptors: [usize; MEMBERS],
}

const MEMBERS: usize = 4;

/// Events as the bytes say: a byte for what, a byte for whom, and for lines their bytes.
pub fn primary(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let options = Options { shared: first & 1 == 1, allowed: vec![3], ..Options::default() };
    let mut hands = Hands {
        primary: Primary::new(options),
        now: Timestamp::ORIGIN,
        held: BTreeSet::new(),
        next_connection: 1,
        asked: vec![],
        inspected: vec![],
        descriptors: [0; MEMBERS],
    };
    let mut data = data.iter().copied();
    while let Some(what) = data.next() {
        let whom = data.next().unwrap_or(0);
        hands.step(what, whom, &mut data);
    }
}

impl Hands {
    fn step(&mut self, what: u8, whom: u8, data: &mut impl Iterator<Item = u8>) {
        let at = usize::from(whom) % MEMBERS;
        let member = at as u64;
        match what % 11 {
            0 => self
                .tell(Event::Joined { member, replaces: (whom & 64 == 0).then_some(member ^ 1) }),
            1 => self.receive(
                at,
                LINES[usize::from(whom >> 2) % LINES.len()],
                usize::from(what >> 6),
            ),
            2 => {
                let length = data.next().unwrap_or(0);
                let mut bytes: Vec<u8> = data.take(length.into()).collect();
                bytes.push(b'\n');
                self.receive(at, &bytes, usize::from(what >> 5));
            }
            3 => self.tell(Event::Clogged { member }),
            4 => self.tell(Event::Closed { member }),
            5 => {
                self.descriptors[at] = 0;
                self.tell(Event::Exited { member });
            }
            6 => {
                let listener = self.asked.pop().unwrap_or(whom.into());
                self.tell(Event::Opened {
                    listener,
                    outcome: if whom & 128 == 0 { Ok(None) } else { Err(-98) },
                });
            }
            7 => {
                let connection = self.next_connection;
                self.next_connection += 1;
                self.held.insert(connection);
                self.tell(Event::Accepted { listener: u64::from(whom % 8), connection });
            }
            8 => {
                let Some(connection) = self.inspected.pop() else { return };
                self.tell(Event::Inspected { connection, untouched: whom & 1 == 0 });
            }
            9 => self.tell(Event::Drain { member }),
            _ => {
                self.now = self.now.after(Duration::from_millis(u64::from(whom) * 20));
                self.primary.tick(self.now);
                self.obey();
                if whom & 1 == 0 {
                    self.tell(Event::Settled);
                }
            }
        }
    }

    fn receive(&mut self, at: usize, bytes: &[u8], descriptors: usize) {
        self.descriptors[at] += descriptors;
        self.tell(Event::Received { member: at as u64, bytes, descriptors });
    }

    fn tell(&mut self, event: Event<'_>) {
        self.primary.handle(self.now, event);
        self.obey();
    }

    fn obey(&mut self) {
        let mut said = 0;
        while let Some(effect) = self.primary.next_effect() {
            said += 1;
            assert!(said < 10_000, "no end of effects");
            match effect {
                Effect::Send { line, with, .. } => {
                    assert!(line.ends_with(b"\n") && !line[..line.len() - 1].contains(&b'\n'));
                    if let Some(Attachment::Connection(connection)) = with {
                        assert!(self.held.contains(&connection), "what is sent is there");
                    }
                }
                Effect::Open { listener, .. } => self.asked.push(listener),
                Effect::Inspect(connection) => {
                    assert!(self.held.contains(&connection), "what is inspected is there");
                    self.inspected.push(connection);
                }
                Effect::CloseConnection(connection) => {
                    assert!(self.held.remove(&connection), "closed twice");
                }
                Effect::CloseDescriptors { member, count } => {
                    let have = &mut self.descriptors[member as usize];
                    *have = have.checked_sub(count).expect("a descriptor that never came");
                }
                _ => {}
            }
        }
        let next = self.primary.deadline();
        assert!(next.is_none_or(|next| next > self.now), "a deadline that has passed");
    }
}
