// Node without cluster.
const http = require("http");

http
  .createServer((request, response) => {
    const id = new URL(request.url, "http://x").searchParams.get("id");
    const answer = () => response.end(`id=${id}. worker=${process.env.DUTCH_MASTER_WORKER_ID}\n`);
    // Some requests take a while, so that a few are in flight whenever the worker is replaced.
    setTimeout(answer, id.endsWith("0") ? 100 : 0);
  })
  .listen(8000, "127.0.0.1");
