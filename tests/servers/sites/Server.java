import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Phaser;

/** Serves on descriptor 0. On SIGTERM it accepts no more, finishes what it has, and goes. */
public final class Server {
    private static final String GENERATION = System.getenv().getOrDefault("DUTCH_MASTER_GENERATION", "");
    /** An idle connection is left to its client for so long, then closed. */
    private static final int LINGER_MILLIS = 2000;

    private static final Phaser busy = new Phaser(1);
    private static volatile boolean stopping;

    public static void main(String[] args) throws Exception {
        ServerSocketChannel listener = (ServerSocketChannel) System.inheritedChannel();
        if (listener == null) {
            throw new IOException("descriptor 0 is no listener");
        }
        // Others accept from the same queue: a blocking accept could wait for ever for one that is
        // gone, and a closed channel would drop a connection that accept had just returned.
        listener.configureBlocking(false);
        Selector selector = Selector.open();
        listener.register(selector, SelectionKey.OP_ACCEPT);
        CountDownLatch done = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stopping = true;
            selector.wakeup();
            try {
                done.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        ready();
        while (!stopping) {
            selector.select();
            selector.selectedKeys().clear();
            SocketChannel client = stopping ? null : listener.accept();
            if (client != null) {
                busy.register();
                Thread thread = new Thread(() -> converse(client));
                thread.setDaemon(true);
                thread.start();
            }
        }
        busy.arriveAndAwaitAdvance();
        done.countDown();
    }

    /** Any byte in NOTIFY_FD means ready. */
    private static void ready() throws IOException {
        String fd = System.getenv("NOTIFY_FD");
        if (fd != null) {
            try (FileOutputStream out = new FileOutputStream("/proc/self/fd/" + fd)) {
                out.write('\n');
            }
        }
    }

    private static void converse(SocketChannel client) {
        try (client) {
            client.setOption(java.net.StandardSocketOptions.TCP_NODELAY, true);
            client.socket().setSoTimeout(LINGER_MILLIS);
            var in = client.socket().getInputStream();
            boolean close = false;
            while (!close) {
                StringBuilder head = new StringBuilder();
                for (int c; head.indexOf("\r\n\r\n") < 0 && (c = in.read()) >= 0; ) {
                    head.append((char) c);
                }
                if (head.indexOf("\r\n\r\n") < 0) {
                    return;
                }
                close = stopping || head.indexOf("Connection: close") >= 0;
                client.write(ByteBuffer.wrap(answer(head.toString(), close)));
            }
        } catch (IOException e) {
            // A client that goes away, or has nothing to ask for so long, is its own affair.
        } finally {
            busy.arriveAndDeregister();
        }
    }

    /** Some requests take a while, so that a few are in flight whenever the signal comes. */
    private static void pause() throws IOException {
        try {
            Thread.sleep(100);
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }

    private static byte[] answer(String head, boolean close) throws IOException {
        int from = head.indexOf("id=") + 3;
        String id = head.substring(from, head.indexOf(' ', from));
        if (id.endsWith("0")) {
            pause();
        }
        String body = "id=" + id + ". generation=" + GENERATION + "\n";
        String text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + body.length()
                + "\r\nConnection: " + (close ? "close" : "keep-alive") + "\r\n\r\n" + body;
        return text.getBytes(StandardCharsets.US_ASCII);
    }
}
