import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

/** The JDK's own server: no signals, no draining. */
public final class Plain {
    private static final String WORKER = System.getenv().getOrDefault("DUTCH_MASTER_WORKER_ID", "");

    public static void main(String[] args) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 8000), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", Plain::answer);
        server.start();
    }

    private static void answer(HttpExchange exchange) throws IOException {
        String id = exchange.getRequestURI().getQuery().replace("id=", "");
        try {
            // Some requests take a while, so that a few are in flight whenever the worker is replaced.
            Thread.sleep(id.endsWith("0") ? 100 : 0);
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
        byte[] body = ("id=" + id + ". worker=" + WORKER + "\n").getBytes(StandardCharsets.US_ASCII);
        exchange.sendResponseHeaders(200, body.length);
        try (OutputStream out = exchange.getResponseBody()) {
            out.write(body);
        }
    }
}
