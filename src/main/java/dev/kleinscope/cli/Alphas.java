package dev.kleinscope.cli;

import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Weights of the second prompt.
 *
 * @param values ascending, from 0 to 1
 */
record Alphas(List<Double> values) {

    private static final int MOST = 1025;

    /** {@code count} weights evenly from 0 to 1. */
    static Alphas even(int count) {
        List<Double> values = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            // as numpy.linspace: the step is rounded once, the last value is exact
            values.add(i == count - 1 ? 1.0 : i * (1.0 / (count - 1)));
        }
        return new Alphas(List.copyOf(values));
    }

    /** Reads a count, or a list. */
    static final class Converter implements ITypeConverter<Alphas> {
        @Override
        public Alphas convert(String text) {
            if (text.matches("[0-9]{1,9}")) {
                int count = Integer.parseInt(text);
                if (count < 2 || count > MOST) {
                    throw new TypeConversionException(text + " alphas: expected 2 to " + MOST + ", or a list such as 0,0.5,1");
                }
                return even(count);
            }
            List<Double> values = new ArrayList<>();
            for (String part : text.split(",", -1)) {
                double value = number(part, text);
                if (!values.isEmpty() && value <= values.getLast()) {
                    throw new TypeConversionException(value == values.getLast() ? "alpha " + part.strip() + " stands twice; each is one image"
                            : "alpha " + part.strip() + " stands after " + values.getLast() + "; write them in ascending order");
                }
                values.add(value);
            }
            if (values.size() > MOST) {
                throw new TypeConversionException(values.size() + " alphas: at most " + MOST);
            }
            return new Alphas(List.copyOf(values));
        }

        private static double number(String part, String text) {
            try {
                double value = Double.parseDouble(part.strip());
                if (value >= 0 && value <= 1) {
                    return value == 0 ? 0.0 : value;
                }
            } catch (NumberFormatException _) {
                // the same message
            }
            throw new TypeConversionException("\"" + (part.length() > 40 ? part.substring(0, 40) + "..." : part)
                    + "\" is no alpha: write a count, or numbers from 0 to 1 in ascending order, as in 0,0.5,1");
        }
    }
}
