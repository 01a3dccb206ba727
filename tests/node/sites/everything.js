// One program with every kind of server that Node has, and none of them knows of clusters.
'use strict';
const express = require('/node/node_modules/express');
const childProcess = require('child_process');
const cluster = require('cluster');
const dgram = require('dgram');
const fs = require('fs');
const http = require('http');
const http2 = require('http2');
const https = require('https');
const net = require('net');
const path = require('path');
const threads = require('worker_threads');

// The same file is the child and the thread that it starts.
if (process.argv[2] === 'child') {
  process.on('message', (text) => process.send(text.toUpperCase(), () => process.disconnect()));
} else if (!threads.isMainThread) {
  threads.parentPort.postMessage(threads.workerData + 1);
} else {
  serve();
}

function serve() {
  const keys = {
    key: fs.readFileSync(path.join(__dirname, 'key.pem')),
    cert: fs.readFileSync(path.join(__dirname, 'cert.pem')),
  };
  const who = (request, response) => response.end(String(process.pid));
  const ports = {};

  http.createServer(who).listen(8001, '127.0.0.1');
  http.createServer(who).listen(8002, '::1');
  http.createServer(who).listen(8003);
  http.createServer(who).listen({ port: 8004, host: '::', ipv6Only: true });
  http.createServer(who).listen({ path: '/tmp/app.sock', readableAll: true, writableAll: true });
  http.createServer(who).listen({ port: 8006, backlog: 5 });
  for (const name of ['first', 'second']) {
    const server = http.createServer(who).listen(0, () => {
      ports[name] = server.address().port;
    });
  }
  net.createServer((socket) => socket.end(String(process.pid))).listen(8007);
  https.createServer({ ...keys, maxVersion: 'TLSv1.2' }, who).listen(8443);
  http2.createSecureServer(keys, who).listen(8444);
  http2.createServer(who).listen(8445);
  const udp = dgram.createSocket('udp4');
  udp.on('message', (text, from) => udp.send(`${process.pid} ${text}`, from.port, from.address));
  udp.bind(8010, '127.0.0.1');
  const udp6 = dgram.createSocket({ type: 'udp6', reuseAddr: true });
  udp6.on('message', (text, from) => udp6.send(`${process.pid} ${text}`, from.port, from.address));
  udp6.bind(8011, '::1');
  if (process.env.LISTEN_FDS) http.createServer(who).listen({ fd: 3 });

  const errors = {};
  const fails = (name, options) => {
    const server = net.createServer();
    server.on('error', ({ code, syscall, port }) => {
      errors[name] = { code, syscall, port };
    });
    server.listen(options, () => {
      errors[name] = { code: 'none' };
    });
  };
  fails('used', { port: 8001, host: '127.0.0.1' });
  fails('elsewhere', { port: 8030, host: '192.0.2.1' });
  fails('denied', { path: '/no/such/directory/sock' });
  fails('foreign', { fd: 1 });
  // Held by the master, which no program has asked for by its number.
  fails('lent', { port: 8020, host: '127.0.0.1' });

  const app = express();
  const on = (url, route) =>
    app.get(url, (request, response, next) => {
      Promise.resolve(route()).then((value) => response.json(value), next);
    });
  on('/who', () => ({ pid: process.pid, id: cluster.worker.id, env: Object.keys(process.env) }));
  on('/ports', () => ports);
  on('/errors', () => errors);
  on('/thread', () =>
    new Promise((resolve) => {
      new threads.Worker(__filename, { workerData: 41 }).on('message', resolve);
    }));
  on('/fork', () =>
    new Promise((resolve) => {
      const child = childProcess.fork(__filename, ['child']);
      child.on('message', resolve);
      child.send('shout');
    }));
  const later = (act) => () => {
    setTimeout(act, 20);
    return process.pid;
  };
  on('/disconnect', later(() => cluster.worker.disconnect()));
  on('/kill', later(() => cluster.worker.kill()));
  on('/process-disconnect', later(() => process.disconnect()));
  on('/restart', later(() => {
    for (let i = 0; i < 5; i += 1) process.send({ event: 'request-restart' });
  }));
  app.listen(8000);
}
