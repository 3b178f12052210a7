package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;

import dev.kleinscope.ops.HostRows;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/** A factor of a product, row by row in f32, wherever its values come from. Read by several threads. */
interface Rows {

    long count();

    /** Elements {@code from} to {@code from + count} of a row, to {@code values} from {@code at} on. */
    void read(long row, int from, int count, float[] values, int at);

    /** The rows of a tensor, widened to f32. */
    static Rows of(Tensor tensor) {
        return new OfTensor(tensor, HostRows.segment(tensor));
    }

    /** The rows of a tensor. */
    record OfTensor(Tensor tensor, MemorySegment segment) implements Rows {

        @Override
        public long count() {
            return tensor.rows();
        }

        @Override
        public void read(long row, int from, int count, float[] values, int at) {
            long element = tensor.rowOffset(row) + from;
            switch (tensor.dtype()) {
                case F32 -> MemorySegment.copy(segment, Lanes.FLOAT, element * Float.BYTES, values, at, count);
                case BF16 -> widen(element, count, values, at);
                case F16 -> {
                    for (int i = 0; i < count; i++) {
                        values[at + i] = Float.float16ToFloat(segment.get(Lanes.SHORT, (element + i) * Short.BYTES));
                    }
                }
                default -> tensor.storage().read(tensor.dtype(), element, count, values, at);
            }
        }

        private void widen(long element, int count, float[] values, int at) {
            int whole = count / COUNT * COUNT;
            for (int i = 0; i < whole; i += COUNT) {
                Lanes.loadBf16(segment, (element + i) * Short.BYTES).intoArray(values, at + i);
            }
            for (int i = whole; i < count; i++) {
                values[at + i] = Float.intBitsToFloat(segment.get(Lanes.SHORT, (element + i) * Short.BYTES) << 16);
            }
        }
    }
}
