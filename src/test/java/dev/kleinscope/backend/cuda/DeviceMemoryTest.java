package dev.kleinscope.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.kleinscope.FakeLibraries;
import dev.kleinscope.bindings.cuda.NativeLibs;
import dev.kleinscope.ops.WeightGroup;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On a pretended driver whose GPU has 100 MiB. */
class DeviceMemoryTest {

    private static final long MIB = 1L << 20;

    /** A program for a process of its own, where the pretended driver is the first that is opened. */
    static final class Run {

        private Run() {
        }

        public static void main(String[] args) {
            Cuda cuda = Cuda.open(false);
            DeviceMemory memory = new DeviceMemory(cuda);
            WeightGroups groups = new WeightGroups(memory, new DeviceWeights(cuda, memory, null, null, Precision.BF16), () -> { });
            print("at first", memory, cuda);
            WeightGroup text = groups.load("the text encoder", 20 * MIB, () -> {
                memory.keep(30 * MIB, "weight a");
                memory.keep(10 * MIB, "weight b");
            });
            DeviceMemory.Block idle = memory.take(40 * MIB, "an activation");
            memory.give(idle);
            text.spare();
            print("encoded", memory, cuda);
            memory.keep(50 * MIB, "weight c");
            print("the pool went first, held " + text.hold(), memory, cuda);
            try {
                memory.keep(30 * MIB, "weight d");
            } catch (CudaUnavailableException e) {
                System.out.println(e.getMessage());
            }
            text.spare();
            memory.keep(30 * MIB, "weight d");
            print("then the text encoder, held " + text.hold(), memory, cuda);
            try {
                groups.load("the transformer", 50 * MIB, () -> {
                    memory.keep(10 * MIB, "weight e");
                    memory.keep(20 * MIB, "weight f[5, 7]");
                });
            } catch (CudaUnavailableException e) {
                System.out.println(e.getMessage());
            }
            print("after a failure", memory, cuda);
            try {
                memory.take(25 * MIB, "an activation [1, 2]");
            } catch (CudaUnavailableException e) {
                System.out.println(e.getMessage());
            }
            memory.close();
            print("closed", memory, cuda);
        }

        private static void print(String when, DeviceMemory memory, Cuda cuda) {
            System.out.println(when + ": " + memory.keptBytes() / MIB + " " + memory.pooledBytes() / MIB + " " + memory.freeBytes() / MIB + " "
                    + cuda.memory()[0] / MIB);
        }
    }

    @Test
    void shortMemoryTakesThePoolThenTheSparedWeightsThenSaysWhatIsNeeded(@TempDir Path libraries) {
        FakeLibraries.assumeCompiler();
        assumeFalse(NativeLibs.isAvailable("cuda-driver"), "this machine has NVIDIA's driver; none is pretended");
        FakeLibraries.driver(libraries, 13000, 100 * MIB, 200 * MIB);
        FakeLibraries.cublasLt(libraries);
        FakeLibraries.nvrtc(libraries);
        FakeLibraries.Outcome outcome = FakeLibraries.java(libraries, List.of(), Run.class.getName());
        String advice = ": end what else uses the GPU (nvidia-smi lists it), or choose ";
        assertEquals(List.of(
                "at first: 0 0 100 100",
                "encoded: 40 40 60 20",
                "the pool went first, held true: 90 0 10 10",
                "weight d needs 30.0 MiB of memory on Pretend GPU, of whose 200.0 MiB this run holds 90.0 MiB for weights and 0 bytes for "
                        + "activations, and 10.0 MiB are free" + advice + "--backend cpu",
                "then the text encoder, held false: 80 0 20 20",
                "the transformer needs up to 100.0 MiB of memory on Pretend GPU, of whose 200.0 MiB this run holds 90.0 MiB for weights and "
                        + "0 bytes for activations, and 10.0 MiB are free, too little for weight f[5, 7] of 20.0 MiB" + advice + "--backend cpu",
                "after a failure: 80 0 20 20",
                "an activation [1, 2] needs 26.0 MiB of memory on Pretend GPU, of whose 200.0 MiB this run holds 80.0 MiB for weights and "
                        + "0 bytes for activations, and 20.0 MiB are free" + advice + "a smaller --size or --backend cpu",
                "closed: 0 0 100 100"), outcome.out().lines().toList(), outcome.err());
    }
}
