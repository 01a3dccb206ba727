// A server that knows nothing of clusters.
const http = require('http');
const body = 'x'.repeat(1000) + process.pid;
http
  .createServer((request, response) => {
    response.end(body);
  })
  .listen(0);
