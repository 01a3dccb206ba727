//! The doors for operators, the control socket and HTTP, and who has come in through them.

use std::{
    collections::BTreeMap,
    fmt,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    time::Duration,
};

use tracing::{info, warn};

use super::{Master, client::Client, measures::Measures, source::Source};
use crate::{
    config::{Config, Control},
    sys::{
        Errno, Pid, connection,
        host::{self, RuntimeDir},
        local,
        poll::{Interest, Poll},
        sockets::{self, Address, Options, SocketError},
    },
};

/// Clients of either door at the same time. For one more, the one that has been silent for longest
/// has to go; if there is none, the new one has.
const MOST: usize = 32;
/// Clients that are let in before the fleet gets its turn again.
const AT_ONCE: usize = 64;
/// How long a door stays shut when the kernel can't let anybody in.
const SHUT: Duration = Duration::from_secs(1);
/// The name of the control socket in the master's directory; `cli` looks for it.
const NAME: &str = "control.sock";

/// A socket that clients connect to.
#[derive(Debug)]
struct Door {
    listener: OwnedFd,
    source: Source,
    /// The file to remove at the end.
    path: Option<PathBuf>,
    /// Nobody is let in until then: the kernel is out of something.
    shut_until: Option<Duration>,
}

/// The doors, and everybody inside.
#[derive(Debug, Default)]
pub(crate) struct Operators {
    doors: Vec<Door>,
    clients: BTreeMap<u64, Client>,
    next: u64,
    /// What they have been told of last that costs us something.
    pub(super) measures: Measures,
}

/// Why a door can't be opened.
#[derive(Debug)]
pub(crate) struct NoDoor(&'static str, SocketError);

impl fmt::Display for NoDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, self.1)
    }
}

impl Operators {
    /// Opens the doors that are asked for. The one of `auto` is missed, but not needed.
    pub(crate) fn open(config: &Config, runtime: Option<&RuntimeDir>) -> Result<Self, NoDoor> {
        let mut doors = Vec::new();
        let own = || runtime.map(|directory| directory.path().join(NAME));
        let (path, is_own) = match &config.control {
            Control::Off => (None, true),
            Control::Path(path) => (Some(path.clone()), false),
            Control::Auto => (own(), true),
        };
        match path.map(open_control).transpose() {
            Ok(door) => doors.extend(door),
            Err(error) if is_own => warn!(target: "master", problem = %error, "no control socket"),
            Err(error) => return Err(NoDoor("CONTROL", error)),
        }
        if let Some(inet) = &config.http {
            let address = Address::Tcp(inet.address);
            let listener = sockets::listen(&address, &Options::default())
                .map_err(|error| NoDoor("HTTP", error))?;
            let at = sockets::local_address(listener.as_fd()).unwrap_or(address);
            info!(target: "master", address = %at, "serving metrics and probes");
            doors.push(Door { listener, source: Source::Http, path: None, shut_until: None });
        }
        Ok(Self { doors, ..Self::default() })
    }

    /// Waits for clients.
    pub(crate) fn listen(&self, poll: &Poll) -> Result<(), Errno> {
        let mut doors = self.doors.iter();
        doors.try_for_each(|door| poll.add(&door.listener, door.source.token(), Interest::Read))
    }

    /// When patience with somebody ends, or a door opens again.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let clients = self.clients.values().filter_map(Client::deadline);
        clients.chain(self.doors.iter().filter_map(|door| door.shut_until)).min()
    }

    pub(super) fn take(&mut self, number: u64) -> Option<Client> {
        self.clients.remove(&number)
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.clients.keys().copied().collect()
    }

    /// Where the control socket is.
    pub(super) fn path(&self) -> Option<&PathBuf> {
        self.doors.iter().find_map(|door| door.path.as_ref())
    }

    /// Whether one more may come in; lets the oldest go that has asked for nothing, if need be. Over
    /// HTTP nobody waits for us, so who is still there does not read: the oldest goes then.
    fn make_room(&mut self, is_http: bool) -> bool {
        let same = || self.clients.iter().filter(|(_, client)| client.is_http() == is_http);
        if same().count() < MOST {
            return true;
        }
        let first = same().find(|(_, client)| is_http || client.is_silent());
        let first = first.map(|(number, _)| *number);
        first.and_then(|number| self.clients.remove(&number)).is_some()
    }
}

/// Who may connect is said by the file's mode first: nobody but us and root.
fn open_control(path: PathBuf) -> Result<Door, SocketError> {
    let options = Options { mode: Some(0o600), ..Options::default() };
    let listener = sockets::listen(&Address::Unix(path.clone()), &options)?;
    Ok(Door { listener, source: Source::Control, path: Some(path), shut_until: None })
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Master {
    pub(super) fn accept_operators(&mut self) {
        let own = host::uid();
        self.let_in(Source::Control, |listener| {
            let found = local::accept(listener)?;
            Ok(found.map(|client| {
                let pid = client.pid.map_or("outside".to_owned(), |pid| pid.to_string());
                let name = format!("uid {}, pid {pid}", client.uid);
                // Our own visit to see whether the door can be found takes nobody's place.
                let is_visit = client.pid == Some(Pid::own());
                let may_enter = (client.uid == 0 || client.uid == own) && !is_visit;
                (client.fd, may_enter.then_some(name))
            }))
        });
    }

    pub(super) fn accept_http(&mut self) {
        self.let_in(Source::Http, |listener| {
            Ok(connection::accept(listener)?.map(|fd| (fd, Some("http".to_owned()))))
        });
    }

    /// Lets in who waits at a door. `accept` gives a connection, and a name unless it may not enter.
    fn let_in(
        &mut self,
        source: Source,
        accept: impl Fn(&OwnedFd) -> Result<Option<(OwnedFd, Option<String>)>, Errno>,
    ) {
        for _ in 0..AT_ONCE {
            let mut doors = self.operators.doors.iter();
            let Some(door) = doors.find(|door| door.source == source) else { return };
            match accept(&door.listener) {
                Ok(None) => return,
                Ok(Some((_, None))) => {}
                Ok(Some((fd, Some(name)))) => {
                    let is_http = source == Source::Http;
                    self.seat_client(Client::new(fd, is_http, name, self.now));
                }
                Err(error) => return self.shut(source, error),
            }
        }
    }

    fn seat_client(&mut self, client: Client) {
        if !self.operators.make_room(client.is_http()) {
            return;
        }
        let number = self.operators.next;
        self.operators.next = number.wrapping_add(1);
        let token = Source::Client(number).token();
        if self.poll.add(&client, token, Interest::Read).is_ok() {
            self.operators.clients.insert(number, client);
            // Whoever has asked already is answered before others can crowd it out.
            self.read_client(number);
        }
    }

    /// Shuts a door for a while: it would wake us again and again.
    fn shut(&mut self, source: Source, error: Errno) {
        warn!(target: "master", problem = %error, "nobody can be let in");
        let until = self.now.saturating_add(SHUT);
        for door in self.operators.doors.iter_mut().filter(|door| door.source == source) {
            let _ = self.poll.remove(&door.listener);
            door.shut_until = Some(until);
        }
    }

    /// Keeps a client, or lets it go.
    pub(super) fn put_back(&mut self, number: u64, mut client: Client) {
        client.flush(self.now);
        if client.is_over(self.now) {
            return;
        }
        let token = Source::Client(number).token();
        if self.poll.modify(&client, token, client.interest()).is_ok() {
            self.operators.clients.insert(number, client);
        }
    }

    /// Sends away who stalls, and opens doors again.
    pub(super) fn look_at_operators(&mut self) {
        let now = self.now;
        self.operators.clients.retain(|_, client| !client.is_over(now));
        for door in &mut self.operators.doors {
            if door.shut_until.is_some_and(|at| at <= now) {
                door.shut_until = None;
                let _ = self.poll.add(&door.listener, door.source.token(), Interest::Read);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dutch_master::wire::control::Reply;

    /// A door with as many inside as fit, each with an answer that it does not read.
    fn full(is_http: bool) -> Operators {
        let mut operators = Operators::default();
        for number in 0..32 {
            let (fd, _) = std::os::unix::net::UnixStream::pair().unwrap();
            let mut client = Client::new(fd.into(), is_http, String::new(), Duration::ZERO);
            client.reply(&Reply::Done { message: String::new() }, Duration::ZERO);
            operators.clients.insert(number, client);
        }
        operators
    }

    #[test]
    fn who_does_not_read_over_http_makes_room_and_on_the_control_socket_keeps_its_place() {
        let mut http = full(true);
        assert!(http.make_room(true) && http.numbers().first() == Some(&1));
        let mut control = full(false);
        assert!(!control.make_room(false) && control.make_room(true));
        assert_eq!(control.clients.len(), MOST);
    }
}
