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
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** Single operations of the CPU backend at klein-4B's sizes; {@code tools/bench/jmh} runs it. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(value = 1, jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
public class OperationsBench {

    private static final long HIDDEN = 3072;
    private static final long HEADS = 24;

    /** Text and image tokens: of 256x256 and of 512x512. */
    @Param({"768", "1536"})
    long tokens;

    @Param({"JAVA", "ONEDNN"})
    Gemm gemm;

    private final Arena arena = Arena.ofShared();
    private CpuOps ops;
    private Frame frame;
    private Linear square;
    private Tensor norm;
    private Tensor x;
    private Tensor y;
    private Tensor out;
    private Tensor gate;
    private Tensor moments;
    private Rope rope;

    @Setup
    public void open() {
        ops = new CpuOps(gemm);
        frame = ops.frame();
        square = new Linear(weight(HIDDEN, HIDDEN));
        norm = weight(1, HIDDEN / HEADS).reshape(HIDDEN / HEADS);
        x = filled(1, tokens, HIDDEN);
        y = filled(1, tokens, HIDDEN);
        out = filled(1, tokens, HIDDEN);
        gate = filled(1, HIDDEN);
        moments = filled(1, tokens, 6);
        Tensor angles = filled(tokens, HIDDEN / HEADS / 2);
        rope = new Rope(angles, angles, Rope.Pairing.ADJACENT);
    }

    @TearDown
    public void close() {
        frame.close();
        ops.close();
        arena.close();
    }

    @Benchmark
    public Tensor linear() {
        ops.linear(x, square, out);
        return out;
    }

    @Benchmark
    public Tensor attention() {
        ops.attention(x, y, x, HEADS, HEADS, AttentionMask.NONE, out);
        return out;
    }

    @Benchmark
    public Tensor layerNormModulate() {
        ops.layerNormModulate(x, gate, gate, 1e-6, out);
        return out;
    }

    @Benchmark
    public Tensor rmsNormRope() {
        ops.rmsNormRope(x, norm, 1e-6, rope, out);
        return out;
    }

    @Benchmark
    public Tensor swiglu() {
        ops.swiglu(x, y, out);
        return out;
    }

    @Benchmark
    public Tensor gatedResidual() {
        ops.gatedResidual(x, gate, y, out);
        return out;
    }

    @Benchmark
    public Tensor rowMoments() {
        ops.rowMoments(x, y, moments);
        return moments;
    }

    private Tensor filled(long... dims) {
        Tensor tensor = ops.alloc(Shape.of(dims));
        MemorySegment segment = HostRows.segment(tensor);
        for (long i = 0; i < tensor.shape().elements(); i++) {
            segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, (i * 7919 % 1009) / 1009f - 0.5f);
        }
        return tensor;
    }

    private Tensor weight(long rows, long columns) {
        MemorySegment segment = arena.allocate(rows * columns * Short.BYTES, 64);
        for (long i = 0; i < rows * columns; i++) {
            segment.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (0x3c00 + i * 7919 % 512));
        }
        return Tensor.of("weight", DType.BF16, Shape.of(rows, columns), new HostStorage(segment));
    }
}
