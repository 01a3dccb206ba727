const http = require("node:http");

setTimeout(() => {
  if ("FATE" === "broken") throw new Error("this release is broken");
  if ("FATE" === "hanging") return setInterval(() => {}, 1000);
  const server = http.createServer((request, response) => {
    const id = new URL(request.url, "http://a").searchParams.get("id");
    response.end(`id=${id}. version=VERSION\n`);
  });
  server.listen(process.env.PORT, "127.0.0.1");
}, BOOT * 1000);
