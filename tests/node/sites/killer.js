// Kills a random child of the master every 0.4 s. Arguments: a seed, and how many to kill.
'use strict';
const fs = require('fs');
const http = require('http');

let state = Number(process.argv[2]) >>> 0 || 1;
const below = (count) => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % count;
};

function workers() {
  const isWorker = (pid) => {
    try {
      const [status, parent] = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
      return parent === '1' && status !== 'Z';
    } catch (error) {
      return false;
    }
  };
  return fs.readdirSync('/proc').filter((name) => Number(name) > 1 && isWorker(name));
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Whether a request is answered; one that was with a worker that has just been killed is not.
const isAnswered = () =>
  new Promise((resolve) => {
    const request = http.get({ host: '127.0.0.1', port: 8000, agent: false }, (response) => {
      response.resume().on('end', () => resolve(true)).on('error', () => resolve(false));
    });
    request.on('error', () => resolve(false));
  });

async function main() {
  // One that takes long to die is there for a while yet.
  const killed = new Set();
  while (killed.size < Number(process.argv[3])) {
    await sleep(400);
    // However long they take to start, somebody serves.
    while (!(await isAnswered())) await sleep(10);
    const alive = workers().filter((pid) => !killed.has(pid));
    if (alive.length === 0) continue;
    const pid = alive[below(alive.length)];
    process.kill(Number(pid), 'SIGKILL');
    killed.add(pid);
  }
}
main();
