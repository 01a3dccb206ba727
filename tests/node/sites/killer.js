// Kills a random child of the master every 0.4 s. Arguments: a seed, and for how many seconds.
// Prints how many it has killed.
'use strict';
const fs = require('fs');

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

let killed = 0;
const end = Date.now() + 1000 * Number(process.argv[3]);
const rhythm = setInterval(() => {
  if (Date.now() > end) {
    clearInterval(rhythm);
    console.log(killed);
    return;
  }
  const alive = workers();
  if (alive.length === 0) return;
  process.kill(Number(alive[below(alive.length)]), 'SIGKILL');
  killed += 1;
}, 400);
