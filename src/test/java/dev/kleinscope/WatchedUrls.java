package dev.kleinscope;

import java.io.IOException;
import java.net.Proxy;
import java.net.URL;
import java.net.URLConnection;
import java.net.URLStreamHandler;
import java.net.spi.URLStreamHandlerProvider;
import java.util.Set;

/**
 * Refuses every connection of a web URL in the tests' JVM and tells {@link NetworkWatch}; a service, so that the JVM
 * takes it before its own. DJL reports by such connections, to a bare address and past the proxy selector.
 */
public final class WatchedUrls extends URLStreamHandlerProvider {

    private static final Set<String> WEB = Set.of("http", "https", "ftp");

    @Override
    public URLStreamHandler createURLStreamHandler(String protocol) {
        return WEB.contains(protocol) ? new Refusing() : null;
    }

    private static final class Refusing extends URLStreamHandler {

        @Override
        protected URLConnection openConnection(URL url) throws IOException {
            NetworkWatch.connect(url.toString());
            throw new IOException(url + " (refused by the test)");
        }

        @Override
        protected URLConnection openConnection(URL url, Proxy proxy) throws IOException {
            return openConnection(url);
        }
    }
}
