package dev.kleinscope.backend.cpu;

/**
 * How the cpu backend uses memory.
 *
 * @param budgetBytes what the process may keep in memory, pages of mapped weights included; 0 for no bound
 * @param copyWeights whether weights are copied from their files into memory of the process's own
 * @param progress hears how far copying is
 */
public record CpuMemory(long budgetBytes, boolean copyWeights, CopyProgress progress) {

    /** Weights are used where they are mapped, and the kernel decides what stays in memory. */
    public static final CpuMemory MAPPED = new CpuMemory(0, false, (_, _, _) -> { });

    /** Hears how far the copying of a model is. */
    @FunctionalInterface
    public interface CopyProgress {

        /**
         * @param model its name
         * @param doneBytes copied so far
         * @param bytes in all
         */
        void copied(String model, long doneBytes, long bytes);
    }

    boolean bounded() {
        return budgetBytes > 0;
    }
}
