// Bun's own server, which shares its port with the other workers'.
const { DUTCH_MASTER_SLOT: slot, DUTCH_MASTER_GENERATION: generation } = process.env;
Bun.serve({
  port: 8000,
  hostname: '127.0.0.1',
  reusePort: true,
  fetch: (request) => new Response(`id=${new URL(request.url).searchParams.get('id')} slot=${slot} generation=${generation} runtime=bun\n`),
});
