package dev.kleinscope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import dev.kleinscope.cli.Main;
import dev.kleinscope.pipeline.TokenizerLibrary;
import java.io.ByteArrayInputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.Proxy;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NoNetworkTest {

    /** An address that is never assigned (RFC 5737), and a name that never resolves (RFC 6761). */
    private static final String ADDRESS = "192.0.2.1";

    private static final String NAME = "kleinscope.invalid";

    private static final String TOKENIZER = """
            {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
             "model": {"type": "WordLevel", "vocab": {"red": 0, "[UNK]": 1}, "unk_token": "[UNK]"}}
            """;

    @Test
    void theWatchSeesALookup() {
        assertEquals(List.of("lookup " + NAME), NetworkWatch.attempts(() -> InetAddress.getByName(NAME)));
    }

    @Test
    void theWatchSeesASocketToABareAddress() {
        assertEquals(List.of("connect socket://" + ADDRESS + ":9"),
                NetworkWatch.attempts(() -> new Socket(ADDRESS, 9)));
    }

    @Test
    void theWatchSeesAUrlConnectionToABareAddress() {
        URI uri = URI.create("http://" + ADDRESS + "/latest");
        assertEquals(List.of("connect " + uri), NetworkWatch.attempts(() -> uri.toURL().openStream()));
    }

    @Test
    void theWatchSeesAUrlConnectionPastTheProxySelector() {
        URI uri = URI.create("http://" + ADDRESS + "/latest");
        assertEquals(List.of("connect " + uri),
                NetworkWatch.attempts(() -> uri.toURL().openConnection(Proxy.NO_PROXY).getContent()));
    }

    @Test
    void theWatchSeesAnHttpClient() {
        List<String> attempts = NetworkWatch.attempts(() -> {
            try (HttpClient client = HttpClient.newHttpClient()) {
                return client.send(HttpRequest.newBuilder(URI.create("http://" + ADDRESS + "/")).build(),
                        HttpResponse.BodyHandlers.discarding());
            }
        });
        assertTrue(attempts.toString().contains(ADDRESS), attempts.toString());
    }

    @Test
    void normsReachesForNothing(@TempDir Path folder) throws Exception {
        int status = NetworkWatch.during(() -> Main.run(new PrintWriter(new StringWriter()), new PrintWriter(new StringWriter()),
                "norms", "--size", "32x32", "--steps", "1", "--seeds", "1", "--max-tokens", "32", "--out", folder.toString()));
        assertEquals(0, status);
        assertTrue(Files.size(folder.resolve("norms.csv")) > 1000);
    }

    @Test
    void doctorReachesForNothing() throws Exception {
        StringWriter out = new StringWriter();
        int status = NetworkWatch.during(
                () -> Main.run(new PrintWriter(out), new PrintWriter(new StringWriter()), "doctor", "--json"));
        assertEquals(0, status);
        assertTrue(out.toString().contains("tokenizers"), out.toString());
    }

    @Test
    void theTokenizerLibraryReachesForNothing() throws Exception {
        long[] ids = NetworkWatch.during(() -> {
            TokenizerLibrary.prepare();
            var json = new ByteArrayInputStream(TOKENIZER.getBytes(StandardCharsets.UTF_8));
            try (HuggingFaceTokenizer tokenizer = HuggingFaceTokenizer.newInstance(json, Map.of())) {
                return tokenizer.encode("red").getIds();
            }
        });
        assertEquals(0, ids[0]);
    }

    @Test
    void theTokenizerLibraryIsTheBundledCpuBuild() throws Exception {
        var file = NetworkWatch.during(TokenizerLibrary::load);
        assertTrue(Files.isRegularFile(file), file.toString());
        assertTrue(file.toString().contains("-cpu-"), file.toString());
    }
}
