// Looks at everything.js from outside and fails by throwing. Argument: round-robin or shared.
'use strict';
const assert = require('assert');
const dgram = require('dgram');
const http = require('http');
const http2 = require('http2');
const net = require('net');
const tls = require('tls');

const isShared = process.argv[2] === 'shared';
const only = process.argv[3];
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function get(options, url = '/') {
  return new Promise((resolve, reject) => {
    const request = http.get({ ...options, path: url, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (data) => (text += data));
      response.on('end', () => resolve(text));
    });
    request.on('error', reject);
    request.setTimeout(30000, () => request.destroy(new Error(`no answer from ${JSON.stringify(options)}`)));
  });
}
const ask = async (url) => JSON.parse(await get({ host: '127.0.0.1', port: 8000 }, url));

// The pids that answer; round-robin shows both of two workers soon.
async function pids(options) {
  const found = new Set();
  for (let i = 0; i < 40 && found.size < 2; i += 1) found.add(Number(await get(options)));
  return found;
}

async function bothServe(name, options) {
  const found = await pids(options);
  assert(![...found].includes(NaN), `${name}: no pid`);
  if (!isShared) assert.strictEqual(found.size, 2, `${name}: both workers answer`);
}

async function refused(options) {
  await assert.rejects(get(options), { code: 'ECONNREFUSED' });
}

// The event that says a worker has been replaced: it answers no more, and two do.
async function replaced(pid) {
  for (let tries = 0; tries < 400; tries += 1) {
    const found = new Set();
    for (let i = 0; i < 12; i += 1) {
      try {
        found.add((await ask('/who')).pid);
      } catch (error) {
        // A connection that a worker held when it cut everything by itself.
        assert(['ECONNRESET', 'EPIPE'].includes(error.code), error);
      }
    }
    if (!found.has(pid) && (isShared || found.size === 2)) return;
    await sleep(25);
  }
  throw new Error(`${pid} is not replaced`);
}

const checks = {
  async addresses() {
    await bothServe('IPv4', { host: '127.0.0.1', port: 8001 });
    await bothServe('IPv6', { host: '::1', port: 8002 });
    await bothServe('dual stack, IPv4', { host: '127.0.0.1', port: 8003 });
    await bothServe('dual stack, IPv6', { host: '::1', port: 8003 });
    await bothServe('IPv6 only', { host: '::1', port: 8004 });
    await refused({ host: '127.0.0.1', port: 8004 });
    await bothServe('unix socket', { socketPath: '/tmp/app.sock' });
    await bothServe('backlog', { host: '127.0.0.1', port: 8006 });
    await bothServe('listen({fd})', { host: '127.0.0.1', port: 8020 });
  },
  async anyPort() {
    const seen = new Set();
    for (let i = 0; i < 10; i += 1) seen.add(JSON.stringify(await ask('/ports')));
    assert.strictEqual(seen.size, 1, `every worker has the same ports: ${[...seen]}`);
    const { first, second } = JSON.parse([...seen][0]);
    assert(first > 0 && second > 0 && first !== second);
    await bothServe('port 0', { host: '127.0.0.1', port: first });
    await bothServe('port 0 again', { host: '127.0.0.1', port: second });
  },
  async plainTcp() {
    const text = await new Promise((resolve, reject) => {
      const socket = net.connect(8007, '127.0.0.1');
      socket.on('data', (data) => resolve(String(data)));
      socket.on('error', reject);
    });
    assert(Number(text) > 0);
  },
  async udp() {
    for (const [type, port, host] of [['udp4', 8010, '127.0.0.1'], ['udp6', 8011, '::1']]) {
      const socket = dgram.createSocket(type);
      const answer = new Promise((resolve) => socket.on('message', (text) => resolve(String(text))));
      const again = setInterval(() => socket.send('ping', port, host), 200);
      socket.send('ping', port, host);
      assert.match(await answer, /^\d+ ping$/);
      clearInterval(again);
      socket.close();
    }
  },
  async errors() {
    let errors = {};
    for (let i = 0; i < 400 && Object.keys(errors).length < 5; i += 1) {
      await sleep(25);
      errors = await ask('/errors');
    }
    const code = (name) => errors[name] && errors[name].code;
    assert.strictEqual(code('used'), 'EADDRINUSE');
    assert.strictEqual(errors.used.syscall, 'bind');
    assert.strictEqual(errors.used.port, 8001);
    assert.strictEqual(code('elsewhere'), 'EADDRNOTAVAIL');
    assert.strictEqual(code('denied'), 'EACCES');
    assert.strictEqual(code('foreign'), 'EBADF');
    assert.strictEqual(code('lent'), 'EADDRINUSE');
  },
  async ticketsResumeAcrossWorkers() {
    const connect = (session) =>
      new Promise((resolve, reject) => {
        const options = { host: '127.0.0.1', port: 8443, rejectUnauthorized: false, session };
        const socket = tls.connect(options, () => {
          let text = '';
          socket.on('data', (data) => (text += data));
          socket.on('end', () => {
            const pid = Number(text.split('\r\n\r\n')[1]);
            resolve({ pid, isReused: socket.isSessionReused(), session: ticket });
          });
          let ticket = socket.getSession();
          socket.write('GET / HTTP/1.0\r\n\r\n');
        });
        socket.on('error', reject);
      });
    const first = await connect();
    const found = new Set([first.pid]);
    for (let i = 0; i < 8; i += 1) {
      const next = await connect(first.session);
      assert(next.isReused, `worker ${next.pid} takes the ticket of ${first.pid}`);
      found.add(next.pid);
    }
    if (!isShared) assert.strictEqual(found.size, 2);
  },
  async http2() {
    for (const at of ['https://127.0.0.1:8444', 'http://127.0.0.1:8445']) {
      const session = http2.connect(at, { rejectUnauthorized: false });
      const text = await new Promise((resolve, reject) => {
        session.on('error', reject);
        const stream = session.request({ ':path': '/' });
        let body = '';
        stream.setEncoding('utf8');
        stream.on('data', (data) => (body += data));
        stream.on('end', () => resolve(body));
        stream.on('error', reject);
      });
      session.close();
      assert(Number(text) > 0, at);
    }
  },
  async threadsAndChildren() {
    assert.strictEqual(await ask('/thread'), 42);
    assert.strictEqual(await ask('/fork'), 'SHOUT');
    const { id, env } = await ask('/who');
    assert(id > 0);
    for (const name of ['NODE_CHANNEL_FD', 'NODE_UNIQUE_ID', 'DUTCH_MASTER_WORKERS']) {
      assert(!env.includes(name), name);
    }
  },
  async leavingByItself() {
    for (const way of ['/disconnect', '/kill', '/process-disconnect']) {
      await replaced(await ask(way));
    }
  },
  async requestRestart() {
    await replaced(await ask('/restart'));
  },
};

async function main() {
  for (const [name, check] of Object.entries(checks)) {
    if (only && only !== name) continue;
    const began = Date.now();
    try {
      await check();
    } catch (error) {
      console.error(`${name}: ${error.stack}`);
      process.exit(1);
    }
    console.log(`${name}: ${Date.now() - began} ms`);
  }
  process.exit(0);
}
main();
