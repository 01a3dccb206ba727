// Node's own cluster primary, for comparison: two workers of bench.js.
'use strict';
const cluster = require('cluster');

cluster.schedulingPolicy = process.argv[2] === 'shared' ? cluster.SCHED_NONE : cluster.SCHED_RR;
cluster.setupMaster({ exec: `${__dirname}/bench.js` });
for (let i = 0; i < 2; i += 1) cluster.fork();
