package dev.kleinscope.tensor;

import java.util.Arrays;
import java.util.Locale;

/**
 * A named view of typed memory on some device.
 *
 * <p>The last dimension is contiguous; outer dimensions may stride over a wider row, so that a slice of tokens or of
 * channels needs no copy. Strides and offset count elements.
 *
 * <p>In a debugger, {@link #toString}, {@link #toHost}, {@link #row}, {@link #slice}, {@link #stats} and {@link #histogram} can be
 * evaluated on the thread that computes, while it is suspended; they only read.
 */
public final class Tensor {

    private static final long GLANCE_NANOS = 400_000_000;

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

    /**
     * Copies the values to the host as f32.
     *
     * @throws IllegalStateException naming what freed the memory if it was freed, or why a device cannot be read now
     * @throws ArithmeticException if no array holds them all
     */
    public HostTensor toHost() {
        long elements = shape.elements();
        if (elements > Integer.MAX_VALUE - 8) {
            throw new ArithmeticException(name + shape + " has " + elements + " elements, more than an array holds: slice it first");
        }
        float[] values = new float[(int) elements];
        read(0, values.length, values);
        return new HostTensor(name, shape, values);
    }

    /**
     * Copies one row of the view in which all dimensions but the last are flattened, which in an activation is a token.
     *
     * @return [last dimension]
     * @throws IllegalStateException as {@link #toHost}
     */
    public HostTensor row(long index) {
        if (index < 0 || index >= rows()) {
            throw new IndexOutOfBoundsException(name + shape + " has rows 0 to " + (rows() - 1) + ", not " + index);
        }
        float[] values = new float[shape.rank() == 0 ? 1 : Math.toIntExact(shape.dim(-1))];
        read(index * values.length, values.length, values);
        return HostTensor.of(name + " row " + index, values, values.length);
    }

    /**
     * Norm, mean, extremes, and the channels and tokens that carry the energy; copies a piece at a time.
     *
     * @throws IllegalStateException as {@link #toHost}
     */
    public TensorStats stats() {
        return TensorStats.of(this);
    }

    /** Counts of values between the smallest and the largest, in 20 bins. @throws IllegalStateException as {@link #toHost} */
    public Histogram histogram() {
        return histogram(20);
    }

    /** Counts of values between the smallest and the largest. @throws IllegalStateException as {@link #toHost} */
    public Histogram histogram(int bins) {
        return Histogram.of(this, bins);
    }

    /** Counts of values from {@code from} to {@code to}. @throws IllegalStateException as {@link #toHost} */
    public Histogram histogram(int bins, double from, double to) {
        return Histogram.of(this, bins, from, to);
    }

    /**
     * Copies elements in row-major order, as f32.
     *
     * @param first index of the first
     * @param count how many
     * @param target receives them from its beginning
     */
    void read(long first, int count, float[] target) {
        if (storage.freedBy() != null) {
            throw new IllegalStateException(name + shape + " used after " + storage.freedBy() + " freed it");
        }
        long run = run();
        for (int done = 0; done < count;) {
            long index = first + done;
            int part = (int) Math.min(count - done, run - index % run);
            storage.read(dtype, position(index), part, target, done);
            done += part;
        }
    }

    /** Neighbours in row-major order that lie side by side in memory. */
    private long run() {
        long run = 1;
        for (int i = strides.length - 1; i >= 0; i--) {
            if (shape.dim(i) != 1 && strides[i] != run) {
                break;
            }
            run *= shape.dim(i);
        }
        return run;
    }

    /** Where, within the storage, the element of a row-major index lies. */
    private long position(long index) {
        long position = offset;
        for (int i = strides.length - 1; i >= 0; i--) {
            position += index % shape.dim(i) * strides[i];
            index /= shape.dim(i);
        }
        return position;
    }

    /**
     * Name, type, shape, device, L2 norm and first values; never throws, and reads for 0.4 s at most: of what is left
     * over then it says so.
     */
    @Override
    public String toString() {
        return toString(GLANCE_NANOS);
    }

    String toString(long mostNanos) {
        String head = name + " " + dtype.name().toLowerCase(Locale.ROOT) + shape + " " + storage.device();
        if (storage.freedBy() != null) {
            return head + " (freed by " + storage.freedBy() + ")";
        }
        try {
            return head + " " + Glance.at(this, mostNanos);
        } catch (RuntimeException | Error e) {
            // a debugger shows this, and has no place for an exception
            return head + " (values not readable: " + e.getMessage() + ")";
        }
    }

    /** Strides in elements, outermost first. */
    public long[] strides() {
        return Arrays.copyOf(strides, strides.length);
    }
}
