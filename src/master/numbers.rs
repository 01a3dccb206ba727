//! The metrics: what is counted and measured, by names that dashboards know.
//!
//! Labels are bounded: states, causes, reasons, slots and listeners; never a pid or a worker's id.

use std::collections::BTreeMap;

use dutch_master::wire::{
    control::Worker,
    exposition::{Family, Kind, render},
};

use super::{
    Master, journal,
    record::{Histogram, START_BOUNDS},
};
use crate::contract::node::Cluster;

/// Every state that a worker can be in, so that each has a value always.
const STATES: [&str; 6] = ["starting", "ready", "retiring", "draining", "terminating", "killed"];
/// Every kind of end.
const REASONS: [&str; 7] =
    ["clean", "code", "signal", "oom", "killed", "not_executed", "not_started"];

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family::new(name, Kind::Counter, help)
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family::new(name, Kind::Gauge, help)
}

fn histogram(name: &'static str, help: &'static str, of: &Histogram) -> Family {
    let buckets: Vec<(f64, u64)> = START_BOUNDS.into_iter().zip(of.buckets).collect();
    let sum = of.sum.as_secs_f64();
    Family::new(name, Kind::Histogram, help).with_histogram(&buckets, of.count, sum)
}

impl Master {
    /// Every metric, as text.
    pub(super) fn metrics(&mut self, is_openmetrics: bool) -> String {
        let workers = self.workers();
        let mut families = self.of_fleet(&workers);
        families.extend(self.of_history());
        families.extend(self.of_listeners());
        families.extend(self.cluster.as_ref().map(of_cluster));
        families.extend(of_slots(&workers));
        render(&families, is_openmetrics)
    }

    fn of_fleet(&self, workers: &[Worker]) -> Vec<Family> {
        let mut states = gauge("dutch_master_workers", "Workers by what they are doing");
        for state in STATES {
            let count = workers.iter().filter(|worker| worker.state == state).count();
            states = states.with(&[("state", state)], u64::try_from(count).unwrap_or(u64::MAX));
        }
        let (is_ready, _) = self.readiness_verdict();
        let generation = self.fleet.wanted().map_or(0, |generation| generation.get().into());
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        vec![
            gauge("dutch_master_build_info", "The version that runs").with(&labels, 1),
            states,
            gauge("dutch_master_workers_wanted", "Workers that there shall be")
                .with(&[], self.fleet.target().into()),
            gauge("dutch_master_ready", "Whether /readyz says yes").with(&[], is_ready.into()),
            gauge("dutch_master_generation", "The generation that every worker shall be of")
                .with(&[], generation),
        ]
    }

    fn of_history(&self) -> Vec<Family> {
        let record = &self.record;
        let [complete, failed] = record.rolls;
        let mut exits = counter("dutch_master_worker_exits", "Workers that ended, by how");
        for reason in REASONS {
            let count = record.exits.get(reason).copied().unwrap_or_default();
            exits = exits.with(&[("reason", reason)], count);
        }
        let mut starts = counter("dutch_master_worker_restarts", "Workers started, by why");
        for (cause, name) in journal::CAUSES {
            let count = record.starts.get(&cause).copied().unwrap_or_default();
            starts = starts.with(&[("cause", name)], count);
        }
        vec![
            histogram(
                "dutch_master_worker_start_seconds",
                "From a worker's start to its being ready",
                &record.start_times,
            ),
            counter("dutch_master_rolls", "Rolling restarts that are over, by how they ended")
                .with(&[("outcome", "complete")], complete)
                .with(&[("outcome", "failed")], failed),
            histogram(
                "dutch_master_roll_duration_seconds",
                "From the request for a roll to its end",
                &record.roll_times,
            ),
            exits,
            starts,
            counter(
                "dutch_master_orphans_reaped",
                "Processes of others that ended as our children",
            )
            .with(&[], record.orphans),
        ]
    }

    fn of_listeners(&self) -> Vec<Family> {
        let mut length = gauge(
            "dutch_master_accept_queue_length",
            "Connections that wait to be accepted, over all slots",
        );
        let mut limit = gauge(
            "dutch_master_accept_queue_limit",
            "Connections that may wait to be accepted, over all slots",
        );
        let mut relayed = counter(
            "dutch_master_relayed_connections",
            "Connections carried from a worker that did not accept them to one that did",
        );
        for listener in self.listener_states() {
            let labels = [("listener", listener.name.as_str())];
            if let (Some(queue), Some(most)) = (listener.queue, listener.limit) {
                length = length.with(&labels, queue.into());
                limit = limit.with(&labels, most.into());
            }
            relayed = relayed.with(&labels, listener.relayed);
        }
        let mut drops = counter(
            "dutch_master_listen_drops",
            "Connections that the kernel dropped for full queues, in the whole network namespace",
        );
        if let Some(count) = self.listen_drops() {
            drops = drops.with(&[], count);
        }
        let carried = u64::try_from(self.rescue.carried()).unwrap_or(u64::MAX);
        let relays = gauge("dutch_master_relays", "Connections that the master carries now")
            .with(&[], carried);
        vec![length, limit, drops, relayed, relays]
    }
}

/// What only Node's cluster has.
fn of_cluster(cluster: &Cluster) -> Family {
    counter(
        "dutch_master_connections_rescued",
        "Connections handed to a Node worker that died or refused before it took them, and given to \
         another",
    )
    .with(&[], cluster.rescued())
}

/// What the workers of each slot use together; it starts anew with each worker.
fn of_slots(workers: &[Worker]) -> Vec<Family> {
    let mut slots: BTreeMap<u16, (u64, f64)> = BTreeMap::new();
    for worker in workers {
        let (memory, cpu) = slots.entry(worker.slot).or_default();
        *memory = memory.saturating_add(worker.memory);
        *cpu += std::time::Duration::from(worker.cpu).as_secs_f64();
    }
    let mut memory = gauge(
        "dutch_master_worker_resident_memory_bytes",
        "Memory in RAM of a slot's workers, shared pages counted for each process",
    );
    let mut cpu = counter(
        "dutch_master_worker_cpu_seconds",
        "CPU time of a slot's workers; it starts anew with each worker",
    );
    for (slot, (bytes, seconds)) in slots {
        let slot = slot.to_string();
        memory = memory.with(&[("slot", &slot)], bytes);
        cpu = cpu.with_real(&[("slot", &slot)], seconds);
    }
    vec![memory, cpu]
}
