package dev.kleinscope.weights;

import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/**
 * Entries of a {@code config.json}, each checked, with messages that name the component and the entry. An entry that is null counts
 * as missing.
 *
 * @param component whose configuration it is, for messages
 * @param json the file's object
 */
public record LayoutConfig(String component, JsonNode json) {

    /** Far beyond every model, and small enough that products of two do not overflow. */
    public static final long MAX_SIZE = 1 << 24;
    public static final long MAX_LAYERS = 4096;

    /** A whole number from {@code least} to {@code most}. */
    public long number(String key, long least, long most) {
        return checked(key, json.path(key), least, most);
    }

    /** As {@link #number}, or {@code absent} where the entry is missing. */
    public long number(String key, long least, long most, long absent) {
        return has(key) ? checked(key, json.path(key), least, most) : absent;
    }

    public long size(String key) {
        return number(key, 1, MAX_SIZE);
    }

    int layers(String key, long least) {
        return (int) number(key, least, MAX_LAYERS);
    }

    private long checked(String key, JsonNode value, long least, long most) {
        boolean fits = value.isIntegralNumber() && value.canConvertToLong() && value.longValue() >= least
                && value.longValue() <= most;
        if (!fits) {
            throw wrong(key, "a whole number from " + least + " to " + most);
        }
        return value.longValue();
    }

    /** A number above 0, or {@code absent}. */
    public double ratio(String key, double absent) {
        JsonNode value = json.path(key);
        if (!has(key)) {
            return absent;
        }
        if (!value.isNumber() || !(value.doubleValue() > 0) || !(value.doubleValue() <= MAX_SIZE)) {
            throw wrong(key, "a number above 0");
        }
        return value.doubleValue();
    }

    /** A number from {@code least} to {@code most}, or {@code absent}. */
    public double real(String key, double least, double most, double absent) {
        JsonNode value = json.path(key);
        if (!has(key)) {
            return absent;
        }
        if (!value.isNumber() || !(value.doubleValue() >= least) || !(value.doubleValue() <= most)) {
            throw wrong(key, "a number from " + least + " to " + most);
        }
        return value.doubleValue();
    }

    public boolean flag(String key, boolean absent) {
        JsonNode value = json.path(key);
        if (!has(key)) {
            return absent;
        }
        if (!value.isBoolean()) {
            throw wrong(key, "true or false");
        }
        return value.booleanValue();
    }

    public boolean has(String key) {
        return !json.path(key).isMissingNode() && !json.path(key).isNull();
    }

    /** One to {@code most} whole numbers, each a size. */
    List<Long> sizes(String key, int most) {
        return numbers(key, most, 1);
    }

    /** One to {@code most} whole numbers of at least {@code least}. */
    public List<Long> numbers(String key, int most, long least) {
        JsonNode value = json.path(key);
        if (!value.isArray() || value.isEmpty() || value.size() > most) {
            throw wrong(key, "a list of one to " + most + " whole numbers");
        }
        List<Long> sizes = new ArrayList<>();
        value.forEach(entry -> sizes.add(checked(key, entry, least, MAX_SIZE)));
        return List.copyOf(sizes);
    }

    ModelException wrong(String key, String expected) {
        JsonNode value = json.path(key);
        return problem(key + ": expected " + expected + ", found "
                + (value.isMissingNode() ? "no such entry" : Text.quote(value.toString())));
    }

    ModelException problem(String sentence) {
        return new ModelException(component + " configuration: " + sentence + "; correct config.json");
    }
}
