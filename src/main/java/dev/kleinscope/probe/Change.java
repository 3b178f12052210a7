package dev.kleinscope.probe;

/** What an intervention does to the values that it selects. */
public sealed interface Change {

    /** Multiplies them. */
    record Scale(double factor) implements Change {
        @Override
        public String toString() {
            return "scale=" + number(factor);
        }
    }

    /** Sets them to zero. */
    record Zero() implements Change {
        @Override
        public String toString() {
            return "zero";
        }
    }

    /**
     * Replaces each token by a mean over tokens.
     *
     * @param over the stream whose tokens are averaged; null for the selected tokens themselves
     * @param from the run whose activation is averaged, over the selected tokens; null for this one
     */
    record Mean(TokenStream over, ActivationSource from) implements Change {
        @Override
        public String toString() {
            return "mean" + (over != null ? "=" + over.label() : from != null ? "=" + from.describe() : "");
        }
    }

    /** Adds {@code strength} times a vector to each token. */
    record Add(Direction vector, double strength) implements Change {
        @Override
        public String toString() {
            return "add=" + vector + ",strength=" + number(strength);
        }
    }

    /** Takes from each token {@code strength} times its part along a direction: all of it at 1. */
    record Remove(Direction direction, double strength) implements Change {
        @Override
        public String toString() {
            return "remove=" + direction + ",strength=" + number(strength);
        }
    }

    /** Turns each token in the plane of two directions, from the first towards the second. Keeps norms. */
    record Turn(Direction first, Direction second, double degrees) implements Change {
        @Override
        public String toString() {
            return "rotate=" + number(degrees) + ",plane=" + first + "+" + plain(second.name());
        }

        /** The second's file is the first's. */
        private static String plain(String name) {
            return name.substring(name.lastIndexOf(':') + 1);
        }
    }

    /**
     * Turns each pair of neighbouring channels, in a sense that the seed draws for each: every token turns by exactly this angle and
     * keeps its norm.
     */
    record TurnPairs(double degrees, long seed) implements Change {
        @Override
        public String toString() {
            return "rotate=" + number(degrees) + ",seed=" + seed;
        }
    }

    /** Puts the same point's activation of another run in their place: activation patching. */
    record Replace(ActivationSource from) implements Change {
        @Override
        public String toString() {
            return "replace=" + from.describe();
        }
    }

    /**
     * Adds normal numbers.
     *
     * @param size their standard deviation, in units of the root mean square of the token's selected channels or, if {@code absolute},
     *     in the activation's own
     */
    record Noise(double size, boolean absolute, long seed) implements Change {
        @Override
        public String toString() {
            return "noise=" + number(size) + (absolute ? ",absolute" : "") + ",seed=" + seed;
        }
    }

    private static String number(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e9 ? String.valueOf((long) value) : String.valueOf(value);
    }
}
