// Serves; in slot 1 it closes its server after a while and turns on the master's channel.
'use strict';
const fs = require('fs');
const http = require('http');

const channel = Number(process.env.NOTIFY_FD) + 1;
const write = (bytes) => {
  try {
    fs.writeSync(channel, bytes);
  } catch (error) {
    if (error.code !== 'EAGAIN') process.exit(3);
  }
};
const forEver = (act) => {
  act();
  setImmediate(forEver, act);
};
const say = (message) => write(`${JSON.stringify({ cmd: 'NODE_CLUSTER', ...message })}\n`);

const misdeeds = {
  garbage: () => forEver(() => write(Buffer.from(Array.from({ length: 512 }, (_, i) => (i * 7) % 256)))),
  endless: () => forEver(() => write(Buffer.alloc(65536, 97))),
  flood: () => forEver(() => say({ act: 'online', seq: 1 })),
  lies: () => {
    for (let seq = 1000; seq < 1100; seq += 1) {
      say({ act: 'close', key: '127.0.0.1:8000:4:' });
      say({ act: 'close', key: '127.0.0.1:8000:4:undefined' });
      say({ act: 'listening', index: 0, address: '127.0.0.1', port: 8000, addressType: 4, seq });
      say({ ack: seq, accepted: true });
    }
  },
  deaf: () => {
    for (;;);
  },
};

const server = http.createServer((request, response) => {
  const id = new URL(request.url, 'http://app').searchParams.get('id');
  response.end(`id=${id} pid=${process.pid} slot=${process.env.DUTCH_MASTER_SLOT}\n`);
});
server.listen(8000, '127.0.0.1', () => {
  if (process.env.DUTCH_MASTER_SLOT !== '1') return;
  const misdeed = process.argv[2];
  if (misdeed === 'hoarder') {
    const hoard = [];
    const take = () => {
      try {
        for (;;) hoard.push(fs.openSync('/dev/null', 'r'));
      } catch (error) {
        setTimeout(take, 50);
      }
    };
    setTimeout(take, 300);
    return;
  }
  setTimeout(() => server.close(misdeeds[misdeed]), 300);
});
