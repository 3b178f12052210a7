package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

class InterpolateCommandTest {

    @TempDir
    private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... args) {
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), args);
    }

    private int sweep(String... more) {
        List<String> args = new ArrayList<>(List.of("interpolate", "--from", "a red circle", "--to", "a blue square", "--size", "64x48",
                "--steps", "1", "--max-tokens", "32", "--seeds", "1", "--out", folder.resolve("out").toString()));
        args.addAll(List.of(more));
        return run(args.toArray(String[]::new));
    }

    private List<String> files() throws IOException {
        try (Stream<Path> files = Files.walk(folder.resolve("out"))) {
            return files.filter(Files::isRegularFile).map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void aSweepLeavesScoresImagesSheetAndReport() throws IOException {
        assertEquals(ExitCodes.OK, sweep("--alphas", "0,0.5,1"), err.toString());
        assertEquals(List.of("contact-sheet.png", "interpolation.csv", "report.html", "run.json", "seed-1-alpha-0.000000.png",
                "seed-1-alpha-0.500000.png", "seed-1-alpha-1.000000.png"), files());
        List<String> csv = Files.readAllLines(folder.resolve("out/interpolation.csv"));
        assertEquals("alpha,seed,structural,clip_from,clip_to,noise_sigma,blur,colour_entropy,step", csv.getFirst());
        assertEquals(4, csv.size());
    }

    @Test
    void withoutImagesNoPixelTouchesTheDisk() throws IOException {
        assertEquals(ExitCodes.OK, sweep("--alphas", "2", "--no-images"), err.toString());
        assertEquals(List.of("interpolation.csv", "report.html", "run.json"), files());
        assertFalse(Files.readString(folder.resolve("out/report.html")).contains("data:image"));
    }

    @Test
    void anInterruptedSweepGoesOnWhereItStopped() throws Exception {
        assertEquals(ExitCodes.OK, sweep("--alphas", "0,0.5,1"));
        String whole = Files.readString(folder.resolve("out/interpolation.csv"));
        Files.delete(folder.resolve("out/interpolation.csv"));
        Path journal = folder.resolve("out/sweep.journal");
        Thread watcher = interruptAfterFirstPiece(journal);
        int status = sweep("--alphas", "0,0.5,1");
        watcher.join();
        Thread.interrupted();
        assertEquals(ExitCodes.INTERRUPTED, status, err.toString());
        assertFalse(Files.exists(folder.resolve("out/interpolation.csv")));
        // the first image's score is changed to one that only the journal can tell, and the last line is cut short
        List<String> lines = Files.readAllLines(journal);
        String first = lines.get(1).replaceFirst("\"structural\":[0-9.]+", "\"structural\":123456.0");
        Files.writeString(journal, lines.getFirst() + "\n" + first + "\n{\"alpha\":0.5,\"se");
        err.getBuffer().setLength(0);
        assertEquals(ExitCodes.OK, sweep("--alphas", "0,0.5,1"), err.toString());
        assertTrue(err.toString().contains("1 images of the interrupted sweep are kept"), err.toString());
        List<String> resumed = Files.readAllLines(folder.resolve("out/interpolation.csv"));
        assertTrue(resumed.get(1).contains(",123456.0,"), resumed.get(1));
        assertEquals(whole.lines().toList().subList(2, 4), resumed.subList(2, 4));
        assertFalse(Files.exists(journal));
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

    @Test
    void anotherSweepsJournalIsNotMixedIn() throws IOException {
        Files.createDirectories(folder.resolve("out"));
        Files.writeString(folder.resolve("out/sweep.journal"), "{\"other\":1}\n{\"alpha\":0}\n");
        assertEquals(ExitCodes.BAD_INPUT, sweep("--alphas", "2"));
        assertTrue(err.toString().contains("unfinished run with other parameters"), err.toString());
    }

    @Test
    void theOriginalProtocolWritesTheScriptsColumns() throws IOException {
        assertEquals(ExitCodes.OK, run("interpolate", "--from", Reference.SAFE, "--to", Reference.EXTREME, "--protocol", "original",
                "--latents", Reference.caseFile("seed-compat").toString(), "--max-tokens", "64", "--no-images", "--out",
                folder.resolve("out").toString()), err.toString());
        List<String> csv = Files.readAllLines(folder.resolve("out/interpolation.csv"));
        assertEquals("alpha,structural,clip_logit", csv.getFirst());
        JsonNode rows = Reference.json("seed-compat-interpolation.json").path("rows");
        for (int i = 0; i < 10; i++) {
            String[] cells = csv.get(i + 1).split(",");
            assertEquals(rows.path(i).path("alpha").asDouble(), Double.parseDouble(cells[0]), 1e-12);
            assertEquals(1, Double.parseDouble(cells[1]) / rows.path(i).path("structural").asDouble(), 0.005);
            assertEquals(1, Double.parseDouble(cells[2]) / rows.path(i).path("clip_logit").asDouble(), 0.005);
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "--alphas 1 | expected 2 to",
        "--alphas 0,0.5,0.5 | stands twice",
        "--alphas 0,1,0.5 | ascending order",
        "--alphas 0,1.5 | no alpha",
        "--alphas x | no alpha",
        "--alphas 0,,1 | no alpha",
        "--alphas NaN,1 | no alpha",
        "--alphas 99999999 | expected 2 to",
        "--clip weights/tiny-klein | no clip",
        "--clip /nonexistent | /nonexistent",
        "--protocol original --seeds 1,2 | give one seed",
        "--steps 0 | --steps 0"})
    void wrongInputIsNamedInASentenceAndLeavesNothing(String args, String message) {
        List<String> line = new ArrayList<>(List.of("interpolate", "--from", "a", "--to", "b", "--size", "32x32", "--out",
                folder.resolve("out").toString()));
        line.addAll(List.of(args.split(" ")));
        assertEquals(ExitCodes.BAD_INPUT, run(line.toArray(String[]::new)), err.toString());
        assertTrue(err.toString().contains(message), err.toString());
        assertFalse(Files.exists(folder.resolve("out/interpolation.csv")));
    }

    @Test
    void aPromptOfTenThousandWordsIsCutAndRuns() throws IOException {
        assertEquals(ExitCodes.OK, run("interpolate", "--from", "word ".repeat(10_000), "--to", "a", "--size", "32x32", "--steps", "1",
                "--max-tokens", "32", "--seeds", "1", "--alphas", "2", "--no-images", "--out", folder.resolve("out").toString()), err.toString());
        assertTrue(Files.size(folder.resolve("out/run.json")) > 50_000);
    }

    @Test
    void aPictureIsDrawnAgainBitForBitFromItsMetadata() throws IOException {
        Path first = folder.resolve("first.png");
        Path again = folder.resolve("again.png");
        assertEquals(ExitCodes.OK, run("generate", "-p", "a \"red\" cube, été", "--size", "48x64", "--steps", "2", "--seed", "9",
                "--max-tokens", "40", "--noise", "torch-cuda", "--noise-type", "bf16", "-o", first.toString()), err.toString());
        assertEquals(ExitCodes.OK, run("generate", "--from-metadata", first.toString(), "-o", again.toString()), err.toString());
        assertArrayEquals(Files.readAllBytes(first), Files.readAllBytes(again));
        assertEquals(ExitCodes.BAD_INPUT, run("generate", "--from-metadata", "src/test/resources/reference/cases/image-0.png", "-o",
                again.toString()));
        assertTrue(err.toString().contains("records nothing"), err.toString());
    }

    @Test
    void keptEmbeddingsDrawWhatThePromptDraws() throws IOException {
        Path embeds = folder.resolve("e.safetensors");
        assertEquals(ExitCodes.OK, run("encode", "-p", "a cube", "--max-tokens", "32", "-o", embeds.toString()), err.toString());
        assertEquals(ExitCodes.OK, run("generate", "--embeds", embeds.toString(), "--size", "32x32", "--steps", "1", "-o",
                folder.resolve("a.png").toString()), err.toString());
        assertEquals(ExitCodes.OK, run("generate", "-p", "a cube", "--max-tokens", "32", "--size", "32x32", "--steps", "1", "-o",
                folder.resolve("b.png").toString()), err.toString());
        assertEquals(dev.kleinscope.pipeline.ImageFile.read(folder.resolve("a.png")), dev.kleinscope.pipeline.ImageFile.read(folder.resolve("b.png")));
    }
}
