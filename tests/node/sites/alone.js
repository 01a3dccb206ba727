// Servers that the cluster never sees, and the words by which libraries say that they are ready.
'use strict';
const http = require('http');

const words = ['ready', { cmd: 'ready' }, 'online'];
const slot = Number(process.env.DUTCH_MASTER_SLOT);
http
  .createServer((request, response) => response.end())
  .listen({ port: 9000 + slot, exclusive: true }, () => {
    if (process.argv[2] !== 'silent') process.send(words[slot % words.length]);
  });
