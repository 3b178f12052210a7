package dev.kleinscope;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.SocketChannel;

/** A program that connects by a channel, which the in-JVM watch cannot see. */
final class NetworkAttempt {

    static final String ADDRESS = "192.0.2.1";

    private NetworkAttempt() {}

    public static void main(String[] args) throws IOException {
        try (SocketChannel channel = SocketChannel.open()) {
            channel.configureBlocking(false);
            channel.connect(new InetSocketAddress(ADDRESS, 9));
        }
    }
}
