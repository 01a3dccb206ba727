// Serves, and opens and closes another server all the time, each on a port of its own.
'use strict';
const http = require('http');

http
  .createServer((request, response) => {
    const id = new URL(request.url, 'http://app').searchParams.get('id');
    response.end(`id=${id}\n`);
  })
  .listen(8000, '127.0.0.1');

function next(port) {
  const server = http.createServer().listen(port, '127.0.0.1', () => {
    server.close(() => setTimeout(next, 5, 10000 + ((port + 1) % 20000)));
  });
  // A worker that is told to go gets no more servers.
  server.on('error', () => {});
}
next(10000);
