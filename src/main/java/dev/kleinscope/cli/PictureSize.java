package dev.kleinscope.cli;

import dev.kleinscope.pipeline.Klein;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Size of a picture in pixels, both multiples of 16.
 *
 * @param width columns
 * @param height rows
 */
record PictureSize(int width, int height) {

    private static final Pattern SYNTAX = Pattern.compile("([0-9]{1,6})[xX]([0-9]{1,6})");

    /** Reads {@code 512x768}. */
    static final class Converter implements ITypeConverter<PictureSize> {
        @Override
        public PictureSize convert(String value) {
            Matcher matcher = SYNTAX.matcher(value);
            if (!matcher.matches()) {
                throw new TypeConversionException("\"" + value + "\" is not a size: write WIDTHxHEIGHT in pixels, as in 512x512");
            }
            int width = Integer.parseInt(matcher.group(1));
            int height = Integer.parseInt(matcher.group(2));
            if (width % 16 != 0 || height % 16 != 0 || width < 16 || height < 16 || width > Klein.MAX_SIDE || height > Klein.MAX_SIDE) {
                throw new TypeConversionException(value + ": width and height must be multiples of 16 from 16 to " + Klein.MAX_SIDE
                        + "; near it is " + near(width) + "x" + near(height));
            }
            return new PictureSize(width, height);
        }

        private static int near(int side) {
            return Math.clamp((side + 8) / 16 * 16, 16, Klein.MAX_SIDE);
        }
    }

    @Override
    public String toString() {
        return width + "x" + height;
    }
}
