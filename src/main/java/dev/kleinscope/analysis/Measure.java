package dev.kleinscope.analysis;

/** What is measured of a stream at a block. */
public enum Measure {
    /** Median over the stream's tokens of the token's L2 norm. */
    MEDIAN_NORM("n", "median token norm"),
    /** L2 norm of the whole stream. */
    STREAM_NORM("N", "stream norm"),
    /** {@code ||h_out - h_in|| / ||h_in||}: how much the block changed the stream. */
    UPDATE("u", "relative update"),
    /** {@code cos(h_in, h_out)}. */
    COSINE("kappa", "cosine of input and output"),
    /** Share of the stream's energy in its four strongest channels. */
    TOP_CHANNELS("m", "share of the top 4 channels");

    private final String symbol;
    private final String title;

    Measure(String symbol, String title) {
        this.symbol = symbol;
        this.title = title;
    }

    /** As written to files. */
    public String symbol() {
        return symbol;
    }

    /** For people. */
    public String title() {
        return title;
    }

    /** Whether a pair is compared by the logarithm of the ratio; otherwise by the difference. */
    public boolean comparedByRatio() {
        return this == MEDIAN_NORM || this == STREAM_NORM || this == UPDATE;
    }
}
