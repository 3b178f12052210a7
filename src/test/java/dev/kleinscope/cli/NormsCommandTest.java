package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class NormsCommandTest {

    private static final String[] SMALL = {"--size", "32x48", "--steps", "2", "--max-tokens", "32", "--seeds", "1,2"};

    @TempDir
    private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... args) {
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), args);
    }

    private int norms(String... more) {
        List<String> args = new ArrayList<>(List.of("norms", "--out", folder.resolve("out").toString()));
        args.addAll(List.of(more));
        return run(args.toArray(String[]::new));
    }

    private int small(String... more) {
        return norms(Stream.concat(Stream.of(SMALL), Stream.of(more)).toArray(String[]::new));
    }

    @Test
    void theDemonstrationLeavesThreeFilesAndAFinding() throws IOException {
        assertEquals(ExitCodes.OK, small(), err.toString());
        List<String> csv = Files.readAllLines(folder.resolve("out/norms.csv"));
        assertEquals("prompt,seed,step,pass,point,stream,measure,value", csv.getFirst());
        assertTrue(csv.size() > 5000, "rows: " + csv.size());
        JsonNode json = new ObjectMapper().readTree(folder.resolve("out/run.json").toFile());
        assertEquals("kleinscope.run/1", json.path("schema").asString());
        assertEquals(64, json.path("parameters").path("weights").path("transformer").path("fingerprint").asString().length());
        assertTrue(Files.readString(folder.resolve("out/report.html")).contains("</html>"));
        assertTrue(out.toString().contains("no test"), out.toString());
        assertTrue(err.toString().contains("backend cpu"), err.toString());
    }

    @Test
    void jsonStandsAloneOnStandardOutput() {
        assertEquals(ExitCodes.OK, small("--json"));
        assertEquals("kleinscope.run/1", new ObjectMapper().readTree(out.toString()).path("schema").asString());
    }

    @Test
    void theOriginalProtocolWritesTheScriptsTable() throws IOException {
        assertEquals(ExitCodes.OK, norms("--protocol", "original", "--latents", Reference.caseFile("seed-compat").toString(),
                "--max-tokens", "64", "--safe", Reference.SAFE, "--extreme", Reference.EXTREME, "--distilled", "false"), err.toString());
        List<String> csv = Files.readAllLines(folder.resolve("out/norms.csv"));
        assertEquals("layer,safe_avg,extreme_avg,ratio", csv.getFirst());
        assertEquals(26, csv.size());
        String[] first = csv.get(1).split(",");
        JsonNode expected = Reference.json("seed-compat-norms.json").path("layers").path("base").path("DoubleStream_Layer_0");
        assertEquals("DoubleStream_Layer_0", first[0]);
        assertEquals(expected.path("safe_avg").asDouble(), Double.parseDouble(first[1]), 1e-2);
        assertTrue(out.toString().contains("What is wrong with this method"), out.toString());
    }

    @Test
    void chosenPointsAreTheOnlyOnesMeasured() throws IOException {
        assertEquals(ExitCodes.OK, small("--points", "DoubleStream_Layer_4,single_blocks.7,temb,proj_out".replace("temb", "time_guidance_embed")));
        List<String> points = Files.readAllLines(folder.resolve("out/norms.csv")).stream().skip(1).map(line -> line.split(",")[4]).distinct().toList();
        assertEquals(List.of("time_guidance_embed", "transformer_blocks.4.txt", "single_transformer_blocks.7", "proj_out"), points);
    }

    @Test
    void theSameRunGivesTheSameNumbers() throws IOException {
        assertEquals(ExitCodes.OK, small());
        byte[] first = Files.readAllBytes(folder.resolve("out/norms.csv"));
        assertEquals(ExitCodes.OK, small());
        assertEquals(new String(first, StandardCharsets.UTF_8), Files.readString(folder.resolve("out/norms.csv")));
    }

    @Test
    void anInterruptedCommandGoesOnToTheSameNumbers() throws Exception {
        assertEquals(ExitCodes.OK, small());
        String whole = Files.readString(folder.resolve("out/norms.csv"));
        Files.delete(folder.resolve("out/norms.csv"));
        Path journal = folder.resolve("out/norms.journal");
        Thread watcher = interruptAfterFirstPiece(journal);
        int status = small();
        watcher.join();
        Thread.interrupted();
        assertEquals(ExitCodes.INTERRUPTED, status, err.toString());
        assertTrue(Files.exists(journal));
        assertFalse(Files.exists(folder.resolve("out/norms.csv")));
        // one finished run, with a number that only the journal can tell, and a line cut short
        String head = Files.readString(journal).lines().findFirst().orElseThrow();
        Files.writeString(journal, head + "\n{\"prompt\":\"safe\",\"seed\":1,\"rows\":[[0,\"cond\",\"transformer_blocks.0.img\",\"image\",\"n\","
                + "\"123.5\"]]}\n{\"prompt\":\"extr");
        assertEquals(ExitCodes.OK, small(), err.toString());
        List<String> resumed = Files.readAllLines(folder.resolve("out/norms.csv"));
        assertEquals("safe,1,0,cond,transformer_blocks.0.img,image,n,123.5", resumed.get(1));
        List<String> others = whole.lines().filter(line -> !line.startsWith("safe,1,")).toList();
        assertEquals(others, resumed.stream().filter(line -> !line.startsWith("safe,1,")).toList());
        assertFalse(Files.exists(journal));
        assertEquals(ExitCodes.OK, small());
        assertEquals(whole, Files.readString(folder.resolve("out/norms.csv")));
    }

    /** Interrupts this thread as soon as the journal has a finished piece. */
    private static Thread interruptAfterFirstPiece(Path journal) {
        Thread test = Thread.currentThread();
        return Thread.ofPlatform().daemon().start(() -> {
            try {
                while (!Files.exists(journal) || Files.readString(journal).lines().count() < 2) {
                    Thread.sleep(1);
                }
                test.interrupt();
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "--points transformer_block.4.img | no probe point is called",
        "--size 500x512 | multiples of 16",
        "--size 0x16 | multiples of 16",
        "--size 99999x16 | multiples of 16",
        "--size big | WIDTHxHEIGHT",
        "--safe x | go together",
        "--safe x --extreme _ | --extreme: the prompt is empty",
        "--safe _ --extreme x | --safe: the prompt is empty",
        "--safe x --extreme a\uFFFDb | UTF-8",
        "--steps 0 | --steps 0: expected",
        "--steps 100000 | --steps 100000: expected",
        "--max-tokens 3 | --max-tokens 3: expected",
        "--guidance -1 | --guidance -1.0: expected",
        "--guidance NaN | --guidance NaN: expected",
        "--seeds 1,1 | stands twice",
        "--seeds x | --seeds",
        "--model /nonexistent | /nonexistent",
        "--model src | not a model folder",
        "--model pom.xml | pom.xml",
        "--model weights/tiny-klein/vae | no transformer",
        "--model weights/tiny-klein/text_encoder | no transformer",
        "--latents pom.xml | pom.xml",
        "--latents weights/tiny-klein/vae/diffusion_pytorch_model.safetensors | expected a tensor latents",
        "--protocol original --seeds 1,2 | give one seed",
        "--protocol original --points proj_out | leave the option out",
        "--protocol other | other",
        "--backend vulkan | vulkan"})
    void wrongInputIsNamedInASentenceAndLeavesNothing(String args, String message) {
        List<String> line = Stream.of(args.split(" ")).map(arg -> arg.equals("_") ? " " : arg).toList();
        assertEquals(ExitCodes.BAD_INPUT, norms(line.toArray(String[]::new)), out + "\n" + err);
        assertTrue(err.toString().contains(message), err.toString());
        String said = err.toString().lines().filter(text -> text.startsWith("kleinscope: ")).findFirst().orElseThrow();
        assertTrue(said.length() < 600, said);
        assertFalse(Files.exists(folder.resolve("out/norms.csv")));
        assertEquals("", out.toString());
    }

    @Test
    void latentsOfAnotherSizeAreRefused() {
        assertEquals(ExitCodes.BAD_INPUT, norms("--latents", Reference.caseFile("seed-compat").toString(), "--size", "64x64"));
        assertTrue(err.toString().contains("96x64"), err.toString());
    }

    @Test
    void aTruncatedModelIsNamed() throws IOException {
        Path model = folder.resolve("model");
        copy(Reference.TINY_KLEIN, model);
        Path weights = model.resolve("transformer/diffusion_pytorch_model.safetensors");
        byte[] bytes = Files.readAllBytes(weights);
        Files.write(weights, java.util.Arrays.copyOf(bytes, bytes.length - 1000));
        assertEquals(ExitCodes.BAD_INPUT, norms("--model", model.toString()));
        assertTrue(err.toString().contains("truncated"), err.toString());
        assertFalse(Files.exists(folder.resolve("out/norms.csv")));
    }

    @Test
    void aFullDiskIsNamedAndNothingHalfWrittenStays() throws Exception {
        Path disk = Files.createDirectory(folder.resolve("disk"));
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        String script = "mount -t tmpfs -o size=96k tmpfs " + disk + " || exit 99; " + java
                + " --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED -cp '" + System.getProperty("java.class.path")
                + "' dev.kleinscope.cli.Main norms --out " + disk + "/out " + String.join(" ", SMALL) + "; status=$?; echo LEFT; ls -A " + disk
                + "/out; exit $status";
        Process process;
        try {
            process = new ProcessBuilder("unshare", "-rm", "sh", "-c", script).redirectErrorStream(true).start();
        } catch (IOException e) {
            System.out.println("SKIPPED: a full disk needs unshare");
            Assumptions.abort("no unshare");
            return;
        }
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(process.waitFor(2, TimeUnit.MINUTES));
        Assumptions.assumeTrue(process.exitValue() != 99 && !said.contains("unshare:"), "skipped: no small disk can be mounted here");
        assertEquals(ExitCodes.BAD_INPUT, process.exitValue(), said);
        assertTrue(said.contains("No space left") || said.contains("space"), said);
        List<String> left = said.lines().dropWhile(line -> !line.equals("LEFT")).skip(1).toList();
        assertTrue(left.isEmpty() || left.equals(List.of("norms.journal")), "only what the command goes on from may stay: " + left);
    }

    private static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(from.relativize(file).toString()));
            }
        }
    }
}
