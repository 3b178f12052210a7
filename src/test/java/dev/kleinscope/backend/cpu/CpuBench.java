package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Locale;
import java.util.Random;
import jdk.incubator.vector.FloatVector;

/**
 * Prints GFLOP/s of the CPU backend beside what registers alone allow at the same moment. Run by hand:
 * {@code mvn -q test-compile && java --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED
 * -cp target/classes:target/test-classes dev.kleinscope.backend.cpu.CpuBench [threads]}.
 */
final class CpuBench {

    private static final int CEILING_LOOPS = 20_000;
    private static final int CEILING_CALLS = 500;
    private static volatile float sink;

    private CpuBench() {
    }

    public static void main(String[] arguments) {
        int threads = arguments.length > 0 ? Integer.parseInt(arguments[0]) : Runtime.getRuntime().availableProcessors();
        try (CpuOps ops = new CpuOps(threads); Workers workers = new Workers(threads); Frame _ = ops.frame()) {
            System.out.println(ops.describe());
            for (long[] shape : new long[][] {{768, 9216, 3072}, {768, 3072, 12288}, {16, 9216, 3072}, {1, 18432, 3072}}) {
                linear(ops, workers, shape[0], shape[1], shape[2]);
            }
            for (long tokens : new long[] {768, 1536}) {
                attention(ops, workers, tokens, 24, 128);
            }
            rows(ops, workers, 1536, 3072);
        }
    }

    private static void linear(CpuOps ops, Workers workers, long rows, long out, long in) {
        try (Frame _ = ops.frame()) {
            Tensor x = activation(ops, 1, rows, in);
            Tensor weight = bf16(out, in);
            Tensor y = ops.alloc(Shape.of(1, rows, out));
            double flops = 2.0 * rows * out * in;
            report("linear " + rows + " x " + in + " to " + out, workers, flops, () -> ops.linear(x, new Linear(weight), y));
        }
    }

    private static void attention(CpuOps ops, Workers workers, long tokens, long heads, long headDim) {
        try (Frame _ = ops.frame()) {
            Tensor q = activation(ops, 1, tokens, heads * headDim);
            Tensor k = activation(ops, 1, tokens, heads * headDim);
            Tensor v = activation(ops, 1, tokens, heads * headDim);
            Tensor out = ops.alloc(q.shape());
            report("attention " + tokens + " tokens", workers, 4.0 * tokens * tokens * heads * headDim,
                    () -> ops.attention(q, k, v, heads, heads, AttentionMask.NONE, out));
        }
    }

    private static void rows(CpuOps ops, Workers workers, long tokens, long hidden) {
        try (Frame _ = ops.frame()) {
            Tensor x = activation(ops, 1, tokens, hidden);
            Tensor y = activation(ops, 1, tokens, hidden);
            Tensor vector = activation(ops, 1, 1, hidden).reshape(1, hidden);
            Tensor norm = bf16(1, 128).reshape(128);
            Tensor angles = activation(ops, 1, tokens, 64).reshape(tokens, 64);
            Tensor out = ops.alloc(x.shape());
            double elements = tokens * hidden;
            report("layerNormModulate (elements)", workers, elements, () -> ops.layerNormModulate(x, vector, vector, 1e-6, out));
            report("rmsNormRope neighbours (elements)", workers, elements,
                    () -> ops.rmsNormRope(x, norm, 1e-6, new Rope(angles, angles, Rope.Pairing.ADJACENT), out));
            report("rmsNormRope halves (elements)", workers, elements,
                    () -> ops.rmsNormRope(x, norm, 1e-6, new Rope(angles, angles, Rope.Pairing.HALVES), out));
            report("swiglu (elements)", workers, elements, () -> ops.swiglu(x, y, out));
            report("gatedResidual (elements)", workers, elements, () -> ops.gatedResidual(x, vector, y, out));
        }
    }

    /** The best of several runs, each beside a ceiling measured right before it. */
    private static void report(String label, Workers workers, double work, Runnable operation) {
        double best = 0;
        double ceiling = 0;
        int repeats = Math.clamp((long) (2e9 / work), 1, 50);
        for (int run = 0; run < 6; run++) {
            ceiling = Math.max(ceiling, ceiling(workers));
            long start = System.nanoTime();
            for (int i = 0; i < repeats; i++) {
                operation.run();
            }
            best = Math.max(best, work * repeats / (System.nanoTime() - start));
        }
        System.out.printf(Locale.ROOT, "%-36s %8.2f G/s, ceiling %6.1f GFLOP/s, ratio %.2f%n", label, best, ceiling,
                best / ceiling);
    }

    private static double ceiling(Workers workers) {
        long start = System.nanoTime();
        workers.run(workers.threads(), (_, _) -> {
            for (int i = 0; i < CEILING_CALLS; i++) {
                sink = multiplyInRegisters();
            }
        });
        return workers.threads() * 20.0 * Lanes.COUNT * CEILING_LOOPS * CEILING_CALLS / (System.nanoTime() - start);
    }

    private static float multiplyInRegisters() {
        FloatVector a = Lanes.broadcast(0);
        FloatVector b = Lanes.broadcast(1);
        FloatVector c = Lanes.broadcast(2);
        FloatVector d = Lanes.broadcast(3);
        FloatVector e = Lanes.broadcast(4);
        FloatVector f = Lanes.broadcast(5);
        FloatVector g = Lanes.broadcast(6);
        FloatVector h = Lanes.broadcast(7);
        FloatVector i = Lanes.broadcast(8);
        FloatVector j = Lanes.broadcast(9);
        FloatVector factor = Lanes.broadcast(0.999f);
        FloatVector term = Lanes.broadcast(0.001f);
        for (int loop = 0; loop < CEILING_LOOPS; loop++) {
            a = a.fma(factor, term);
            b = b.fma(factor, term);
            c = c.fma(factor, term);
            d = d.fma(factor, term);
            e = e.fma(factor, term);
            f = f.fma(factor, term);
            g = g.fma(factor, term);
            h = h.fma(factor, term);
            i = i.fma(factor, term);
            j = j.fma(factor, term);
        }
        return a.add(b).add(c).add(d).add(e).add(f).add(g).add(h).add(i).add(j).lane(0);
    }

    private static Tensor activation(CpuOps ops, long... dims) {
        Tensor tensor = ops.alloc(Shape.of(dims));
        MemorySegment segment = HostRows.segment(tensor);
        Random random = new Random(1);
        for (long i = 0; i < tensor.shape().elements(); i++) {
            segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, random.nextFloat() - 0.5f);
        }
        return tensor;
    }

    private static Tensor bf16(long... dims) {
        Shape shape = Shape.of(dims);
        MemorySegment segment = Arena.ofAuto().allocate(shape.elements() * Short.BYTES, 64);
        for (long i = 0; i < shape.elements(); i++) {
            segment.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (0x3c00 + i * 7919 % 512));
        }
        return Tensor.of("weight", DType.BF16, shape, new HostStorage(segment));
    }
}
