// A worker of the original library's that does not end by itself.
'use strict';
const http = require('http');

const { GREETING: greeting, DUTCH_MASTER_SLOT: slot } = process.env;
process.on('SIGTERM', () => {});
setInterval(() => {}, 1000);
http
  .createServer((request, response) => response.end(`greeting=${greeting} slot=${slot}\n`))
  .listen(8000);
