package dev.kleinscope.backend.cpu;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;

/**
 * numpy's OpenBLAS in a process of its own, for comparison in the same run: f32 activations times f32 weights as [out, in]. Its threads
 * sleep as soon as they have nothing to do, so that they take no core from what is timed next.
 */
final class OpenBlasPeer implements AutoCloseable {

    private static final String PROGRAM = """
            import sys, time
            import numpy
            shape = None
            for line in sys.stdin:
                wanted = [int(word) for word in line.split()]
                if wanted[:3] != shape:
                    shape = wanted[:3]
                    rows, terms, columns = shape
                    x = weights = out = None
                    x = numpy.random.default_rng(1).random((rows, terms), numpy.float32) - 0.5
                    weights = numpy.random.default_rng(2).random((columns, terms), numpy.float32) - 0.5
                    out = numpy.zeros((rows, columns), numpy.float32)
                start = time.perf_counter_ns()
                for _ in range(wanted[3]):
                    numpy.matmul(x, weights.T, out=out)
                print(time.perf_counter_ns() - start, flush=True)
            """;

    private final Process process;
    private final BufferedWriter requests;
    private final BufferedReader answers;

    OpenBlasPeer(int threads) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(List.of("python3", "-c", PROGRAM)).redirectError(ProcessBuilder.Redirect.INHERIT);
        builder.environment().put("OPENBLAS_NUM_THREADS", Integer.toString(threads));
        builder.environment().put("OPENBLAS_THREAD_TIMEOUT", "4");
        process = builder.start();
        requests = process.outputWriter();
        answers = process.inputReader();
    }

    /** Nanoseconds that {@code repeats} products take. */
    long time(long rows, long in, long out, int repeats) {
        try {
            requests.write(rows + " " + in + " " + out + " " + repeats + "\n");
            requests.flush();
            String answer = answers.readLine();
            if (answer == null) {
                throw new IllegalStateException("python3 with numpy ended; see its message above");
            }
            return Long.parseLong(answer);
        } catch (IOException lost) {
            throw new UncheckedIOException(lost);
        }
    }

    @Override
    public void close() throws IOException {
        requests.close();
    }
}
