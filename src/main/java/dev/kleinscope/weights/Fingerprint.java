package dev.kleinscope.weights;

import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
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
            MemorySegment segment = ((HostStorage) tensor.storage()).segment();
            long from = tensor.dtype().bytes(tensor.offset());
            long bytes = tensor.dtype().bytes(tensor.shape().elements());
            int sample = (int) Math.min(SAMPLE_BYTES, bytes);
            for (long at : new long[] {from, from + (bytes - sample) / 2, from + bytes - sample}) {
                digest.update(segment.asSlice(at, sample).toArray(ValueLayout.JAVA_BYTE));
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }
}
