// An unmodified Node server: no cluster, no signals, no master.js.
const http = require('node:http');

const generation = process.env.DUTCH_MASTER_GENERATION;
http
  .createServer((request, response) => response.end(`hello from generation=${generation}\n`))
  .listen(8000);
