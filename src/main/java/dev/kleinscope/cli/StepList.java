package dev.kleinscope.cli;

import java.util.NavigableSet;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Some of a run's steps, counted from 0.
 *
 * @param text as given
 */
record StepList(String text) {

    private static final Pattern PART = Pattern.compile("([0-9]{1,4})(?:-([0-9]{1,4}))?");

    /** Reads {@code 0,2-3}. */
    static final class Converter implements ITypeConverter<StepList> {
        @Override
        public StepList convert(String value) {
            for (String part : value.split(",", -1)) {
                Matcher matcher = PART.matcher(part.strip());
                if (!matcher.matches() || matcher.group(2) != null && Integer.parseInt(matcher.group(1)) > Integer.parseInt(matcher.group(2))) {
                    throw new TypeConversionException("\"" + value + "\" is not a list of steps: write numbers and ranges from 0, as in 0,2-3");
                }
            }
            return new StepList(value);
        }
    }

    /** @throws UserInputException if the run has no such step */
    NavigableSet<Integer> of(int steps) {
        NavigableSet<Integer> chosen = new TreeSet<>();
        for (String part : text.split(",")) {
            Matcher matcher = PART.matcher(part.strip());
            if (matcher.matches()) {
                int from = Integer.parseInt(matcher.group(1));
                int to = matcher.group(2) == null ? from : Integer.parseInt(matcher.group(2));
                if (to >= steps) {
                    throw new UserInputException("--at-steps " + text + ": the run has the steps 0 to " + (steps - 1));
                }
                for (int step = from; step <= to; step++) {
                    chosen.add(step);
                }
            }
        }
        return chosen;
    }

    /** All of them. */
    static NavigableSet<Integer> all(int steps) {
        return new StepList("0-" + (steps - 1)).of(steps);
    }
}
