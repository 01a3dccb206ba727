//! php-fpm, which speaks no HTTP: behind nginx, which tells its clients of every request that
//! php-fpm loses. Nginx is a fleet of its own, in a container that shares the network.

use crate::{
    harness::container::{ADDRESS, Container, Setup},
    server::{Idle, Server, judge, roll_under_load},
};

const PHP_FPM: Server = Server {
    command: "php-fpm --nodaemonize --fpm-config /srv/php-fpm.conf",
    stop_signal: "QUIT",
    ready: "notify",
    idle: Idle::Left,
};

fn front(php: &Container) -> Container {
    Setup::command("nginx -c /srv/front.conf")
        .options(&format!("--network container:{}", php.id()))
        .set("LISTEN", &format!("http={ADDRESS}"))
        .set("CONTRACT", "systemd")
        .set("WORKERS", "1")
        .set("READY", "delay:300ms")
        .set("STOP_SIGNAL", "QUIT")
        .ready()
}

#[track_caller]
fn loses_nothing(balance: &str) {
    let php = PHP_FPM.setup(balance).set("LISTEN", "php=127.0.0.1:9000").ready();
    let front = front(&php);
    judge(&roll_under_load(&php), Idle::Left);
    assert_eq!(front.stop().0, 0, "{}", front.tail());
    assert_eq!(php.stop().0, 0, "{}", php.tail());
}

#[test]
fn php_fpm_loses_nothing_on_a_shared_queue() {
    loses_nothing("shared");
}

#[test]
fn php_fpm_loses_nothing_in_slots() {
    loses_nothing("slot");
}
