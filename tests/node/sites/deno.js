// Deno's own server.
const slot = Deno.env.get('DUTCH_MASTER_SLOT');
const generation = Deno.env.get('DUTCH_MASTER_GENERATION');
Deno.serve({ port: 8000, hostname: '127.0.0.1' }, (request) => {
  const id = new URL(request.url).searchParams.get('id');
  return new Response(`id=${id} slot=${slot} generation=${generation} runtime=deno\n`);
});
