// One release of the demo's server: its VERSION file stands beside it. It takes its socket from
// dutch-master as descriptor 3 and knows three manners: it says when it is ready, it finishes what
// it has when told to stop, and it leaves idle connections to their clients for a moment.
'use strict';
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');

const version = fs.readFileSync('VERSION', 'utf8').trim();
if (version.startsWith('broken')) throw new Error(`release ${version} cannot start`);

let draining = false;
const server = http.createServer((request, response) => {
  const id = new URL(request.url, 'http://localhost').searchParams.get('id');
  // Slow enough that some requests are always in flight.
  setTimeout(() => {
    if (draining) response.setHeader('Connection', 'close');
    response.end(`version=${version} id=${id}.\n`);
  }, 10);
});
server.keepAliveTimeout = 0;

process.on('SIGTERM', () => {
  draining = true;
  // http's own close() cuts idle connections on newer versions, under requests that are on their
  // way; net's stops accepting and leaves them open until they have had one more answer.
  net.Server.prototype.close.call(server, () => process.exit(0));
  setTimeout(() => server.closeIdleConnections(), 2000).unref();
});

// A release that takes two seconds to boot, as real ones do.
setTimeout(() => {
  server.listen({ fd: 3 }, () => execFile('/usr/local/bin/probe', ['notify', 'READY=1']));
}, version === 'v1' ? 0 : 2000);
