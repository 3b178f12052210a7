package dev.kleinscope.report;

import java.lang.reflect.Array;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.core.json.JsonWriteFeature;
import tools.jackson.core.util.DefaultIndenter;
import tools.jackson.core.util.DefaultPrettyPrinter;
import tools.jackson.databind.ObjectWriter;
import tools.jackson.databind.json.JsonMapper;

/**
 * JSON as this package writes it. JSON has no word for NaN and the infinities: NaN, a value that could not be measured,
 * becomes {@code null}; an infinity, a value that overflowed, becomes the string {@code "Infinity"} or {@code "-Infinity"}.
 */
final class Json {

    private static final ObjectWriter PRETTY = JsonMapper.shared().writer().with(new DefaultPrettyPrinter()
            .withObjectIndenter(new DefaultIndenter("  ", "\n")));
    private static final ObjectWriter ASCII = JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build().writer();

    private Json() {
    }

    /** For people and programs: indented, LF line ends, in the order given. */
    static String pretty(Object tree) {
        return PRETTY.writeValueAsString(plain(tree)) + "\n";
    }

    /**
     * For a {@code <script>} element: no character of it can end the element or open a comment, and none is outside ASCII,
     * so that neither a broken surrogate pair nor a mark that reverses the reading direction reaches the file.
     */
    static String forScript(Object tree) {
        return ASCII.writeValueAsString(plain(tree)).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026");
    }

    /** Nine significant digits: more than a 32-bit float holds, and half as long as a double. */
    static Object rounded(double value) {
        return Double.isFinite(value) ? (Object) new BigDecimal(value).round(new MathContext(9)).doubleValue() : value;
    }

    private static Object plain(Object value) {
        return switch (value) {
            case null -> null;
            case Boolean b -> b;
            case Double d -> number(d);
            case Float f -> number(f);
            case Integer _, Long _, Short _, Byte _, BigInteger _, BigDecimal _ -> value;
            case Map<?, ?> map -> {
                Map<String, Object> copy = new LinkedHashMap<>();
                map.forEach((key, each) -> copy.put(String.valueOf(key), plain(each)));
                yield copy;
            }
            case Iterable<?> many when !(value instanceof Path) -> {
                List<Object> copy = new ArrayList<>();
                many.forEach(each -> copy.add(plain(each)));
                yield copy;
            }
            case Object array when array.getClass().isArray() -> {
                List<Object> copy = new ArrayList<>();
                for (int i = 0; i < Array.getLength(array); i++) {
                    copy.add(plain(Array.get(array, i)));
                }
                yield copy;
            }
            default -> value.toString();
        };
    }

    private static Object number(double value) {
        if (Double.isNaN(value)) {
            return null;
        }
        return Double.isInfinite(value) ? Double.toString(value) : (Object) value;
    }

    private static Object number(float value) {
        return Float.isFinite(value) ? (Object) value : number((double) value);
    }
}
