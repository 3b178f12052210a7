package dev.kleinscope.cli;

import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A size in bytes as people write it: {@code 8GiB}, {@code 8G}, {@code 7.5GB}, {@code 500MiB}. */
record ByteSize(long bytes) {

    private static final Pattern WRITTEN = Pattern.compile("([0-9]{1,9}(?:\\.[0-9]{1,3})?) ?([a-z]*)");
    private static final Map<String, Long> UNITS = Map.of("kib", 1L << 10, "mib", 1L << 20, "gib", 1L << 30, "m", 1L << 20, "g", 1L << 30,
            "kb", 1_000L, "mb", 1_000_000L, "gb", 1_000_000_000L);

    /** For picocli. */
    static final class Converter implements ITypeConverter<ByteSize> {

        @Override
        public ByteSize convert(String value) {
            Matcher matcher = WRITTEN.matcher(value.trim().toLowerCase(Locale.ROOT));
            Long unit = matcher.matches() ? UNITS.get(matcher.group(2)) : null;
            if (unit == null || Double.parseDouble(matcher.group(1)) == 0) {
                throw new TypeConversionException("expected a size such as 8GiB or 500MiB, found '" + value + "'");
            }
            return new ByteSize((long) (Double.parseDouble(matcher.group(1)) * unit));
        }
    }
}
