package dev.kleinscope.weights;

import dev.kleinscope.tensor.DrawnStorage;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Storage;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * Tells two checkpoints of the same shapes apart without reading gigabytes: SHA-256 over the header's hash and, of each
 * tensor, its name and 4 KiB at its start, middle and end.
 */
public final class Fingerprint {

    private static final int SAMPLE_BYTES = 4096;

    private Fingerprint() {
    }

    /** @return hexadecimal */
    public static String of(WeightSource source) {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
        digest.update(source.headerHash().getBytes(StandardCharsets.UTF_8));
        for (String name : source.names()) {
            Tensor tensor = source.tensor(name);
            digest.update(name.getBytes(StandardCharsets.UTF_8));
            long from = tensor.dtype().bytes(tensor.offset());
            long bytes = tensor.dtype().bytes(tensor.shape().elements());
            int sample = (int) Math.min(SAMPLE_BYTES, bytes);
            for (long at : new long[] {from, from + (bytes - sample) / 2, from + bytes - sample}) {
                digest.update(sample(tensor.storage(), at, sample));
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private static byte[] sample(Storage storage, long at, int bytes) {
        if (storage instanceof DrawnStorage drawn) {
            int before = (int) (at % Long.BYTES);
            byte[] piece = new byte[before + bytes];
            drawn.fill(at - before, MemorySegment.ofArray(piece));
            return Arrays.copyOfRange(piece, before, piece.length);
        }
        return ((HostStorage) storage).segment().asSlice(at, bytes).toArray(ValueLayout.JAVA_BYTE);
    }
}
