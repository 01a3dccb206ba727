// A server that knows nothing of clusters, as an ES module.
import http from 'node:http';

const { DUTCH_MASTER_GENERATION: generation, DUTCH_MASTER_SLOT: slot } = process.env;
http
  .createServer((request, response) => {
    const id = new URL(request.url, 'http://app').searchParams.get('id');
    response.end(`id=${id} pid=${process.pid} slot=${slot} generation=${generation}\n`);
  })
  .listen(8000);
