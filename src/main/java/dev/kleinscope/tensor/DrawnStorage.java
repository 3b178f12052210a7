package dev.kleinscope.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Elements of 16 bits that are not stored: each is drawn when it is read, by its place and the key alone, so that a device can
 * draw the same ones itself.
 *
 * <p>Element i is the table's entry at the i % 4-th 16 bits, from the lowest, of the i / 4-th number of SplitMix64 (Steele, Lea,
 * Flood 2014) from the key on.
 */
public final class DrawnStorage implements Storage {

    /** Entries of a table. */
    public static final int TABLE = 1 << 16;

    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final long GOLDEN = 0x9e3779b97f4a7c15L;
    private static final int CHUNK_BYTES = 1 << 16;

    private final short[] table;
    private final long key;
    private final short constant;
    private volatile String freedBy;

    private DrawnStorage(short[] table, long key, short constant) {
        this.table = table;
        this.key = key;
        this.constant = constant;
    }

    /** Draws from a table of {@link #TABLE} elements, which is not copied. */
    public static DrawnStorage of(short[] table, long key) {
        if (table.length != TABLE) {
            throw new IllegalArgumentException("a table of " + table.length + " elements, expected " + TABLE);
        }
        return new DrawnStorage(table, key, (short) 0);
    }

    /** The same 16 bits everywhere. */
    public static DrawnStorage constant(short bits) {
        return new DrawnStorage(null, 0, bits);
    }

    /** A key of a seed and a name. */
    public static long key(long seed, String name) {
        long key = mix(seed + GOLDEN);
        for (int i = 0; i < name.length(); i++) {
            key = mix(key + GOLDEN + name.charAt(i));
        }
        return key;
    }

    /** What is drawn from; null if all elements are {@link #constant()}. Not to be changed. */
    public short[] table() {
        requireLive();
        return table;
    }

    /** What the generator's numbers depend on beside their position. */
    public long key() {
        return key;
    }

    /** The bf16 bits of all elements where {@link #table()} is null. */
    public short constant() {
        return constant;
    }

    /**
     * Draws a piece.
     *
     * @param offset where it begins, in bytes from the first element; a multiple of 8
     */
    public void fill(long offset, MemorySegment piece) {
        requireLive();
        long bytes = piece.byteSize();
        long whole = bytes - bytes % Long.BYTES;
        long counter = offset / Long.BYTES;
        for (long at = 0; at < whole; at += Long.BYTES) {
            piece.set(LONG, at, four(counter++));
        }
        long rest = whole < bytes ? four(counter) : 0;
        for (long at = whole; at < bytes; at += Short.BYTES) {
            piece.set(SHORT, at, (short) rest);
            rest >>>= 16;
        }
    }

    private long four(long counter) {
        if (table == null) {
            return (constant & 0xffffL) * 0x0001000100010001L;
        }
        long bits = mix(key + counter * GOLDEN);
        return table[(int) bits & 0xffff] & 0xffffL
                | (table[(int) (bits >>> 16) & 0xffff] & 0xffffL) << 16
                | (table[(int) (bits >>> 32) & 0xffff] & 0xffffL) << 32
                | (long) table[(int) (bits >>> 48)] << 48;
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
        return z ^ (z >>> 31);
    }

    @Override
    public String device() {
        return "nowhere, drawn at random";
    }

    @Override
    public String freedBy() {
        return freedBy;
    }

    /** Marks the source as closed. */
    public void free(String by) {
        freedBy = by;
    }

    private void requireLive() {
        if (freedBy != null) {
            throw new IllegalStateException("tensor used after " + freedBy + " freed it");
        }
    }

    @Override
    public void read(DType dtype, long offset, int count, float[] target, int targetOffset) {
        MemorySegment buffer = MemorySegment.ofArray(new long[CHUNK_BYTES / Long.BYTES]);
        int most = (int) ((CHUNK_BYTES - Long.BYTES) * (long) Byte.SIZE / dtype.bits());
        for (int done = 0; done < count; done += most) {
            int part = Math.min(most, count - done);
            long first = dtype.bytes(offset + done);
            long aligned = first - first % Long.BYTES;
            fill(aligned, buffer);
            Elements.read(buffer.asSlice(first - aligned), dtype, 0, part, target, targetOffset + done);
        }
    }
}
