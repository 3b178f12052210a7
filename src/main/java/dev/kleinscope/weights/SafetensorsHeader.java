package dev.kleinscope.weights;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.TokenStreamFactory;
import tools.jackson.core.json.JsonFactory;

/**
 * The JSON header of a safetensors file, parsed and checked in full.
 *
 * <p>Source: safetensors 0.6 {@code Metadata::validate}; stricter in that duplicate keys and unknown fields are refused.
 */
final class SafetensorsHeader {

    /** Longest header, as in the reference implementation. */
    static final int MAX_BYTES = 100_000_000;
    static final int MAX_TENSORS = 200_000;
    static final int MAX_RANK = 16;
    static final int MAX_NAME = 4096;
    static final String METADATA = "__metadata__";

    private static final Map<String, DType> DTYPES =
            Arrays.stream(DType.values()).collect(Collectors.toUnmodifiableMap(DType::name, d -> d));

    /** Names are not canonicalised: a table keyed by hash would let a file slow the parser down. */
    private static final TokenStreamFactory JSON = JsonFactory.builder()
            .disable(TokenStreamFactory.Feature.CANONICALIZE_PROPERTY_NAMES)
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxNestingDepth(8).maxNameLength(MAX_NAME).maxNumberLength(32).maxStringLength(MAX_BYTES).build())
            .build();

    /** One tensor; offsets count bytes from the end of the header. */
    record Entry(String name, DType dtype, Shape shape, long begin, long end) {

        long bytes() {
            return end - begin;
        }
    }

    private final String file;
    private final JsonParser parser;
    private final Map<String, String> metadata = new LinkedHashMap<>();
    private final Map<String, Entry> entries = new LinkedHashMap<>();

    private SafetensorsHeader(String file, JsonParser parser) {
        this.file = file;
        this.parser = parser;
    }

    /**
     * Parses and checks a header.
     *
     * @param file names the file in messages
     * @param json the header without its length field
     * @param dataBytes bytes that follow the header in the file
     * @throws ModelException if anything is wrong
     */
    static SafetensorsHeader parse(String file, byte[] json, long dataBytes) {
        if (json.length == 0 || json[0] != '{') {
            throw new ModelException(file
                    + " is not a safetensors file: its header does not begin with '{'; check what was downloaded");
        }
        // Decoding here, strictly, also keeps Jackson from guessing another encoding.
        Reader text = new InputStreamReader(new ByteArrayInputStream(json), StandardCharsets.UTF_8.newDecoder()
                .onMalformedInput(CodingErrorAction.REPORT).onUnmappableCharacter(CodingErrorAction.REPORT));
        try (JsonParser parser = JSON.createParser(ObjectReadContext.empty(), text)) {
            SafetensorsHeader header = new SafetensorsHeader(file, parser);
            header.readAll();
            return header.sorted(dataBytes);
        } catch (JacksonException e) {
            if (e.getCause() instanceof CharacterCodingException) {
                throw damaged(file, "is not valid UTF-8", e);
            }
            throw damaged(file, "is not valid JSON (" + Text.quote(String.valueOf(e.getOriginalMessage()))
                    + ", at character "
                    + e.getLocation().getCharOffset() + ")", e);
        }
    }

    Map<String, String> metadata() {
        return Collections.unmodifiableMap(metadata);
    }

    /** By name, in the order of the bytes in the file. */
    Map<String, Entry> entries() {
        return Collections.unmodifiableMap(entries);
    }

    private static ModelException damaged(String file, String what, Exception cause) {
        return new ModelException(file + ": the safetensors header " + what
                + "; the file is damaged, download it again", cause);
    }

    private ModelException wrong(String name, String what) {
        return new ModelException(file + ": " + Text.quote(name) + ": " + what + "; the file is damaged, download it again");
    }

    private void readAll() {
        parser.nextToken();
        boolean metadataSeen = false;
        while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
            String name = parser.currentName();
            parser.nextToken();
            if (name.equals(METADATA)) {
                if (metadataSeen) {
                    throw wrong(name, "appears twice in the header");
                }
                metadataSeen = true;
                readMetadata();
                continue;
            }
            if (entries.size() == MAX_TENSORS) {
                throw new ModelException(file + ": the header lists more than " + MAX_TENSORS
                        + " tensors, which no supported model has");
            }
            if (entries.putIfAbsent(name, readEntry(name)) != null) {
                throw wrong(name, "appears twice in the header");
            }
        }
        if (parser.nextToken() != null) {
            throw damaged(file, "has text after its closing brace", null);
        }
    }

    private void readMetadata() {
        expect(METADATA, "a map of strings to strings", JsonToken.START_OBJECT);
        while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
            String key = parser.currentName();
            parser.nextToken();
            expect(METADATA, "a string under \"" + Text.quote(key) + "\"", JsonToken.VALUE_STRING);
            if (metadata.putIfAbsent(key, parser.getString()) != null) {
                throw wrong(METADATA, "\"" + Text.quote(key) + "\" appears twice");
            }
        }
    }

    private Entry readEntry(String name) {
        expect(name, "an object with dtype, shape and data_offsets", JsonToken.START_OBJECT);
        DType dtype = null;
        long[] shape = null;
        long[] offsets = null;
        while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
            String field = parser.currentName();
            parser.nextToken();
            boolean twice = switch (field) {
                case "dtype" -> dtype != null;
                case "shape" -> shape != null;
                case "data_offsets" -> offsets != null;
                default -> throw wrong(name, "unknown field \"" + Text.quote(field)
                        + "\", expected dtype, shape and data_offsets");
            };
            if (twice) {
                throw wrong(name, "\"" + field + "\" appears twice");
            }
            switch (field) {
                case "dtype" -> dtype = readDtype(name);
                case "shape" -> shape = readNumbers(name, field, MAX_RANK);
                default -> offsets = readNumbers(name, field, 2);
            }
        }
        if (dtype == null || shape == null || offsets == null) {
            throw wrong(name, "\"" + (dtype == null ? "dtype" : shape == null ? "shape" : "data_offsets") + "\" is missing");
        }
        if (offsets.length != 2 || offsets[0] > offsets[1]) {
            throw wrong(name, "data_offsets are " + Arrays.toString(offsets)
                    + ", expected a begin and an end not before it");
        }
        Entry entry = new Entry(name, dtype, new Shape(shape), offsets[0], offsets[1]);
        checkSize(entry);
        return entry;
    }

    private void checkSize(Entry entry) {
        long expected;
        try {
            expected = entry.dtype().bytes(entry.shape().elements());
        } catch (ArithmeticException e) {
            throw wrong(entry.name(), entry.dtype() + " " + entry.shape()
                    + " is no whole number of bytes that fits in a file");
        }
        if (expected != entry.bytes()) {
            throw wrong(entry.name(), entry.dtype() + " " + entry.shape() + " takes " + expected
                    + " bytes, data_offsets give it "
                    + entry.bytes());
        }
    }

    private DType readDtype(String name) {
        expect(name, "a string as dtype", JsonToken.VALUE_STRING);
        DType dtype = DTYPES.get(parser.getString());
        if (dtype == null) {
            throw new ModelException(file + ": " + Text.quote(name) + ": unknown dtype \"" + Text.quote(parser.getString())
                    + "\", known are " + Arrays.toString(DType.values()) + "; use a file in one of these types");
        }
        return dtype;
    }

    private long[] readNumbers(String name, String field, int most) {
        expect(name, "a list of numbers as " + field, JsonToken.START_ARRAY);
        long[] numbers = new long[most];
        int count = 0;
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            expect(name, "whole numbers in " + field, JsonToken.VALUE_NUMBER_INT);
            if (count == most) {
                throw wrong(name, field + " has more than " + most + " numbers");
            }
            if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER || parser.getLongValue() < 0) {
                throw wrong(name, field + " holds " + Text.quote(parser.getString()) + ", expected 0 to " + Long.MAX_VALUE);
            }
            numbers[count++] = parser.getLongValue();
        }
        return Arrays.copyOf(numbers, count);
    }

    private void expect(String name, String what, JsonToken token) {
        JsonToken found = parser.currentToken();
        if (found != token) {
            throw wrong(name, "expected " + what + ", found " + (found == null ? "the end of the header" : found));
        }
    }

    /** Puts the entries in the order of their bytes, which must fill the rest of the file without holes or overlaps. */
    private SafetensorsHeader sorted(long dataBytes) {
        List<Entry> order = new ArrayList<>(entries.values());
        order.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
        entries.clear();
        long position = 0;
        String previous = "the header";
        for (Entry entry : order) {
            if (entry.begin() != position) {
                throw wrong(entry.name(), "begins at byte " + entry.begin() + ", but " + Text.quote(previous)
                        + " ends at " + position);
            }
            position = entry.end();
            previous = entry.name();
            entries.put(entry.name(), entry);
        }
        if (position > dataBytes) {
            throw new ModelException(file + " is truncated: the header promises " + Text.bytes(position)
                    + " of tensors, the file has " + Text.bytes(dataBytes) + "; download it again");
        }
        if (position < dataBytes) {
            throw new ModelException(file + " is too long: the header accounts for " + Text.bytes(position)
                    + " of tensors, the file has " + Text.bytes(dataBytes) + "; download it again");
        }
        return this;
    }
}
