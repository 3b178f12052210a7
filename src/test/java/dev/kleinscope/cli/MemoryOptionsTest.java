package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kleinscope.MappedFiles;
import dev.kleinscope.Reference;
import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.bindings.linux.Pages;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ModelFiles;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine.TypeConversionException;

class MemoryOptionsTest {

    @TempDir
    private Path folder;

    private final StringWriter err = new StringWriter();

    private int generate(String name, String... options) {
        List<String> line = new ArrayList<>(List.of("generate", "-p", "a cube", "--size", "32x32", "--steps", "1", "--max-tokens", "32",
                "-o", folder.resolve(name).toString()));
        line.addAll(List.of(options));
        return Main.run(new PrintWriter(new StringWriter(), true), new PrintWriter(err, true), line.toArray(String[]::new));
    }

    @Test
    void neitherABudgetNorCopiesChangeABitOfAPicture() throws IOException {
        assumeTrue(Pages.available(), "Linux on x86-64 only");
        assertEquals(ExitCodes.OK, generate("plain.png", "--backend", "cpu"), err.toString());
        assertEquals(ExitCodes.OK, generate("copied.png", "--backend", "cpu", "--copy-weights"), err.toString());
        assertEquals(ExitCodes.OK, generate("bounded.png", "--backend", "cpu", "--memory-budget", "64GiB"), err.toString());
        byte[] plain = Files.readAllBytes(folder.resolve("plain.png"));
        assertArrayEquals(plain, Files.readAllBytes(folder.resolve("copied.png")));
        assertArrayEquals(plain, Files.readAllBytes(folder.resolve("bounded.png")));
    }

    @Test
    void aBudgetThatCannotWorkEndsWithWhatIsNeededAndLeavesNoPicture() {
        assumeTrue(Pages.available(), "Linux on x86-64 only");
        assertEquals(ExitCodes.UNAVAILABLE, generate("none.png", "--backend", "cpu", "--memory-budget", "50MiB"), err.toString());
        assertTrue(err.toString().contains("the memory budget of 0.05 GiB does not suffice"), err.toString());
        assertTrue(err.toString().contains("allow at least"), err.toString());
        assertFalse(Files.exists(folder.resolve("none.png")));
    }

    @Test
    void theOptionsNeedTheCpuBackend() {
        assertEquals(ExitCodes.BAD_INPUT, generate("none.png", "--backend", "reference", "--memory-budget", "8GiB"));
        assertTrue(err.toString().contains("--memory-budget needs --backend cpu"), err.toString());
        assertEquals(ExitCodes.BAD_INPUT, generate("none.png", "--backend", "reference", "--copy-weights"));
        assertTrue(err.toString().contains("--copy-weights needs --backend cpu"), err.toString());
    }

    @Test
    void theTextEncodersPagesAreReleasedOnceItIsDroppedAndTheTransformersOnceItRests() throws IOException {
        Path text = Reference.TINY_KLEIN.resolve("text_encoder/model.safetensors");
        Path transformer = Reference.TINY_KLEIN.resolve("transformer/diffusion_pytorch_model.safetensors");
        try (CpuOps ops = new CpuOps(2); Klein klein = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops)) {
            HostTensor embeds = klein.encode(klein.tokenizer().prompt("a cube", 32));
            assertTrue(MappedFiles.residentBytes(text) > Files.size(text) / 2, "the text encoder's pages were looked for in the wrong place");
            klein.dropTextEncoder();
            assertTrue(MappedFiles.residentBytes(text) < Files.size(text) / 20, "left of the text encoder: " + MappedFiles.residentBytes(text));
            klein.dit();
            assertTrue(MappedFiles.residentBytes(transformer) > Files.size(transformer) / 20, "nothing of the transformer was read");
            klein.restTransformer();
            assertTrue(MappedFiles.residentBytes(transformer) < Files.size(transformer) / 20,
                    "left of the transformer: " + MappedFiles.residentBytes(transformer));
            assertArrayEquals(embeds.values(), klein.encode(klein.tokenizer().prompt("a cube", 32)).values());
        }
    }

    @Test
    void sizesAreReadAsPeopleWriteThem() {
        ByteSize.Converter converter = new ByteSize.Converter();
        assertEquals(8L << 30, converter.convert("8GiB").bytes());
        assertEquals(8L << 30, converter.convert("8g").bytes());
        assertEquals(7_500_000_000L, converter.convert("7.5 GB").bytes());
        assertEquals(500L << 20, converter.convert("500MiB").bytes());
        for (String wrong : List.of("8", "GiB", "-8GiB", "0GiB", "8TiB", "1e3GiB", "")) {
            assertThrows(TypeConversionException.class, () -> converter.convert(wrong), wrong);
        }
    }

    @Test
    void weightsThatWereReadAgainAndAgainAreRemarkedOn() {
        DiskReads before = new DiskReads(100, 1L << 30);
        assertNull(DiskReads.note(before, new DiskReads(50_000, 9L << 30), 8L << 30, false), "read once");
        assertNull(DiskReads.note(before, new DiskReads(200, 33L << 30), 8L << 30, false), "nothing had to wait");
        String note = DiskReads.note(before, new DiskReads(50_100, 33L << 30), 8L << 30, false);
        assertTrue(note.contains("read 4.0 times from disk (32.0 GiB of 8.0 GiB, 50000 waits)") && note.contains("--copy-weights"), note);
        assertFalse(DiskReads.note(before, new DiskReads(50_100, 33L << 30), 8L << 30, true).contains("--copy-weights"));
    }

    @Test
    void readsOfThisProcessAreCounted() throws IOException {
        assumeTrue(Files.isReadable(Path.of("/proc/self/io")), "the system does not tell");
        DiskReads now = DiskReads.now();
        assertTrue(now.bytes() >= 0 && now.majorFaults() >= 0, now.toString());
        String stat = Files.readString(Path.of("/proc/self/stat"));
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        assertTrue(Long.parseLong(fields[9]) >= now.majorFaults(), stat);
    }

    @Test
    void copyingThatTakesLongTellsHowFarItIs() throws InterruptedException {
        ByteArrayOutputStream written = new ByteArrayOutputStream();
        CopyLines lines = new CopyLines(new PrintStream(written, true, StandardCharsets.UTF_8));
        lines.copied("the model", 1L << 28, 1L << 30);
        assertEquals("", written.toString(StandardCharsets.UTF_8), "short copying leaves no trace");
        Thread.sleep(2_050);
        lines.copied("the model", 1L << 29, 1L << 30);
        assertTrue(written.toString(StandardCharsets.UTF_8).startsWith("copying the weights of the model: 512.0 MiB of 1.0 GiB, 2 s left"),
                written.toString(StandardCharsets.UTF_8));
    }
}
