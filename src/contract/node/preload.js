// Loaded by dutch-master before a worker's program where NODE_KEEPALIVE=on: a worker that is told
// to go says so to its HTTP clients (Connection: close) and leaves it to them to end connections,
// where Node would cut the idle ones under the next request.
'use strict';
const cluster = require('cluster');
if (process.env.NODE_OPTIONS) {
  // Of no use to the program's own children, which may outlive this file.
  const own = `--require ${__filename}`;
  const rest = process.env.NODE_OPTIONS.split(own).join('').trim();
  if (rest) process.env.NODE_OPTIONS = rest;
  else delete process.env.NODE_OPTIONS;
}
if (cluster.isWorker && require('worker_threads').isMainThread) {
  const http = require('http');
  const https = require('https');
  let isLeaving = false;
  process.prependListener('internalMessage', (message) => {
    if (message && message.cmd === 'NODE_CLUSTER' && message.act === 'disconnect') isLeaving = true;
  });
  const { writeHead } = http.ServerResponse.prototype;
  http.ServerResponse.prototype.writeHead = function (...words) {
    if (isLeaving) this.shouldKeepAlive = false;
    return Reflect.apply(writeHead, this, words);
  };
  for (const { prototype } of [http.Server, https.Server]) {
    const { closeIdleConnections } = prototype;
    // Node 18.2 and later.
    if (!closeIdleConnections) continue;
    prototype.closeIdleConnections = function (...words) {
      return isLeaving ? undefined : Reflect.apply(closeIdleConnections, this, words);
    };
  }
}
