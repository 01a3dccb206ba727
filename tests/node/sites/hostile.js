// Serves; in slot 1 it turns on the master's channel after a while, in the way that the argument names.
'use strict';
const fs = require('fs');
const http = require('http');

const channel = Number(process.env.NOTIFY_FD) + 1;
// What no master has an answer for: the descriptor is not what we took it for, or is closed.
const WRONG = 3;

// Whether the master takes it now.
const write = (bytes) => {
  try {
    fs.writeSync(channel, bytes);
    return true;
  } catch (error) {
    // The channel was closed in our face, or in due course.
    if (error.code === 'EPIPE' || !process.connected) process.exit(0);
    if (error.code !== 'EAGAIN') process.exit(WRONG);
    return false;
  }
};
const line = (message) => `${JSON.stringify({ cmd: 'NODE_CLUSTER', ...message })}\n`;
const forEver = (act) => {
  act();
  setImmediate(forEver, act);
};
const tell = (text) => fs.writeSync(1, `${text}\n`);

const misdeeds = {
  garbage: () => forEver(() => write(Buffer.from(Array.from({ length: 512 }, (_, i) => (i * 7) % 256)))),
  endless: () => forEver(() => write(Buffer.alloc(65536, 97))),
  // Says whether the master lets it wait.
  flood: () => {
    const much = line({ act: 'online', seq: 1 }).repeat(100);
    const count = { taken: 0, refused: 0 };
    const end = Date.now() + 4000;
    while (Date.now() < end) count[write(much) ? 'taken' : 'refused'] += 1;
    tell(`flooded: ${count.taken * 100} taken, ${count.refused} refused`);
    forEver(() => write(much));
  },
  // Asks for what gets an answer, and reads none.
  blind: () => {
    const query = { act: 'queryServer', index: 0, data: null, address: null, port: null, addressType: null };
    for (let seq = 1000; ; seq += 1) write(line({ ...query, fd: 1, seq }));
  },
  // Goes on to serve, and says what is not so.
  lies: () => {
    let seq = 1000;
    const keys = ['127.0.0.1:8000:4:', '127.0.0.1:8000:4:-1', '127.0.0.1:8000:4:undefined', '127.0.0.1:8009:4::0', ''];
    setInterval(() => {
      for (const key of keys.slice(3)) write(line({ act: 'close', key, seq: (seq += 1) }));
      write(line({ act: 'listening', index: 0, address: '127.0.0.1', port: 8009, addressType: 4, seq: (seq += 1) }));
      write(line({ ack: 1e9 + seq, accepted: true }));
      write(line({ ack: 1e9 + seq, accepted: false }));
    }, 5);
    setTimeout(() => {
      for (const key of keys) write(line({ act: 'close', key, seq: (seq += 1) }));
      tell('lied: closed what is open');
    }, 1500);
  },
  // Keeps what it is handed and never answers; its successor does, lest clients wait for that one.
  deaf: () => {
    while (process.env.DUTCH_MASTER_GENERATION === '1');
  },
  // Opens and closes servers all the time, each on a port of its own.
  churn: () => {
    const next = (port) => {
      const server = http.createServer().listen(port, '127.0.0.1', () => {
        server.close(() => next(10000 + ((port + 1) % 20000)));
      });
    };
    next(10000);
  },
  // Has no descriptor left for what it is sent.
  hoarder: () => {
    const hoard = [];
    const take = () => {
      try {
        for (;;) hoard.push(fs.openSync('/dev/null', 'r'));
      } catch (error) {
        setTimeout(take, 50);
      }
    };
    take();
  },
};
// These are told of no client, so that nobody waits for them.
const closes = ['garbage', 'endless', 'flood', 'blind'];

const server = http.createServer((request, response) => {
  const id = new URL(request.url, 'http://app').searchParams.get('id');
  response.end(`id=${id} pid=${process.pid} slot=${process.env.DUTCH_MASTER_SLOT}\n`);
});
server.listen(8000, '127.0.0.1', () => {
  if (process.env.DUTCH_MASTER_SLOT !== '1') return;
  const name = process.argv[2];
  setTimeout(() => {
    if (closes.includes(name)) server.close(misdeeds[name]);
    else misdeeds[name]();
  }, 300);
});
