package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;
import static dev.kleinscope.backend.cpu.Lanes.FLOATS;
import static dev.kleinscope.backend.cpu.WinogradKernels.MADE;
import static dev.kleinscope.backend.cpu.WinogradKernels.POINTS;
import static dev.kleinscope.backend.cpu.WinogradKernels.READ;
import static dev.kleinscope.backend.cpu.Tile.ROWS;
import static dev.kleinscope.backend.cpu.Tile.WIDTH;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/**
 * Convolutions of 3x3 by 36 products for 16 pixels instead of 144, in f32: tiles of 4x4 pixels are transformed a few at a time, multiplied
 * point by point with the transformed weights, and transformed back, all in one thread's caches.
 *
 * <p>A picture differs from the exact one by less than 1e-6 in relative L2, and its bits do not depend on the number of threads, nor on what
 * else is computed with it; but those of a pixel on where in its tile it lies. What is not finite spreads over the tiles that see it. The
 * transformed weights take four times the memory of f32 weights while it runs.
 */
final class WinogradConvolution {

    /** Fewer channels are not worth transforming. */
    private static final long LEAST_CHANNELS = 16;
    /** Of fewer, transforming the weights takes longer than the products that it saves. */
    private static final long LEAST_PIXELS = 256;
    /** Tiles of a chunk: their transforms of 64 channels at one point fit the first cache. */
    private static final int CHUNK_TILES = 48 / ROWS * ROWS;
    /** Channels that are multiplied and transformed back together: at all points, they fit the second cache. */
    private static final int PART = Math.max(1, 144 / WIDTH) * WIDTH;
    /** Keeps what belongs to different points out of the same lines of a cache. */
    private static final int GAP = 16;

    /**
     * Input channels that are summed before the sum joins that of earlier ones. Transforms amplify what sums lose: of 512 channels at once
     * they would lose 2.1e-6 of a result.
     */
    private static final int TERMS = Tile.TERMS / 4;

    private static final int POINT_SLOT = 0;
    private static final int PRODUCT_SLOT = 1;
    private static final int BETWEEN_SLOT = 2;
    private static final int PIXEL_SLOT = 3;
    private static final int TAP_SLOT = 4;

    private final Tensor x;
    private final Conv2d layer;
    private final Tensor added;
    private final Tensor out;
    private final int in;
    private final int channels;
    private final int height;
    private final int width;
    private final int outHeight;
    private final int outWidth;
    private final int tilesDown;
    private final int tilesAcross;
    private final long tiles;
    private final int panels;
    private final float[] bias;
    private final MemorySegment from;
    private final MemorySegment to;
    private float[] weights;

    private WinogradConvolution(Tensor x, Conv2d layer, Tensor added, Tensor out) {
        this.x = x;
        this.layer = layer;
        this.added = added;
        this.out = out;
        in = Math.toIntExact(layer.in());
        channels = Math.toIntExact(layer.out());
        height = Math.toIntExact(x.dim(1));
        width = Math.toIntExact(x.dim(2));
        outHeight = Math.toIntExact(out.dim(1));
        outWidth = Math.toIntExact(out.dim(2));
        tilesDown = Math.ceilDiv(outHeight, MADE);
        tilesAcross = Math.ceilDiv(outWidth, MADE);
        tiles = x.dim(0) * tilesDown * tilesAcross;
        panels = Math.ceilDiv(channels, WIDTH);
        bias = new float[panels * WIDTH];
        if (layer.bias() != null) {
            System.arraycopy(HostRows.read(layer.bias(), 0), 0, bias, 0, channels);
        }
        from = HostRows.segment(x);
        to = HostRows.segment(out);
    }

    /** Whether it is worth it; depends on the sizes of the layer and of single pictures. */
    static boolean suits(Conv2d layer, Tensor out) {
        return layer.kernelHeight() == 3 && layer.kernelWidth() == 3 && layer.stride() == 1 && layer.in() >= LEAST_CHANNELS
                && layer.out() >= LEAST_CHANNELS && out.dim(1) * out.dim(2) >= LEAST_PIXELS
                && POINTS * layer.in() * Math.ceilDiv(layer.out(), WIDTH) * WIDTH <= Integer.MAX_VALUE / 2;
    }

    /** @param added to the result, or null */
    static void run(Workers workers, Tensor x, Conv2d layer, Tensor added, Tensor out) {
        new WinogradConvolution(x, layer, added, out).run(workers);
    }

    private void run(Workers workers) {
        if (tiles == 0) {
            return;
        }
        weights = workers.shared(POINTS * in * panels * WIDTH);
        workers.run(blocks() * panels, (chunk, scratch) -> transformWeights(chunk / panels, chunk % panels, scratch));
        long share = Math.ceilDiv(tiles, 4L * workers.threads());
        int chunkTiles = (int) Math.min(CHUNK_TILES / ROWS, Math.ceilDiv(share, ROWS)) * ROWS;
        int chunks = Math.toIntExact(Math.ceilDiv(tiles, chunkTiles));
        workers.run(chunks, (chunk, scratch) -> {
            long first = (long) chunk * chunkTiles;
            convolve(first, (int) Math.min(chunkTiles, tiles - first), scratch);
        });
    }

    private static int whole(int channels) {
        return Math.ceilDiv(channels, COUNT) * COUNT;
    }

    private int blocks() {
        return Math.ceilDiv(in, TERMS);
    }

    /** Input channels of a block. */
    private int terms(int block) {
        return Math.min(TERMS, in - block * TERMS);
    }

    /** Where the weights of a point begin: [block][panel][channel][output channel]. */
    private int weightsAt(int point, int block, int panel) {
        return ((point * in + block * TERMS) * panels + panel * terms(block)) * WIDTH;
    }

    private static int pointAt(int point, int block, int apart) {
        int from = block * TERMS;
        return (from / Tile.TERMS * POINTS + point) * apart + from % Tile.TERMS;
    }

    private void transformWeights(int block, int panel, Scratch scratch) {
        Tensor kernel = layer.weight();
        Rows rows = Rows.of(kernel.reshape(channels, 9L * in));
        int terms = terms(block);
        float[] read = scratch.floats(POINT_SLOT, WIDTH * 9 * TERMS);
        float[] taps = scratch.floats(TAP_SLOT, 9 * TERMS * WIDTH);
        float[] between = scratch.floats(BETWEEN_SLOT, WinogradKernels.BETWEEN);
        int inPanel = Math.min(WIDTH, channels - panel * WIDTH);
        Arrays.fill(read, inPanel * 9 * TERMS, WIDTH * 9 * TERMS, 0f);
        for (int channel = 0; channel < inPanel; channel++) {
            for (int tap = 0; tap < 9; tap++) {
                rows.read(panel * WIDTH + channel, tap * in + block * TERMS, terms, read, (channel * 9 + tap) * TERMS);
            }
        }
        for (int tap = 0; tap < 9; tap++) {
            for (int term = 0; term < terms; term++) {
                int at = (tap * TERMS + term) * WIDTH;
                for (int channel = 0; channel < WIDTH; channel++) {
                    taps[at + channel] = read[(channel * 9 + tap) * TERMS + term];
                }
            }
        }
        int target = weightsAt(0, block, panel);
        for (int at = 0; at < terms * WIDTH; at += COUNT) {
            WinogradKernels.taps(taps, at, TERMS * WIDTH, between, weights, target + at, in * panels * WIDTH);
        }
    }

    private void convolve(long first, int count, Scratch scratch) {
        int rows = Math.ceilDiv(count, ROWS) * ROWS;
        int apart = rows * Tile.TERMS + GAP;
        float[] points = scratch.floats(POINT_SLOT, Math.ceilDiv(in, Tile.TERMS) * POINTS * apart);
        float[] products = scratch.floats(PRODUCT_SLOT, POINTS * (rows * PART + GAP));
        for (int tile = 0; tile < count; tile++) {
            read(first + tile, tile, points, apart, scratch);
        }
        for (int panel = 0; panel < panels; panel += PART / WIDTH) {
            int some = Math.min(PART / WIDTH, panels - panel);
            int productsApart = rows * some * WIDTH + GAP;
            multiply(points, apart, rows, panel, some, products, productsApart);
            for (int tile = 0; tile < count; tile++) {
                write(first + tile, products, tile * some * WIDTH, productsApart, panel * WIDTH, some * WIDTH, scratch);
            }
        }
    }

    private void multiply(float[] points, int apart, int rows, int panel, int some, float[] products, int productsApart) {
        int stride = some * WIDTH;
        for (int point = 0; point < POINTS; point++) {
            for (int block = 0; block < blocks(); block++) {
                int at = pointAt(point, block, apart);
                int terms = terms(block);
                for (int i = 0; i < some; i++) {
                    int weightsAt = weightsAt(point, block, panel + i);
                    int to = point * productsApart + i * WIDTH;
                    for (int row = 0; row < rows; row += ROWS) {
                        Tile.multiply(points, at + row * Tile.TERMS, weights, weightsAt, terms, products, to + row * stride, stride,
                                block == 0);
                    }
                }
            }
        }
    }

    /** Transforms the pixels of one tile, to row {@code row} of each point. */
    private void read(long tile, int row, float[] points, int apart, Scratch scratch) {
        long batch = tile / tilesAcross / tilesDown;
        int top = Math.toIntExact(tile / tilesAcross % tilesDown * MADE - layer.padding().top());
        int left = Math.toIntExact(tile % tilesAcross * MADE - layer.padding().left());
        MemorySegment source = from;
        long lineBytes = x.stride(1) * Float.BYTES;
        long pixelBytes = x.stride(2) * Float.BYTES;
        long at = (x.offset() + batch * x.stride(0)) * Float.BYTES + top * lineBytes + left * pixelBytes;
        if (top < 0 || left < 0 || top + READ > height || left + READ > width || in % COUNT != 0) {
            long bytes = (long) whole(in) * Float.BYTES;
            source = scratch.bytes(POINTS * bytes).asSlice(0, POINTS * bytes);
            gather(at, top, left, lineBytes, pixelBytes, source, bytes);
            at = 0;
            lineBytes = READ * bytes;
            pixelBytes = bytes;
        }
        float[] between = scratch.floats(BETWEEN_SLOT, WinogradKernels.BETWEEN);
        for (int block = 0; block < blocks(); block++) {
            WinogradKernels.input(source, at + (long) block * TERMS * Float.BYTES, lineBytes, pixelBytes, whole(terms(block)), between, points,
                    pointAt(0, block, apart) + row * Tile.TERMS, apart);
        }
    }

    /** Copies a window of which a part lies outside the picture, or whose channels do not fill vectors. */
    private void gather(long at, int top, int left, long lineBytes, long pixelBytes, MemorySegment window, long bytes) {
        window.fill((byte) 0);
        for (int y = Math.max(0, -top); y < Math.min(READ, height - top); y++) {
            for (int column = Math.max(0, -left); column < Math.min(READ, width - left); column++) {
                MemorySegment.copy(from, at + y * lineBytes + column * pixelBytes, window, (y * READ + column) * bytes,
                        (long) in * Float.BYTES);
            }
        }
    }

    /** Transforms one tile's products back, of some output channels. */
    private void write(long tile, float[] products, int at, int apart, int firstChannel, int count, Scratch scratch) {
        long batch = tile / tilesAcross / tilesDown;
        int top = Math.toIntExact(tile / tilesAcross % tilesDown) * MADE;
        int left = Math.toIntExact(tile % tilesAcross) * MADE;
        int lines = Math.min(MADE, outHeight - top);
        int columns = Math.min(MADE, outWidth - left);
        long element = out.offset() + batch * out.stride(0) + top * out.stride(1) + left * out.stride(2);
        long addedElement = added == null ? 0 : added.offset() + batch * added.stride(0) + top * added.stride(1) + left * added.stride(2);
        float[] between = scratch.floats(BETWEEN_SLOT, WinogradKernels.BETWEEN);
        float[] pixels = scratch.floats(PIXEL_SLOT, MADE * MADE * COUNT);
        int end = Math.min(firstChannel + count, channels);
        for (int channel = firstChannel; channel < end; channel += COUNT) {
            WinogradKernels.output(products, at + channel - firstChannel, apart, between, FloatVector.fromArray(FLOATS, bias, channel), pixels);
            boolean whole = channel + COUNT <= end;
            VectorMask<Float> mask = whole ? null : FLOATS.indexInRange(channel, end);
            for (int line = 0; line < lines; line++) {
                for (int column = 0; column < columns; column++) {
                    FloatVector value = FloatVector.fromArray(FLOATS, pixels, (line * MADE + column) * COUNT);
                    if (added != null) {
                        long addedByte = (addedElement + line * added.stride(1) + column * added.stride(2) + channel) * Float.BYTES;
                        MemorySegment addedFrom = HostRows.segment(added);
                        value = value.add(whole ? Lanes.load(addedFrom, addedByte) : Lanes.load(addedFrom, addedByte, mask));
                    }
                    long toByte = (element + line * out.stride(1) + column * out.stride(2) + channel) * Float.BYTES;
                    if (whole) {
                        Lanes.store(value, to, toByte);
                    } else {
                        Lanes.store(value, to, toByte, mask);
                    }
                }
            }
        }
    }
}
