package dev.kleinscope.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class SafetensorsTest {

    @TempDir
    Path folder;
    private Path file;

    @BeforeEach
    void nameFile() {
        file = folder.resolve("model.safetensors");
    }

    @Test
    void tensorsAreViewsOfTheirBytesInFileOrder() {
        new HostileFile().member("\"__metadata__\":{\"format\":\"pt\"}")
                .tensor("second", "F32", "[2,1]", 3, 11).tensor("first", "U8", "[3]", 0, 3).tensor("scalar", "I8",
                        "[]", 11, 12)
                .tensor("nothing", "F32", "[0,7]", 12, 12).write(file);
        try (Safetensors weights = Safetensors.open(file)) {
            assertEquals(List.of("first", "second", "scalar", "nothing"), List.copyOf(weights.names()));
            assertEquals(Map.of("format", "pt"), weights.metadata());
            assertEquals(DType.F32, weights.dtype("second"));
            assertEquals(Shape.of(2, 1), weights.shape("second"));
            assertEquals(8, weights.sizeBytes("second"));
            assertArrayEquals(new float[] {0, 1, 2}, weights.tensor("first").toHost().values());
            assertEquals(Float.intBitsToFloat(0x0a090807), weights.tensor("second").toHost().values()[1]);
            assertArrayEquals(new float[] {11}, weights.tensor("scalar").toHost().values());
            assertEquals(0, weights.tensor("nothing").toHost().values().length);
            assertTrue(((HostStorage) weights.tensor("first").storage()).segment().isMapped());
        }
    }

    @ParameterizedTest
    @EnumSource
    void everyTypeOfTheFormatIsRead(DType dtype) {
        new HostileFile().tensor("t", dtype.name(), "[2,8]", 2 * dtype.bits()).write(file);
        try (Safetensors weights = Safetensors.open(file)) {
            Tensor tensor = weights.tensor("t");
            assertEquals(dtype, tensor.dtype());
            assertEquals(2L * dtype.bits(), ((HostStorage) tensor.storage()).segment().byteSize());
            assertEquals(1, ((HostStorage) tensor.storage()).segment().get(ValueLayout.JAVA_BYTE, 1));
        }
    }

    @Test
    void headerHashIsThatOfTheJsonAlone() {
        HostileFile content = new HostileFile().tensor("t", "U8", "[1]", 1);
        content.write(file);
        try (Safetensors weights = Safetensors.open(file)) {
            assertEquals(Safetensors.sha256(content.header().getBytes(StandardCharsets.UTF_8)), weights.headerHash());
            assertEquals(64, weights.headerHash().length());
        }
    }

    @Test
    void emptyHeaderIsAFileWithoutTensors() {
        HostileFile.raw(file, "{}   ", new byte[0]);
        try (Safetensors weights = Safetensors.open(file)) {
            assertTrue(weights.names().isEmpty());
        }
    }

    @Test
    void closedTensorTellsWhatClosedIt() {
        new HostileFile().tensor("t", "U8", "[1]", 1).write(file);
        Safetensors weights = Safetensors.open(file);
        Tensor tensor = weights.tensor("t");
        weights.close();
        weights.close();
        assertTrue(assertThrows(IllegalStateException.class, tensor::toHost).getMessage().contains("closing " + file));
        assertThrows(IllegalStateException.class, () -> weights.tensor("t"));
    }

    @Test
    void missingTensorIsNamedWithItsFile() {
        new HostileFile().tensor("t", "U8", "[1]", 1).write(file);
        try (Safetensors weights = Safetensors.open(file)) {
            assertFalse(weights.contains("x"));
            String message = assertThrows(ModelException.class, () -> weights.tensor("x")).getMessage();
            assertEquals(file + ": no tensor x", message);
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            []                                                          | does not begin with '{'
            {"a":1}                                                     | a: expected an object
            {"a":{}}                                                    | "dtype" is missing
            {"a":{"dtype":"U8","data_offsets":[0,4]}}                   | "shape" is missing
            {"a":{"dtype":"U8","shape":[4]}}                            | "data_offsets" is missing
            {"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1}} | unknown field "x"
            {"a":{"dtype":"U8","dtype":"U8"}}                           | "dtype" appears twice
            {"a":{"dtype":8}}                                           | expected a string as dtype
            {"a":{"dtype":"Q8"}}                                        | unknown dtype "Q8", known are [BOOL, F4,
            {"a":{"dtype":"U8","shape":4}}                              | expected a list of numbers as shape
            {"a":{"dtype":"U8","shape":["4"]}}                          | expected whole numbers in shape
            {"a":{"dtype":"U8","shape":[4.0]}}                          | expected whole numbers in shape
            {"a":{"dtype":"U8","shape":[-4]}}                           | shape holds -4
            {"a":{"dtype":"U8","shape":[9223372036854775808]}}          | shape holds 9223372036854775808
            {"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,4]}} | more than 16
            {"a":{"dtype":"U8","shape":[4],"data_offsets":[0]}}         | data_offsets are [0]
            {"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4,8]}}     | more than 2
            {"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}       | data_offsets are [4, 0]
            {"a":{"dtype":"U8","shape":[3],"data_offsets":[0,4]}}       | takes 3 bytes, data_offsets give it 4
            {"a":{"dtype":"F4","shape":[7],"data_offsets":[0,4]}}       | no whole number of bytes
            {"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,4]}} | no whole number of bytes
            {"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,4]}}   | no whole number of bytes
            {"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}       | a: begins at byte 2, but the header ends at 0
            {"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}} | b: begins at byte 3, but a ends at 2
            {"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}} | b: begins at byte 2, but a ends at 3
            {"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]}}       | is truncated: the header promises 5 bytes of tensors, the file has 4 bytes; download it again
            {"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}       | is too long: the header accounts for 3 bytes
            {"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}} | a: appears twice
            {"__metadata__":{},"__metadata__":{}}                       | __metadata__: appears twice
            {"__metadata__":[]}                                         | expected a map of strings to strings
            {"__metadata__":{"k":1}}                                    | expected a string under "k"
            {"__metadata__":{"k":"1","k":"1"}}                          | "k" appears twice
            {"a":                                                       | is not valid JSON
            {} {}                                                       | text after its closing brace
            {"a":{"dtype":"U8","shape":[[[[[[[[[[                       | expected whole numbers in shape
            """)
    void malformedHeaderIsRefusedWithItsReason(String header, String reason) {
        HostileFile.raw(file, header, new byte[4]);
        String message = assertThrows(ModelException.class, () -> Safetensors.open(file)).getMessage();
        assertTrue(message.startsWith(file.toString()) && message.contains(reason), message);
    }

    @Test
    void malformedUtf8IsRefused() {
        byte[] header = new HostileFile().tensor("tX", "U8", "[1]", 1).header().getBytes(StandardCharsets.UTF_8);
        header[3] = (byte) 0xff;
        HostileFile.write(file, HostileFile.framed(header, new byte[1]));
        assertRefused("is not valid UTF-8");
    }

    @Test
    void otherUnicodeEncodingsAreNotGuessed() {
        byte[] header = new HostileFile().tensor("t", "U8", "[1]", 1).header().getBytes(StandardCharsets.UTF_16LE);
        HostileFile.write(file, HostileFile.framed(header, new byte[1]));
        assertRefused("is not valid JSON");
    }

    @Test
    void filesShorterThanTheyPromiseAreTruncated() throws IOException {
        Path whole = new HostileFile().tensor("t", "U8", "[100]", 100).write(folder.resolve("whole"));
        byte[] bytes = Files.readAllBytes(whole);
        for (int length = 1; length < bytes.length; length++) {
            HostileFile.write(file, Arrays.copyOf(bytes, length));
            assertRefused("is truncated");
        }
    }

    @Test
    void hugeHeaderLengthIsRefusedBeforeAnythingIsAllocated() {
        for (long length : new long[] {100_000_001, Integer.MAX_VALUE + 9L, Long.MAX_VALUE, -1}) {
            byte[] bytes = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).putLong(length).put((byte) '{').array();
            HostileFile.write(file, bytes);
            assertRefused("at most 100000000 are allowed");
        }
    }

    @Test
    void namesAreMadePrintableInMessages() {
        HostileFile.raw(file, "{\"a\\u001b[31m\\n\":1}", new byte[0]);
        assertRefused(": a?[31m?: expected an object");
    }

    @ParameterizedTest
    @ValueSource(ints = {640, 1152})
    void aHeaderWhoseLengthBeginsLikeAPickleIsRead(int length) {
        String json = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
        HostileFile.raw(file, json + " ".repeat(length - json.length()), new byte[1]);
        try (Safetensors weights = Safetensors.open(file)) {
            assertEquals(List.of("a"), List.copyOf(weights.names()));
        }
    }

    @Test
    void whatIsNoFileOfWeightsIsRecognised() {
        assertRefused("does not exist; check the path");
        HostileFile.write(file, new byte[0]);
        assertRefused("is empty");
        HostileFile.write(file,
                "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".getBytes(StandardCharsets.US_ASCII));
        assertRefused("Git LFS pointer");
        HostileFile.write(file, "PK\003\004............".getBytes(StandardCharsets.US_ASCII));
        assertRefused("pickled PyTorch checkpoint");
        HostileFile.write(file, "GGUF............".getBytes(StandardCharsets.US_ASCII));
        assertRefused("GGUF file");
        HostileFile.write(file, "<!DOCTYPE html><html>".getBytes(StandardCharsets.US_ASCII));
        assertRefused("web page");
        ModelException e = assertThrows(ModelException.class, () -> Safetensors.open(folder));
        assertEquals(folder + " is a folder, expected a file", e.getMessage());
        assertInstanceOf(RuntimeException.class, e);
    }

    @Test
    void linkToNothingIsToldFromAMissingFile() throws IOException {
        Files.createSymbolicLink(file, folder.resolve("blob"));
        assertRefused("is a link to a file that is not there");
    }

    private void assertRefused(String reason) {
        String message = assertThrows(ModelException.class, () -> Safetensors.open(file)).getMessage();
        assertTrue(message.startsWith(file.toString()) && message.contains(reason), message);
    }
}
