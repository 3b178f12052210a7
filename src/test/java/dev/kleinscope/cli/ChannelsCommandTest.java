package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class ChannelsCommandTest {

    private static final String[] SMALL = {"--size", "32x48", "--steps", "2", "--max-tokens", "32"};

    @TempDir
    private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int channels(String... more) {
        String[] line = Stream.of(Stream.of("channels", "--out", folder.resolve("out").toString()), Stream.of(SMALL), Stream.of(more))
                .flatMap(each -> each).toArray(String[]::new);
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), line);
    }

    @Test
    void theDemonstrationLeavesThreeFilesAndATable() throws IOException {
        assertEquals(ExitCodes.OK, channels(), err.toString());
        List<String> csv = Files.readAllLines(folder.resolve("out/channels.csv"));
        assertEquals("prompt,seed,step,pass,point,stream,tokens,norm,norm_without_top,massive_channels,norm_without_massive,kind,rank,index,text,"
                + "share,times_median,massive", csv.getFirst());
        JsonNode json = JsonMapper.shared().readTree(folder.resolve("out/channels.json").toFile());
        assertEquals("kleinscope.channels/1", json.path("schema").asString());
        // image and three kinds of text at 5 double blocks, all four at 20 single blocks
        assertEquals(5 * 4 + 20 * 4, json.path("summaries").size());
        assertEquals(4, json.path("summaries").get(0).path("forwards").asInt());
        assertEquals(1000, json.path("criterion").path("ratio").asInt());
        assertTrue(Files.readString(folder.resolve("out/channels.html")).contains("</html>"));
        assertTrue(out.toString().contains("single_transformer_blocks.19") && out.toString().contains("\"<|im_start|>\""), out.toString());
        assertTrue(out.toString().contains("Massive Activations in Large Language Models"), out.toString());
        try (Stream<Path> files = Files.list(folder.resolve("out"))) {
            assertEquals(3, files.count());
        }
    }

    @Test
    void jsonStandsAloneOnStandardOutput() {
        assertEquals(ExitCodes.OK, channels("--json", "-p", "red", "-p", "a blue\u202ething", "--points", "transformer_blocks.*.img,proj_out", "--seeds", "3,4"));
        JsonNode json = JsonMapper.shared().readTree(out.toString());
        assertEquals(2, json.path("prompts").size());
        assertEquals(6, json.path("summaries").size());
        assertEquals(8, json.path("summaries").get(5).path("forwards").asInt());
        assertEquals("proj_out", json.path("summaries").get(5).path("point").asString());
    }

    @Test
    void aLowerBarFindsMassiveChannels() {
        assertEquals(ExitCodes.OK, channels("--json", "--magnitude", "0.1", "--ratio", "1.5", "--points", "transformer_blocks.4.img"));
        JsonNode summary = JsonMapper.shared().readTree(out.toString()).path("summaries").get(0);
        assertTrue(summary.path("massive").asInt() > 0, summary.toString());
        assertTrue(summary.path("norm_without_massive").asDouble() < summary.path("norm").asDouble(), summary.toString());
    }

    @Test
    void anInterruptedCommandGoesOnToTheSameNumbers() throws Exception {
        String[] two = {"--points", "transformer_blocks.0.img", "-p", "red", "-p", "blue"};
        assertEquals(ExitCodes.OK, channels(two), err.toString());
        String whole = Files.readString(folder.resolve("out/channels.csv"));
        Files.delete(folder.resolve("out/channels.csv"));
        Path journal = folder.resolve("out/channels.journal");
        Thread test = Thread.currentThread();
        Thread watcher = Thread.ofPlatform().daemon().start(() -> {
            try {
                while (!Files.exists(journal) || Files.readString(journal).lines().count() < 2) {
                    Thread.sleep(1);
                }
                test.interrupt();
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        int status = channels(two);
        watcher.join();
        Thread.interrupted();
        if (status == ExitCodes.INTERRUPTED) {
            assertFalse(Files.exists(folder.resolve("out/channels.csv")));
        }
        // one finished run, with a number that only the journal can tell
        String head = JsonMapper.shared().readTree(folder.resolve("out/channels.json").toFile()).path("parameters").toString();
        String first = Files.exists(journal) ? Files.readString(journal).lines().findFirst().orElseThrow() : withoutDate(head);
        Files.writeString(journal, first + "\n{\"prompt\":1,\"seed\":1,\"cells\":[{\"prompt\":1,\"seed\":1,\"step\":0,\"pass\":\"cond\","
                + "\"point\":\"transformer_blocks.0.img\",\"stream\":\"image\",\"tokens\":6,\"width\":64,\"norm\":123.5,\"normWithoutTop\":\"NaN\","
                + "\"massive\":0,\"normWithoutMassive\":123.5,\"channels\":[{\"index\":3,\"text\":\"\",\"share\":0.5,\"timesMedian\":2,\"massive\":false}],"
                + "\"strongestTokens\":[]}]}\n{\"prompt\":2,\"se");
        assertEquals(ExitCodes.OK, channels(two), err.toString());
        List<String> resumed = Files.readAllLines(folder.resolve("out/channels.csv"));
        assertEquals("1,1,0,cond,transformer_blocks.0.img,image,6,123.5,NaN,0,123.5,channel,1,3,,0.5,2.0,false", resumed.get(1));
        assertEquals(whole.lines().filter(line -> line.startsWith("2,")).toList(), resumed.stream().filter(line -> line.startsWith("2,")).toList());
        assertFalse(Files.exists(journal));
    }

    /** The parameters that a run is compared by, of those that it recorded. */
    private static String withoutDate(String parameters) {
        return parameters.replaceFirst(",\"created\":\"[^\"]*\"", "");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "--points transformer_block.4.img | no probe point is called",
        "-p _ | --prompt: the prompt is empty",
        "--top 0 | --top 0: expected",
        "--top 65 | --top 65: expected",
        "--magnitude NaN | --magnitude takes",
        "--ratio 0.5 | --ratio one from 1",
        "--seeds 1,1 | stands twice",
        "--guidance -1 | --guidance -1.0: expected",
        "--model /nonexistent | /nonexistent"})
    void wrongInputIsNamedInASentenceAndLeavesNothing(String args, String message) {
        assertEquals(ExitCodes.BAD_INPUT, channels(Stream.of(args.split(" ")).map(arg -> arg.equals("_") ? " " : arg).toArray(String[]::new)),
                out + "\n" + err);
        assertTrue(err.toString().contains(message), err.toString());
        assertFalse(Files.exists(folder.resolve("out/channels.csv")));
        assertEquals("", out.toString());
    }
}
