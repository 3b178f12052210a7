package dev.kleinscope.cli;

import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.backend.cpu.Gemm;
import dev.kleinscope.backend.cuda.CudaOps;
import dev.kleinscope.backend.cuda.Precision;
import dev.kleinscope.bindings.onednn.OneDnnLibrary;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.pipeline.dump.ActivationDump;
import dev.kleinscope.pipeline.dump.DumpPlan;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.ModelFiles;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * Times a dump of every activation of one step against the step without it, and against writing as many bytes to the same folder.
 * Arguments: a transformer's folder, or {@code klein-4b} for random weights on a GPU; {@code cpu} or {@code cuda}; picture side; folder;
 * how many times, or 0 for one dump and no plain step.
 */
final class DumpBench {

    private static final int TOKENS = 512;

    private DumpBench() {
    }

    public static void main(String[] args) throws IOException {
        boolean cuda = args[1].equals("cuda");
        int side = Integer.parseInt(args[2]);
        Path folder = Path.of(args[3]);
        int times = Integer.parseInt(args[4]);
        ModelFiles files = args[0].equals("klein-4b")
                ? ModelFiles.random(args[0], RandomSizes.of(args[0]).only(List.of("transformer")), ModelOptions.bundled(), 1, !cuda)
                : ModelFiles.resolve(args[0]);
        try (Ops ops = cuda ? new CudaOps(Precision.BF16) : new CpuOps(OneDnnLibrary.isAvailable() ? Gemm.ONEDNN : Gemm.JAVA); Klein klein = new Klein(files, ops)) {
            System.out.println(ops.describe());
            HostTensor noise = normal(1, klein.latentShape(side, side));
            HostTensor embeds = normal(2, Shape.of(1, TOKENS, klein.ditConfig().textDim()));
            Denoising denoising = new Denoising(1, 1, true);
            klein.dit();
            double plain = Double.MAX_VALUE;
            long anonymous;
            try (ProcessMemory memory = new ProcessMemory()) {
                for (int i = 0; i < times; i++) {
                    long before = System.nanoTime();
                    klein.denoise(denoising, noise, embeds, null, List.of(), null, null);
                    plain = Math.min(plain, (System.nanoTime() - before) / 1e9);
                }
                anonymous = memory.anonymousPeak();
            }
            if (times > 0) {
                System.out.printf("a step %.3f s, %d MiB anonymous at most%n", plain, anonymous >> 20);
            }
            for (int i = 0; i < Math.max(1, times); i++) {
                dump(klein, ops, denoising, noise, embeds, folder.resolve("dump-bench.safetensors"));
            }
        }
    }

    private static void dump(Klein klein, Ops ops, Denoising denoising, HostTensor noise, HostTensor embeds, Path file) throws IOException {
        DumpPlan plan = DumpPlan.of(DumpPlan.catalog(klein.ditConfig(), null).points(), new TreeSet<>(List.of(0)), denoising, noise, List.of(),
                embeds.shape(), null, ops);
        ActivationDump.Cost cost;
        double seconds;
        long anonymous;
        long before = System.nanoTime();
        try (ProcessMemory memory = new ProcessMemory()) {
            try (ActivationDump dump = new ActivationDump(file, plan, Map.of(), ops, _ -> { })) {
                dump.input(DumpPlan.NOISE, noise);
                dump.input(DumpPlan.PROMPT, embeds);
                klein.denoise(denoising, noise, embeds, null, List.of(), dump, dump);
                cost = dump.commit();
            }
            seconds = (System.nanoTime() - before) / 1e9;
            anonymous = memory.anonymousPeak();
        }
        Files.delete(file);
        System.out.printf("dumped %d tensors, %.2f GB, in %.3f s (%.0f MB/s): writing %.3f s, computation waited %.3f s, sync %.3f s; "
                + "%d MiB anonymous at most%n", plan.tensors().size(), plan.bytes() / 1e9, seconds, plan.bytes() / 1e6 / seconds,
                cost.writingSeconds(), cost.waitedSeconds(), cost.syncSeconds(), anonymous >> 20);
        before = System.nanoTime();
        write(file, plan.bytes());
        seconds = (System.nanoTime() - before) / 1e9;
        System.out.printf("as many bytes written plainly and synced: %.3f s (%.0f MB/s)%n", seconds, plan.bytes() / 1e6 / seconds);
        Files.delete(file);
    }

    private static void write(Path file, long bytes) throws IOException {
        ByteBuffer piece = ByteBuffer.allocateDirect(4 << 20);
        for (int i = 0; i < piece.capacity(); i++) {
            piece.put(i, (byte) (i * 31));
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            for (long at = 0; at < bytes; at += piece.limit()) {
                channel.write(piece.clear().limit((int) Math.min(piece.capacity(), bytes - at)));
            }
            channel.force(true);
        }
    }

    private static HostTensor normal(long seed, Shape shape) {
        return new HostTensor("random", shape, TorchNoise.randn(TorchNoise.Kind.TORCH_CPU, TorchNoise.Type.F32, seed, shape.dims()));
    }
}
