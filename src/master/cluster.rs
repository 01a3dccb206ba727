//! The `node` contract in the loop: what the cluster has to say becomes facts and log lines.

use std::{mem::replace, time::Duration};

use dutch_master::{Event, WorkerEvent, WorkerId, wire::node::primary::Options};
use tracing::{info, warn};

use super::{
    Master,
    children::{Drain, Stage},
    journal,
    launch::Name,
    listeners::Listeners,
};
use crate::{
    config::{Balance, Config},
    contract::{
        Kind, Readiness,
        node::{Cluster, News},
    },
    sys::Errno,
};

/// How long a Node program gets to end by itself once it is disconnected.
const GRACE: Duration = Duration::from_secs(1);

const NEVER_ONLINE: &str = "it never took up Node's channel: a program that starts another (npm, \
                            yarn, nodemon) takes it for itself, so write node app.js; for a program \
                            that is not Node, CONTRACT=plain";
const NEVER_LISTENED: &str = "it opened no server through the cluster: one that starts another (npm, \
                              yarn, nodemon) keeps the channel, so write node app.js; one without \
                              servers, or with `exclusive` or `reusePort` ones, says \
                              process.send('ready'), or gets READY=delay:2s";

/// The cluster that a fleet of Node programs has.
pub(super) fn open(
    config: &Config,
    kind: Kind,
    listeners: &Listeners,
) -> Result<Option<Cluster>, Errno> {
    if kind != Kind::Node {
        return Ok(None);
    }
    let mut options = Options { shared: config.balance == Balance::Shared, ..Options::default() };
    if let Balance::RoundRobin(in_flight) = config.balance {
        options.in_flight = in_flight;
    }
    Cluster::new(options, listeners.lent()).map(Some)
}

impl Master {
    pub(super) fn turn_cluster(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            cluster.turn(self.now);
        }
        self.hear_cluster();
    }

    pub(super) fn look_at_cluster(&mut self) {
        let now = self.now;
        if let Some(cluster) = &mut self.cluster
            && cluster.deadline().is_some_and(|at| at <= now)
        {
            cluster.tick(now);
        }
        self.hear_cluster();
    }

    /// Takes in what the cluster has found out.
    pub(super) fn hear_cluster(&mut self) {
        let news = self.cluster.as_mut().map(Cluster::take_news).unwrap_or_default();
        for news in news {
            match news {
                News::Event(id, event) => self.hear_worker(id, event),
                News::GaveUp(id, misdeed) => {
                    warn!(target: "worker", worker = id.get(), problem = %misdeed, "worker goes too far");
                }
                News::Remark(id, remark) => {
                    info!(target: "worker", worker = id.get(), remark = %remark, "worker remarked");
                }
                News::Opened(address) => info!(target: "listener", address, "listening"),
                News::Closed(address) => info!(target: "listener", address, "closed"),
                News::Busy => {
                    let hint = "workers open and close servers all the time; a minute's worth is \
                                not told";
                    warn!(target: "listener", hint, "listeners come and go");
                }
            }
        }
    }

    fn hear_worker(&mut self, id: WorkerId, event: WorkerEvent) {
        let Some(child) = self.children.get_mut(id) else { return };
        match event {
            WorkerEvent::Ready => {
                if self.readiness == Readiness::Listening {
                    self.on_ready(id);
                }
                return;
            }
            WorkerEvent::Disconnected if child.is_leaving => return,
            WorkerEvent::Disconnected => {
                child.heard.farewell = true;
                journal::disconnected(id, child);
            }
            WorkerEvent::RestartRequested => {
                if child.is_leaving || replace(&mut child.heard.wish, true) {
                    return;
                }
                journal::asked(id, child, "it asked");
            }
            WorkerEvent::Drained => {
                if !replace(&mut child.heard.farewell, true) {
                    journal::disconnected(id, child);
                }
                return self.leave_to_itself(id);
            }
            _ => {}
        }
        self.facts.push(Event::Worker(id, event));
    }

    /// Nothing keeps a Node program that has closed its servers but itself: it may write a last line
    /// before the stop signal would end it.
    fn leave_to_itself(&mut self, id: WorkerId) {
        let now = self.now;
        if let Some(child) = self.children.get_mut(id) {
            child.drain =
                Some(Drain { began: now, look_at: now.saturating_add(GRACE), connections: None });
        }
    }

    /// What to look at when a Node program was not ready in time.
    pub(super) fn explain_lateness(&self, id: WorkerId) {
        if self.readiness != Readiness::Listening {
            return;
        }
        let views = self.cluster.iter().flat_map(Cluster::members);
        let hint = match views.into_iter().find(|view| view.member == id.get()) {
            Some(view) if !view.is_online => NEVER_ONLINE,
            Some(view) if view.keys.is_empty() => NEVER_LISTENED,
            _ => return,
        };
        warn!(target: "worker", worker = id.get(), hint, "worker never listened");
    }

    /// Who serves in a slot now, whose servers a successor must have as well.
    pub(super) fn incumbent_of(&self, name: Name) -> Option<WorkerId> {
        let serves = |stage: &Stage| matches!(stage, Stage::Running { .. });
        self.children
            .iter()
            .filter(|(_, child)| child.slot == name.slot && child.is_ready && serves(&child.stage))
            .filter(|(_, child)| !child.is_leaving)
            .map(|(id, _)| id)
            .max()
    }
}
