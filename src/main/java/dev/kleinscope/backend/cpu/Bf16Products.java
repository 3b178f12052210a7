package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.HostFrames;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.BFloat16;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Products of tokens by BF16 weights: activations are rounded to bf16, once for all layers of one input, multiplied by the weights as they
 * lie, summed in f32.
 *
 * <p>All else stays f32: vectors [batch, n], from which time embedding and modulation are made; pictures; and layers whose weights the
 * file holds in another type, which bf16 would make less precise than it holds them.
 */
final class Bf16Products implements Products {

    /** Elements that are worth a thread of their own. */
    private static final long CHUNK_ELEMENTS = 1 << 16;

    private final Workers workers;
    private final HostFrames frames;
    private final Products f32;
    private final Product product;

    /** What multiplies rounded activations. */
    interface Product {

        /**
         * {@code out = x W^T + bias}, summed in f32.
         *
         * @param x bf16, contiguous
         * @param layer weights in BF16
         * @param out f32
         * @return false, with nothing done, if it cannot
         */
        boolean multiply(Tensor x, Linear layer, Tensor out);
    }

    /** @param f32 for what is not multiplied in bf16; closed with this */
    Bf16Products(Workers workers, HostFrames frames, Products f32, Product product) {
        this.workers = workers;
        this.frames = frames;
        this.f32 = f32;
        this.product = product;
    }

    @Override
    public String describe() {
        return "in bf16 " + f32.describe();
    }

    /** In f32. */
    @Override
    public OneDnnAttention attention() {
        return f32.attention();
    }

    @Override
    public void linear(Tensor x, Linear layer, Tensor out) {
        linear(x, List.of(layer), out);
    }

    @Override
    public void linear(Tensor x, List<Linear> layers, Tensor out) {
        if (x.shape().rank() != 3 || x.shape().elements() == 0 || layers.stream().noneMatch(Bf16Products::suits)) {
            f32.linear(x, layers, out);
            return;
        }
        try (Frame _ = frames.open()) {
            Tensor rounded = round(x);
            long from = 0;
            for (Linear layer : layers) {
                Tensor slice = out.slice(-1, from, from + layer.out());
                if (!suits(layer) || !product.multiply(rounded, layer, slice)) {
                    f32.linear(x, layer, slice);
                }
                from += layer.out();
            }
        }
    }

    private static boolean suits(Linear layer) {
        return layer.weight().dtype() == DType.BF16;
    }

    /** A contiguous copy in bf16, in the innermost frame. */
    private Tensor round(Tensor x) {
        Tensor floats = frames.alloc(Shape.of(Math.ceilDiv(x.shape().elements(), 2)));
        Tensor rounded = Tensor.of(x.name(), DType.BF16, x.shape(), floats.storage());
        MemorySegment from = HostRows.segment(x);
        MemorySegment to = HostRows.segment(rounded);
        int width = Math.toIntExact(x.dim(-1));
        long rows = x.rows();
        int chunks = Math.toIntExact(Math.min(rows, Math.ceilDiv(x.shape().elements(), CHUNK_ELEMENTS)));
        workers.run(chunks, (chunk, _) -> {
            long end = rows * (chunk + 1) / chunks;
            for (long row = rows * chunk / chunks; row < end; row++) {
                round(from, x.rowOffset(row) * Float.BYTES, to, row * width * Short.BYTES, width);
            }
        });
        return rounded;
    }

    private static void round(MemorySegment from, long fromByte, MemorySegment to, long toByte, int width) {
        int whole = width / Lanes.COUNT * Lanes.COUNT;
        for (int i = 0; i < whole; i += Lanes.COUNT) {
            Lanes.storeBf16(Lanes.load(from, fromByte + (long) i * Float.BYTES), to, toByte + (long) i * Short.BYTES);
        }
        for (int i = whole; i < width; i++) {
            to.set(Lanes.SHORT, toByte + (long) i * Short.BYTES,
                    BFloat16.fromFloat(from.get(Lanes.FLOAT, fromByte + (long) i * Float.BYTES)));
        }
    }

    @Override
    public void close() {
        f32.close();
    }
}
