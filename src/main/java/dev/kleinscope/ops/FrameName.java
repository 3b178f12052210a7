package dev.kleinscope.ops;

/** How messages call a frame. */
public final class FrameName {

    /** What the launcher's {@code --debug} sets: finding the opener costs a microsecond a frame. */
    private static final boolean OPENERS = Boolean.getBoolean("kleinscope.debug");

    private static final StackWalker STACK = StackWalker.getInstance();

    private FrameName() {
    }

    /** {@code "frame 12 of cpu"}; while debugging with the line of the model that opened it, {@code "... (DoubleBlock.java:41)"}. */
    public static String of(long number, String owner) {
        String name = "frame " + number + " of " + owner;
        return OPENERS ? name + opener() : name;
    }

    private static String opener() {
        return STACK.walk(frames -> frames.filter(frame -> !ofOperations(frame.getClassName())).findFirst()
                .map(frame -> " (" + frame.getFileName() + ":" + frame.getLineNumber() + ")").orElse(""));
    }

    private static boolean ofOperations(String type) {
        return type.startsWith("dev.kleinscope.ops.") || type.startsWith("dev.kleinscope.backend.");
    }
}
