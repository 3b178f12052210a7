package dev.kleinscope.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Properties;
import picocli.CommandLine.IVersionProvider;

/** The version of Kleinscope and of what it runs on. */
final class Version implements IVersionProvider {

    static String kleinscope() {
        Properties properties = new Properties();
        try (InputStream in = Version.class.getResourceAsStream("version.properties")) {
            properties.load(in);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return properties.getProperty("version");
    }

    static String java() {
        return System.getProperty("java.runtime.version") + " (" + System.getProperty("java.vendor") + ")";
    }

    static String system() {
        return System.getProperty("os.name") + " " + System.getProperty("os.version") + " "
                + System.getProperty("os.arch");
    }

    static String summary() {
        return "kleinscope " + kleinscope() + ", Java " + java() + ", " + system();
    }

    @Override
    public String[] getVersion() {
        return new String[] {"kleinscope " + kleinscope(), "Java " + java(), system()};
    }
}
