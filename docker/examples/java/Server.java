import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** A server on the passed socket. It needs no code for its end: when it is told to stop, it has long had nothing to do. */
public final class Server {
    private static final String GREETING =
            "hello from generation=" + System.getenv("DUTCH_MASTER_GENERATION") + "\n";
    private static final byte[] ANSWER = ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: "
            + GREETING.length() + "\r\n\r\n" + GREETING).getBytes(StandardCharsets.US_ASCII);

    public static void main(String[] args) throws IOException {
        ServerSocketChannel listener = (ServerSocketChannel) System.inheritedChannel();
        // Any byte written here means: ready.
        Files.writeString(Path.of("/proc/self/fd", System.getenv("NOTIFY_FD")), "\n");
        while (true) {
            SocketChannel client = listener.accept();
            new Thread(() -> answer(client)).start();
        }
    }

    private static void answer(SocketChannel client) {
        try (client) {
            var in = new BufferedReader(new InputStreamReader(client.socket().getInputStream()));
            for (String line = in.readLine(); line != null && !line.isEmpty(); ) {
                line = in.readLine();
            }
            client.write(ByteBuffer.wrap(ANSWER));
        } catch (IOException e) {
            System.err.println(e);
        }
    }
}
