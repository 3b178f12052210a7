package dev.kleinscope.cli;

import dev.kleinscope.backend.cpu.CpuMemory;
import dev.kleinscope.backend.cpu.CpuOps;
import picocli.CommandLine.Option;

/** How much memory the cpu backend uses, and for what. */
final class MemoryOptions {

    @Option(names = "--memory-budget", paramLabel = "SIZE", converter = ByteSize.Converter.class,
            description = "On the cpu backend: keep no more than this in memory, such as 8GiB: weights' pages are released behind use, and "
                    + "pictures decoded in tiles. Counts what the process holds; not what the kernel caches of files beyond that, and "
                    + "gives up where nobody needs it. Default: no bound.")
    private ByteSize budget;

    @Option(names = "--copy-weights", description = "On the cpu backend: copy weights into memory of the process's own, where the kernel "
            + "cannot drop them between steps, instead of using the files' pages. Changes no bit of the result.")
    private boolean copy;

    private DiskReads before;
    private CpuOps backend;

    /** The option that was given, or null. */
    String given() {
        return budget != null ? "--memory-budget" : copy ? "--copy-weights" : null;
    }

    /** Applies them to a backend that was just opened. */
    CpuOps apply(CpuOps ops) {
        backend = ops;
        before = DiskReads.now();
        if (given() == null) {
            return ops;
        }
        return ops.using(new CpuMemory(budget == null ? 0 : budget.bytes(), copy, CopyLines.onStandardError()));
    }

    /** Tells at the end of a run that weights were read from disk again and again, and what helps. */
    void noteReads(Console console) {
        String note = backend == null ? null : DiskReads.note(before, DiskReads.now(), backend.weightBytes(), copy);
        if (note != null) {
            console.note(note);
        }
    }
}
