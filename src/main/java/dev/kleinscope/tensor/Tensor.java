package dev.kleinscope.tensor;

import java.util.Arrays;
import java.util.Locale;

/**
 * A named view of typed memory on some device.
 *
 * <p>The last dimension is contiguous; outer dimensions may stride over a wider row, so that a slice of tokens or of
 * channels needs no copy. Strides and offset count elements.
 */
public final class Tensor {

    private final String name;
    private final DType dtype;
    private final Shape shape;
    private final long[] strides;
    private final long offset;
    private final Storage storage;

    private Tensor(String name, DType dtype, Shape shape, long[] strides, long offset, Storage storage) {
        this.name = name;
        this.dtype = dtype;
        this.shape = shape;
        this.strides = strides;
        this.offset = offset;
        this.storage = storage;
    }

    /** A contiguous tensor at the start of {@code storage}. */
    public static Tensor of(String name, DType dtype, Shape shape, Storage storage) {
        long[] strides = new long[shape.rank()];
        long stride = 1;
        for (int i = strides.length - 1; i >= 0; i--) {
            strides[i] = stride;
            stride *= shape.dim(i);
        }
        return new Tensor(name, dtype, shape, strides, 0, storage);
    }

    /** The point where it was seen, or the weight's name. */
    public String name() {
        return name;
    }

    /** Type of the elements. */
    public DType dtype() {
        return dtype;
    }

    /** Sizes of the dimensions. */
    public Shape shape() {
        return shape;
    }

    /** Size of one dimension; negative indices count from the end. */
    public long dim(int index) {
        return shape.dim(index);
    }

    /** Elements between neighbours along a dimension; negative indices count from the end. */
    public long stride(int index) {
        return strides[index < 0 ? strides.length + index : index];
    }

    /** First element within the storage. */
    public long offset() {
        return offset;
    }

    /** The memory that this views. */
    public Storage storage() {
        return storage;
    }

    /** The same memory under another name. */
    public Tensor named(String newName) {
        return newName.equals(name) ? this : new Tensor(newName, dtype, shape, strides, offset, storage);
    }

    /** The same view of other memory, laid out alike. */
    public Tensor over(Storage other) {
        return new Tensor(name, dtype, shape, strides, offset, other);
    }

    /** Indices {@code from} (inclusive) to {@code to} (exclusive) of a dimension, without a copy. */
    public Tensor slice(int dimension, long from, long to) {
        int d = dimension < 0 ? shape.rank() + dimension : dimension;
        if (from < 0 || to < from || to > shape.dim(d)) {
            throw new IndexOutOfBoundsException(name + shape + ": no slice " + from + ".." + to + " of dimension " + d);
        }
        long[] dims = shape.dims();
        dims[d] = to - from;
        return new Tensor(name, dtype, new Shape(dims), strides, offset + from * strides[d], storage);
    }

    /** Whether the elements lie side by side in row-major order. */
    public boolean contiguous() {
        long expected = 1;
        for (int i = strides.length - 1; i >= 0; i--) {
            if (shape.dim(i) != 1 && strides[i] != expected) {
                return false;
            }
            expected *= shape.dim(i);
        }
        return true;
    }

    /** The same elements under another shape. @throws IllegalArgumentException unless contiguous and equal in size */
    public Tensor reshape(long... dims) {
        Shape target = new Shape(dims);
        if (!contiguous() || target.elements() != shape.elements()) {
            throw new IllegalArgumentException(name + ": cannot view " + shape + " as " + target);
        }
        Tensor view = of(name, dtype, target, storage);
        return new Tensor(name, dtype, target, view.strides, offset, storage);
    }

    /** Rows: all dimensions but the last, flattened. */
    public long rows() {
        return shape.rank() == 0 ? 1 : shape.elements() / Math.max(1, shape.dim(-1));
    }

    /** First element, within the storage, of a row of the flattened view. */
    public long rowOffset(long row) {
        long position = offset;
        for (int i = strides.length - 2; i >= 0; i--) {
            position += row % shape.dim(i) * strides[i];
            row /= shape.dim(i);
        }
        return position;
    }

    /** Copies the values to the host as f32. @throws IllegalStateException if the tensor was freed */
    public HostTensor toHost() {
        float[] values = new float[Math.toIntExact(shape.elements())];
        int width = shape.rank() == 0 ? 1 : Math.toIntExact(shape.dim(-1));
        if (contiguous()) {
            storage.read(dtype, offset, values.length, values, 0);
        } else {
            for (int row = 0; row * (long) width < values.length; row++) {
                storage.read(dtype, rowOffset(row), width, values, row * width);
            }
        }
        return new HostTensor(name, shape, values);
    }

    /** Name, type, shape, device, L2 norm and first values; never throws. */
    @Override
    public String toString() {
        String head = name + " " + dtype.name().toLowerCase(Locale.ROOT) + shape + " " + storage.device();
        if (storage.freedBy() != null) {
            return head + " (freed by " + storage.freedBy() + ")";
        }
        try {
            HostTensor host = toHost();
            StringBuilder text = new StringBuilder(head).append(String.format(Locale.ROOT, " |x|=%.3g [", host.norm()));
            for (int i = 0; i < Math.min(4, host.values().length); i++) {
                text.append(i == 0 ? "" : ", ").append(String.format(Locale.ROOT, "%.4g", host.values()[i]));
            }
            return text.append(host.values().length > 4 ? ", ...]" : "]").toString();
        } catch (RuntimeException | OutOfMemoryError e) {
            return head + " (values not readable: " + e.getMessage() + ")";
        }
    }

    /** Strides in elements, outermost first. */
    public long[] strides() {
        return Arrays.copyOf(strides, strides.length);
    }
}
