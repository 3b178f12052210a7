package dev.kleinscope;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * Records, and refuses, what the JVM tries to reach beyond this machine: every name that is looked up, every connection
 * of a web URL, and every address that a {@code Socket} or an {@code HttpClient} connects to, by name or by number.
 * Channels, sockets told to use no proxy and native code pass it by; {@link NoNetworkSystemCallTest} sees those.
 */
public final class NetworkWatch {

    private static final List<String> ATTEMPTS = new CopyOnWriteArrayList<>();
    private static volatile boolean watching;

    private NetworkWatch() {}

    /** Runs it and fails if it tried to reach anything; returns what it returned. */
    public static <T> T during(Callable<T> task) throws Exception {
        ATTEMPTS.clear();
        T result = watch(task);
        assertEquals(List.of(), List.copyOf(ATTEMPTS), "attempts to reach the network");
        return result;
    }

    /** Runs it, whatever becomes of it, and returns what it tried to reach. */
    static List<String> attempts(Callable<?> task) {
        ATTEMPTS.clear();
        try {
            watch(task);
        } catch (Exception _) {
            // refused, as it should be
        }
        return List.copyOf(ATTEMPTS);
    }

    private static synchronized <T> T watch(Callable<T> task) throws Exception {
        ProxySelector before = ProxySelector.getDefault();
        ProxySelector.setDefault(new RefusingSelector());
        watching = true;
        try {
            return task.call();
        } finally {
            watching = false;
            ProxySelector.setDefault(before);
        }
    }

    /** Called by {@link WatchedResolver} for each name. */
    static void lookup(String host) throws UnknownHostException {
        if (watching && !host.equals("localhost")) {
            ATTEMPTS.add("lookup " + host);
            throw new UnknownHostException(host + " (refused by the test)");
        }
    }

    /** Called by {@link WatchedUrls} for each connection. */
    static void connect(String url) {
        if (watching) {
            ATTEMPTS.add("connect " + url);
        }
    }

    private static final class RefusingSelector extends ProxySelector {

        @Override
        public List<Proxy> select(URI uri) {
            if (!local(uri.getHost())) {
                ATTEMPTS.add("connect " + uri);
                throw new SecurityException(uri + " (refused by the test)");
            }
            return List.of(Proxy.NO_PROXY);
        }

        private static boolean local(String host) {
            try {
                return host.equals("localhost")
                        || host.matches("[0-9.]+|\\[.*]") && InetAddress.getByName(host).isLoopbackAddress();
            } catch (UnknownHostException _) {
                return false;
            }
        }

        @Override
        public void connectFailed(URI uri, SocketAddress address, IOException failure) {
            ATTEMPTS.add("connect " + uri);
        }
    }
}
