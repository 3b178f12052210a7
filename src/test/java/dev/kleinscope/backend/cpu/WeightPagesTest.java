package dev.kleinscope.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kleinscope.MappedFiles;
import dev.kleinscope.bindings.linux.Pages;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.MemoryShortageException;
import dev.kleinscope.ops.WeightGroup;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.Safetensors;
import dev.kleinscope.weights.SafetensorsWriter;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WeightPagesTest {

    private static final int LAYERS = 8;
    private static final int WIDTH = 512;
    private static final long MIB = 1 << 20;
    private static final long LAYER_BYTES = MIB;
    /** What is kept free beside the weights. */
    private static final long MARGIN = 32 * MIB;
    /** The kernel maps up to 16 pages around the one that is read. */
    private static final long AROUND = 2L * 64 * 1024;

    @TempDir
    private Path folder;

    /** A model of eight layers, and the process's size as a test wants it. */
    private final class Model implements AutoCloseable {

        private final Path file = folder.resolve("model.safetensors");
        private final Safetensors source;
        private final CpuOps ops;
        private final List<Linear> layers = new ArrayList<>();
        private long anonymous;
        private WeightGroup group;

        Model(CpuMemory memory) {
            ops = new CpuOps(2).using(memory, () -> new Residency.Sizes(anonymous, 0));
            write(file);
            source = Safetensors.open(file);
        }

        void load() {
            group = ops.weightGroup("the model", (long) LAYERS * WIDTH * WIDTH, () -> {
                layers.clear();
                for (String name : source.names()) {
                    layers.add(new Linear(ops.weight(source.tensor(name))));
                }
            });
        }

        /** One row through all layers. @return the most that was in memory of the file after a layer */
        float[] forward(long[] most) throws IOException {
            try (Frame _ = ops.frame()) {
                Tensor x = ops.input(HostTensor.of("x", new float[WIDTH], 1, WIDTH));
                Tensor row = ops.input(HostTensor.of("x", noise(), 1, WIDTH));
                ops.copy(row, x);
                for (Linear layer : layers) {
                    Tensor y = ops.alloc(Shape.of(1, WIDTH));
                    ops.linear(x, layer, y);
                    x = y;
                    most[0] = Math.max(most[0], MappedFiles.residentBytes(file));
                }
                return x.toHost().values();
            }
        }

        @Override
        public void close() {
            group.close();
            source.close();
            ops.close();
        }
    }

    private static float[] noise() {
        Random random = new Random(5);
        float[] values = new float[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            values[i] = random.nextFloat() - 0.5f;
        }
        return values;
    }

    private static void write(Path file) {
        List<SafetensorsWriter.Declaration> declarations = new ArrayList<>();
        for (int i = 0; i < LAYERS; i++) {
            declarations.add(new SafetensorsWriter.Declaration("layer." + i, DType.F32, Shape.of(WIDTH, WIDTH)));
        }
        Random random = new Random(3);
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, declarations, Map.of())) {
            for (int i = 0; i < LAYERS; i++) {
                float[] values = new float[WIDTH * WIDTH];
                for (int j = 0; j < values.length; j++) {
                    values[j] = (random.nextFloat() - 0.5f) / 8;
                }
                writer.write("layer." + i, values);
            }
            writer.commit();
        }
    }

    private float[] unbounded() throws IOException {
        try (Model model = new Model(CpuMemory.MAPPED)) {
            model.load();
            return model.forward(new long[1]);
        }
    }

    @Test
    void withoutABudgetAllWeightsStayAndGoWhenTheModelRests() throws IOException {
        try (Model model = new Model(CpuMemory.MAPPED)) {
            model.load();
            long[] most = new long[1];
            float[] first = model.forward(most);
            // some: a kernel short of memory takes pages when it likes
            assertTrue(most[0] >= LAYERS * LAYER_BYTES / 2, "in memory: " + most[0]);
            model.group.rest();
            long left = MappedFiles.residentBytes(model.file);
            assertTrue(left <= AROUND, "left in memory: " + left);
            assertTrue(model.group.hold(), "mapped weights come back by themselves");
            assertArrayEquals(first, model.forward(most));
        }
    }

    @Test
    void withinABudgetAsManyStayAsItAllowsAndTheBitsAreTheSame() throws IOException {
        float[] expected = unbounded();
        try (Model model = new Model(new CpuMemory(MARGIN + 3 * LAYER_BYTES + 1, false, (_, _, _) -> { }))) {
            model.load();
            for (int pass = 0; pass < 3; pass++) {
                long[] most = new long[1];
                assertArrayEquals(expected, model.forward(most));
                assertTrue(most[0] <= 3 * LAYER_BYTES + 3 * AROUND, "pass " + pass + ", in memory: " + most[0]);
                assertTrue(most[0] >= 3 * LAYER_BYTES / 2, "pass " + pass + ", in memory: " + most[0]);
            }
            long kept = MappedFiles.residentBytes(model.file);
            assertTrue(kept >= 3 * LAYER_BYTES / 2, "the first weights are kept from pass to pass: " + kept);
        }
    }

    @Test
    void layersOfOneInputStayWithinTheBudgetToo() throws IOException {
        try (Model model = new Model(new CpuMemory(MARGIN + 3 * LAYER_BYTES + 1, false, (_, _, _) -> { })); Frame _ = model.ops.frame()) {
            model.load();
            Tensor x = model.ops.input(HostTensor.of("x", noise(), 1, WIDTH));
            Tensor both = model.ops.alloc(Shape.of(1, 2 * WIDTH));
            for (int i = 0; i < LAYERS; i += 2) {
                model.ops.linear(x, model.layers.subList(i, i + 2), both);
                long now = MappedFiles.residentBytes(model.file);
                assertTrue(now <= 3 * LAYER_BYTES + 3 * AROUND, "after layer " + (i + 1) + ", in memory: " + now);
            }
        }
    }

    @Test
    void activationsThatGrowTakeTheRoomOfWeights() throws IOException {
        try (Model model = new Model(new CpuMemory(MARGIN + 6 * LAYER_BYTES + 1, false, (_, _, _) -> { }))) {
            model.load();
            model.forward(new long[1]);
            model.anonymous = 4 * LAYER_BYTES;
            model.forward(new long[1]);
            long kept = MappedFiles.residentBytes(model.file);
            assertTrue(kept <= 2 * LAYER_BYTES + 3 * AROUND, "in memory: " + kept);
        }
    }

    @Test
    void aBudgetTooSmallForOneWeightIsRefusedWithWhatIsNeeded() {
        try (Model model = new Model(new CpuMemory(MARGIN + LAYER_BYTES - 1, false, (_, _, _) -> { }))) {
            model.load();
            MemoryShortageException refused = assertThrows(MemoryShortageException.class, () -> model.forward(new long[1]));
            assertTrue(refused.getMessage().contains("allow at least 0.04 GiB"), refused.getMessage());
            refused = assertThrows(MemoryShortageException.class, () -> model.group.reserve("a large picture", 4L << 30));
            assertTrue(refused.getMessage().contains("a large picture takes 4.00 GiB"), refused.getMessage());
        }
    }

    @Test
    void activationsBeyondTheBudgetAreRefusedBeforeTheyAreAllocated() {
        try (CpuOps ops = new CpuOps(1).using(new CpuMemory(MARGIN + 4 * MIB, false, (_, _, _) -> { }), () -> new Residency.Sizes(0, 0));
                Frame _ = ops.frame()) {
            ops.alloc(Shape.of(MIB / 2));
            MemoryShortageException refused = assertThrows(MemoryShortageException.class, () -> ops.alloc(Shape.of(MIB)));
            assertTrue(refused.getMessage().contains("activations"), refused.getMessage());
        }
    }

    @Test
    void whatADecodingMayTakeFollowsTheBudget() {
        try (CpuOps ops = new CpuOps(1)) {
            assertEquals(Long.MAX_VALUE, ops.freeBytes());
            ops.using(new CpuMemory(MARGIN + 5 * MIB, false, (_, _, _) -> { }), () -> new Residency.Sizes(MIB, 2 * MIB));
            ops.weightGroup("nothing", 0, () -> { });
            assertEquals(2 * MIB, ops.freeBytes());
        }
    }

    @Test
    void copiesLieInMemoryOfTheProcessAndTheFilesPagesAreReleased() throws IOException {
        assumeTrue(Pages.available(), "Linux on x86-64 only");
        float[] expected = unbounded();
        long[] told = new long[2];
        try (Model model = new Model(new CpuMemory(0, true, (_, done, bytes) -> {
            told[0] = done;
            told[1] = bytes;
        }))) {
            model.load();
            assertArrayEquals(new long[] {LAYERS * LAYER_BYTES, LAYERS * LAYER_BYTES}, told);
            long left = MappedFiles.residentBytes(model.file);
            assertTrue(left <= AROUND, "of the file in memory: " + left);
            List<String> mapping = MappedFiles.mapping(HostRows.segment(model.layers.getFirst().weight()).address());
            assertTrue(mapping.stream().anyMatch(line -> line.startsWith("VmFlags:") && (line + " ").contains(" hg ")), mapping.toString());
            assertArrayEquals(expected, model.forward(new long[1]));

            // the file is not looked at again
            try (FileChannel channel = FileChannel.open(model.file, StandardOpenOption.WRITE)) {
                channel.truncate(0);
            }
            assertArrayEquals(expected, model.forward(new long[1]));
        }
    }

    @Test
    void copiesThatAreGivenBackMustBeMadeAnew() throws IOException {
        assumeTrue(Pages.available(), "Linux on x86-64 only");
        try (Model model = new Model(new CpuMemory(0, true, (_, _, _) -> { }))) {
            model.load();
            float[] first = model.forward(new long[1]);
            model.group.close();
            assertFalse(model.group.hold());
            IllegalStateException dead = assertThrows(IllegalStateException.class, () -> model.forward(new long[1]));
            assertTrue(dead.getMessage().contains("the end of the model"), dead.getMessage());
            model.load();
            assertArrayEquals(first, model.forward(new long[1]));
        }
    }

    @Test
    void copiesBeyondTheBudgetAreRefused() {
        assumeTrue(Pages.available(), "Linux on x86-64 only");
        try (Model model = new Model(new CpuMemory(MARGIN + LAYERS * LAYER_BYTES - 1, true, (_, _, _) -> { }))) {
            MemoryShortageException refused = assertThrows(MemoryShortageException.class, model::load);
            assertTrue(refused.getMessage().contains("the copied weights of the model take 0.01 GiB"), refused.getMessage());
            model.group = WeightGroup.MAPPED;
        }
    }

    @Test
    void aFileThatShrinksWhileItIsCopiedStopsTheCopying() throws IOException {
        assumeTrue(Pages.available(), "Linux on x86-64 only");
        try (Model model = new Model(new CpuMemory(0, true, (_, _, _) -> { }))) {
            model.group = WeightGroup.MAPPED;
            try (FileChannel channel = FileChannel.open(model.file, StandardOpenOption.WRITE)) {
                channel.truncate(3 * LAYER_BYTES);
            }
            InternalError fault = assertThrows(InternalError.class, model::load);
            assertTrue(fault.getMessage().contains("fault occurred in an unsafe memory access"), fault.getMessage());
        }
    }

    @Test
    void aContainersFreeMemoryCountsItsCachedFiles() {
        assertEquals(700, FreeMemory.ofContainer(List.of("1000"), List.of("600"), List.of("anon 300", "inactive_file 200", "active_file 100")));
        assertEquals(Long.MAX_VALUE, FreeMemory.ofContainer(List.of("max"), List.of("600"), List.of()));
        assertEquals(Long.MAX_VALUE, FreeMemory.ofContainer(List.of(), List.of(), List.of()));
        assertEquals(2048, FreeMemory.ofMachine(List.of("MemTotal: 9 kB", "MemAvailable:       2 kB")));
    }
}
