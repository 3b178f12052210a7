package dev.kleinscope.bindings.linux;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Locale;

/** Pages of memory as Linux hands them out and takes them back, where {@code java.lang.foreign} has no word for it. */
public final class Pages {

    /** Of a huge page on x86-64. */
    public static final long HUGE_BYTES = 2L << 20;

    private static final long PAGE_BYTES = 4096;
    /** What the kernel reads ahead of one request at most, unless it was told otherwise. */
    private static final long READ_AHEAD_BYTES = 128 << 10;

    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x4022;
    private static final int MADV_WILLNEED = 3;
    private static final int MADV_DONTNEED = 4;
    private static final int MADV_HUGEPAGE = 14;

    private Pages() {
    }

    private static final class Libc {

        static final MethodHandle MMAP = handle("mmap", FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG,
                ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG));
        static final MethodHandle MUNMAP = handle("munmap",
                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
        static final MethodHandle MADVISE = handle("madvise",
                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT));

        private static MethodHandle handle(String name, FunctionDescriptor descriptor) {
            Linker linker = Linker.nativeLinker();
            SymbolLookup lookup = linker.defaultLookup();
            return linker.downcallHandle(lookup.findOrThrow(name), descriptor);
        }
    }

    /** Whether these calls mean here what they mean on Linux for x86-64. */
    public static boolean available() {
        return System.getProperty("os.name").toLowerCase(Locale.ROOT).contains("linux")
                && System.getProperty("os.arch").equals("amd64");
    }

    /**
     * Address space of zeros in huge pages where the kernel has them to give; memory is taken only where it is written to.
     *
     * @param bytes at least one
     * @param arena gives it back when it closes
     * @return aligned to {@link #HUGE_BYTES}; null if there is not that much address space
     */
    public static MemorySegment reserve(long bytes, Arena arena) {
        long length = bytes + HUGE_BYTES;
        long address = (long) call(() -> (long) Libc.MMAP.invokeExact(0L, length, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_NORESERVE, -1, 0L));
        if (address == -1) {
            return null;
        }
        MemorySegment whole = MemorySegment.ofAddress(address).reinterpret(length, arena, gone ->
                call(() -> (int) Libc.MUNMAP.invokeExact(gone.address(), length)));
        MemorySegment aligned = whole.asSlice(Math.ceilDiv(address, HUGE_BYTES) * HUGE_BYTES - address, bytes);
        advise(aligned.address(), bytes, MADV_HUGEPAGE);
        return aligned;
    }

    /** Asks for a mapped file's pages to be read, without waiting for them; an address that is no longer mapped does no harm. */
    public static void willNeed(long address, long bytes) {
        long end = address + bytes;
        for (long from = address / PAGE_BYTES * PAGE_BYTES; from < end; from += READ_AHEAD_BYTES) {
            advise(from, Math.min(READ_AHEAD_BYTES, end - from), MADV_WILLNEED);
        }
    }

    /** Gives back the whole pages in memory of the process's own whose content nobody needs: they read as zeros afterwards. */
    public static void discard(MemorySegment memory) {
        long from = Math.ceilDiv(memory.address(), PAGE_BYTES) * PAGE_BYTES;
        long to = (memory.address() + memory.byteSize()) / PAGE_BYTES * PAGE_BYTES;
        if (to > from) {
            advise(from, to - from, MADV_DONTNEED);
        }
    }

    /** Advice may be refused; nothing depends on it. */
    private static void advise(long address, long bytes, int advice) {
        call(() -> (int) Libc.MADVISE.invokeExact(address, bytes, advice));
    }

    private interface Call {
        Object run() throws Throwable;
    }

    private static Object call(Call call) {
        try {
            return call.run();
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }
}
