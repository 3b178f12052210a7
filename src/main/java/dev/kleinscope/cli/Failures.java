package dev.kleinscope.cli;

import dev.kleinscope.backend.cuda.CudaException;
import dev.kleinscope.backend.cuda.CudaUnavailableException;
import dev.kleinscope.ops.MemoryShortageException;
import dev.kleinscope.ops.RunInterruptedException;
import dev.kleinscope.pipeline.ImageException;
import dev.kleinscope.probe.InterventionException;
import dev.kleinscope.weights.ModelException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** What a failed command tells the user, and the exit status that says the same. */
record Failures(int exitCode, String message) {

    /**
     * Sorts a failure by its outermost cause that is known.
     *
     * @param trace whether a defect is printed with its stack trace instead of a file that holds it
     */
    static Failures of(Throwable failure, boolean trace) {
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            // whatever it broke on the way, and however that was worded
            if (cause instanceof RunInterruptedException || cause instanceof InterruptedException
                    || cause instanceof ClosedByInterruptException) {
                return new Failures(ExitCodes.INTERRUPTED, "interrupted");
            }
        }
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            Failures known = known(cause);
            if (known != null) {
                return known;
            }
        }
        return defect(failure, trace);
    }

    private static Failures known(Throwable cause) {
        return switch (cause) {
            case UserInputException e -> new Failures(ExitCodes.BAD_INPUT, e.getMessage());
            case ModelException e -> new Failures(ExitCodes.BAD_INPUT, e.getMessage());
            case InterventionException e -> new Failures(ExitCodes.BAD_INPUT, e.getMessage());
            case ImageException e -> new Failures(ExitCodes.BAD_INPUT, e.getMessage());
            case CudaUnavailableException e -> new Failures(ExitCodes.UNAVAILABLE, e.getMessage());
            case CudaException e when e.outOfMemory() -> new Failures(ExitCodes.UNAVAILABLE, "the GPU's memory does not suffice: "
                    + e.getMessage() + "; end what else uses the GPU (nvidia-smi lists it), or choose a smaller --size or --backend cpu");
            case MemoryShortageException e -> new Failures(ExitCodes.UNAVAILABLE, e.getMessage());
            case UnavailableException e -> new Failures(ExitCodes.UNAVAILABLE, e.getMessage());
            case NoSuchFileException e -> new Failures(ExitCodes.BAD_INPUT, e.getFile() + ": no such file or folder");
            case AccessDeniedException e -> new Failures(ExitCodes.BAD_INPUT, e.getFile() + ": permission denied");
            case FileSystemException e -> new Failures(ExitCodes.BAD_INPUT, e.getMessage());
            case UncheckedIOException e when known(e.getCause()) == null -> new Failures(ExitCodes.BAD_INPUT, e.getMessage());
            case OutOfMemoryError e -> new Failures(ExitCodes.UNAVAILABLE, outOfMemory(e));
            case InternalError e when mappedFileFault(e) -> new Failures(ExitCodes.BAD_INPUT, MODEL_CHANGED);
            default -> null;
        };
    }

    private static final String MODEL_CHANGED =
            "a model file changed while it was in use: leave the model folder alone during a run, and start again";

    /** A read beyond the new end of a mapped file, which HotSpot reports as an InternalError of these words. */
    private static boolean mappedFileFault(InternalError e) {
        return e.getMessage() != null && e.getMessage().contains("fault occurred in an unsafe memory access");
    }

    private static String outOfMemory(OutOfMemoryError e) {
        return "out of memory (" + e.getMessage() + "; the Java heap may grow to "
                + Doctor.bytes(Runtime.getRuntime().maxMemory())
                + "): lower the image size or the number of prompts, seeds or watched points, "
                + "or allow more with KLEINSCOPE_JAVA_OPTS=-Xmx<size>";
    }

    private static Failures defect(Throwable failure, boolean trace) {
        StringWriter stack = new StringWriter();
        failure.printStackTrace(new PrintWriter(stack, true));
        String where = trace ? System.lineSeparator() + stack : " " + keep(stack.toString());
        return new Failures(ExitCodes.DEFECT,
                "this is a defect of Kleinscope, not of your input. Please report it with the command line, the output of "
                        + "`kleinscope doctor` and this: " + Version.summary() + "; " + failure + "." + where);
    }

    private static String keep(String stack) {
        try {
            Path log = Files.createTempFile("kleinscope-", ".log");
            Files.writeString(log, Version.summary() + System.lineSeparator() + stack);
            return "The stack trace is in " + log;
        } catch (IOException e) {
            return "The stack trace could not be kept (" + e + "); --debug-trace prints it";
        }
    }
}
