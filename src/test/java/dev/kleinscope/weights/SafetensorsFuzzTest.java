package dev.kleinscope.weights;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.kleinscope.tensor.HostStorage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Files that were well-formed once: only a {@link ModelException} may come of them. */
class SafetensorsFuzzTest {

    private static final int FILES = 6000;
    private static final String[] FRAGMENTS = {
        "{", "}", "[", "]", "\"", ":", ",", "-1", "0", "1e400", "9223372036854775807", "9223372036854775808", "NaN", "null", "true",
        "\\u0000", "\\ud800", "\\", "//", "\"dtype\":\"F4\",", "\"shape\":[],", "\"data_offsets\":[0,0],", "[[[[[[[[[[", "{\"a\":{\"a\":{\"a\":",
        "\"__metadata__\":{\"x\":\"y\"},", "18446744073709551615", "\ufeff", "\u0000", "4294967296,4294967296,4294967296"};

    @TempDir
    Path folder;

    @Test
    @Timeout(value = 120, unit = TimeUnit.SECONDS)
    void damagedFilesOnlyEverGiveAModelException() throws IOException {
        byte[] whole = Files.readAllBytes(new HostileFile().member("\"__metadata__\":{\"format\":\"pt\"}")
                .tensor("blocks.0.weight", "BF16", "[4,8]", 64).tensor("blocks.0.bias", "F32", "[4]", 16)
                .tensor("packed", "F4", "[2,3]", 3).tensor("none", "I64", "[0]", 0).write(folder.resolve("whole")));
        int refused = 0;
        for (int seed = 0; seed < FILES; seed++) {
            byte[] bytes = damage(whole, new Random(seed));
            Path file = HostileFile.write(folder.resolve("damaged"), bytes);
            try (Safetensors weights = Safetensors.open(file)) {
                weights.names().forEach(name -> touch(weights, name));
            } catch (ModelException e) {
                refused++;
                assertTrue(e.getMessage().length() < 2000 && e.getMessage().startsWith(file.toString()), "seed "
                        + seed + ": " + e.getMessage());
            } catch (Throwable e) {
                fail("seed " + seed + ": " + e, e);
            }
        }
        assertTrue(refused > FILES / 2 && refused < FILES, refused + " of " + FILES + " were refused");
    }

    private static void touch(Safetensors weights, String name) {
        MemorySegment segment = ((HostStorage) weights.tensor(name).storage()).segment();
        byte[] copy = segment.toArray(ValueLayout.JAVA_BYTE);
        assertTrue(copy.length == weights.sizeBytes(name), name);
    }

    /** One to four mutations; half of the time the length field is put right again, to get past it. */
    private static byte[] damage(byte[] whole, Random random) {
        byte[] bytes = whole;
        int header = (int) ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN).getLong();
        int dataBytes = whole.length - 8 - header;
        for (int i = random.nextInt(4); i >= 0; i--) {
            bytes = mutate(bytes, random);
        }
        if (random.nextBoolean() && bytes.length >= 8 + dataBytes) {
            ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(bytes.length - 8 - dataBytes);
        }
        return bytes;
    }

    private static byte[] mutate(byte[] bytes, Random random) {
        int at = random.nextInt(bytes.length);
        switch (random.nextInt(6)) {
            case 0 -> {
                byte[] flipped = bytes.clone();
                flipped[at] ^= (byte) (1 << random.nextInt(8));
                return flipped;
            }
            case 1 -> {
                return Arrays.copyOf(bytes, Math.max(1, at));
            }
            case 2 -> {
                byte[] random8 = bytes.clone();
                random8[at] = (byte) random.nextInt(256);
                return random8;
            }
            case 3 -> {
                int to = Math.min(bytes.length, at + 1 + random.nextInt(12));
                return splice(bytes, at, to, new byte[0], bytes.length - (to - at) < 1);
            }
            case 4 -> {
                int to = Math.min(bytes.length, at + random.nextInt(60));
                return splice(bytes, at, at, Arrays.copyOfRange(bytes, at, to), false);
            }
            default -> {
                byte[] fragment = FRAGMENTS[random.nextInt(FRAGMENTS.length)].getBytes(StandardCharsets.UTF_8);
                return splice(bytes, at, Math.min(bytes.length, at + random.nextInt(3)), fragment, false);
            }
        }
    }

    private static byte[] splice(byte[] bytes, int from, int to, byte[] middle, boolean keep) {
        if (keep) {
            return bytes;
        }
        byte[] result = new byte[bytes.length - (to - from) + middle.length];
        System.arraycopy(bytes, 0, result, 0, from);
        System.arraycopy(middle, 0, result, from, middle.length);
        System.arraycopy(bytes, to, result, from + middle.length, bytes.length - to);
        return result;
    }

    @Test
    @Timeout(value = 60, unit = TimeUnit.SECONDS)
    void aHeaderFullOfTensorsIsRefusedAtTheCap() {
        StringBuilder header = new StringBuilder("{");
        for (int i = 0; i <= SafetensorsHeader.MAX_TENSORS; i++) {
            header.append(i == 0 ? "\""
                    : ",\"").append(i).append("\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}");
        }
        Path file = HostileFile.raw(folder.resolve("many"), header.append('}').toString(), new byte[0]);
        try (Safetensors weights = Safetensors.open(file)) {
            fail(weights + " was accepted");
        } catch (ModelException e) {
            assertTrue(e.getMessage().contains("more than 200000 tensors"), e.getMessage());
        }
    }
}
