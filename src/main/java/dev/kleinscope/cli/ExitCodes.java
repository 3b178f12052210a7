package dev.kleinscope.cli;

/** What the exit status of every command means. */
public final class ExitCodes {

    /** Done, nothing to report. */
    public static final int OK = 0;

    /** Done, and the answer is a finding: a spike, a cliff, a model that does not validate. */
    public static final int FINDING = 1;

    /** The command line or a file it names is wrong. */
    public static final int BAD_INPUT = 2;

    /** A device, a library or the memory that the run needs is not there. */
    public static final int UNAVAILABLE = 3;

    /** Done, but the data do not allow an answer. */
    public static final int INCONCLUSIVE = 4;

    /** A defect of Kleinscope. */
    public static final int DEFECT = 70;

    /** Stopped by Ctrl-C: 128 + SIGINT. */
    public static final int INTERRUPTED = 130;

    private ExitCodes() {}
}
