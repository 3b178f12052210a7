package dev.kleinscope.backend.cpu;

import dev.kleinscope.Reference;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.OpsContract;
import dev.kleinscope.ops.Weights;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.validate.DitCase;
import dev.kleinscope.pipeline.validate.PipelineCase;
import dev.kleinscope.pipeline.validate.ReferenceCase;
import dev.kleinscope.pipeline.validate.TensorCheck;
import dev.kleinscope.pipeline.validate.TextEncoderCase;
import dev.kleinscope.pipeline.validate.VaeCase;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.ModelFiles;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * Checks products in bf16 where Maven is not: the contract of operations, products of the model's shapes, and the bundled cases beside
 * plain loops in f64 with the same roundings, of which it prints the farthest tensor, as relative L2. By hand, from the repository's folder, on a CPU with such products; {@code emulated} does without them:
 * {@code mvn -q test-compile && java --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED
 * -cp target/classes:target/test-classes:... dev.kleinscope.backend.cpu.Bf16Cases [emulated]}. Exits with 1 if the contract is broken,
 * a product is not that of the emulation, or a transformer is farther than 1.5e-2, or than 1.5 times the plain loops.
 */
final class Bf16Cases {

    static final double DIT_TOLERANCE = 1.5e-2;
    /** Of sums of up to 12288 terms in f32, in different orders. */
    private static final double SUMS_TOLERANCE = 3e-6;

    /** How much farther than the same roundings in f64. */
    static final double FACTOR = 1.5;

    static final List<String> DITS = List.of("dit-tiny-klein tiny-klein", "dit-tiny-klein-batch2 tiny-klein",
            "dit-tiny-klein-refimage tiny-klein", "dit-guidance dit-guidance", "dit-uneven dit-uneven", "dit-single dit-single",
            "dit-head128 dit-head128");
    private static final List<String> OTHERS = List.of("text-encoder tiny-klein", "text-30 text-30", "text-27 text-27", "vae tiny-klein",
            "vae-noquant vae-noquant", "pipeline-distilled tiny-klein", "pipeline-second tiny-klein", "pipeline-cfg tiny-klein",
            "pipeline-refimage tiny-klein", "pipeline-tworefs tiny-klein", "pipeline-lerp-0.25 tiny-klein", "pipeline-lerp-0.5 tiny-klein",
            "pipeline-lerp-0.9 tiny-klein");

    private Bf16Cases() {
    }

    public static void main(String[] arguments) throws ReflectiveOperationException {
        boolean emulated = arguments.length > 0 && arguments[0].equals("emulated");
        int threads = Runtime.getRuntime().availableProcessors();
        boolean good = true;
        try (CpuOps bf16 = emulated ? Bf16Emulation.open(threads) : new CpuOps(threads, Gemm.ONEDNN, DType.BF16);
                Ops plain = RoundedReference.open()) {
            System.out.println(bf16.describe());
            good &= contract() & products(bf16);
            for (String line : DITS) {
                List<TensorCheck> found = run(line, bf16);
                List<TensorCheck> rounded = run(line, plain);
                boolean within = worst(found) <= DIT_TOLERANCE && worst(found) <= FACTOR * worst(rounded);
                good &= within;
                print(line, found, rounded, within ? "pass" : "FAIL");
            }
            for (String line : OTHERS) {
                print(line, run(line, bf16), run(line, plain), "");
            }
        }
        System.exit(good ? 0 : 1);
    }

    private static boolean contract() throws ReflectiveOperationException {
        int passed = 0;
        int failed = 0;
        for (Method method : OpsContract.class.getDeclaredMethods()) {
            if (method.isAnnotationPresent(Test.class)) {
                OpsContract contract = new Bf16OpsContractTest();
                try {
                    call(contract, "open");
                    method.setAccessible(true);
                    method.invoke(contract);
                    call(contract, "close");
                    passed++;
                } catch (InvocationTargetException e) {
                    failed++;
                    System.out.println("FAIL " + method.getName() + ": " + e.getCause());
                }
            }
        }
        System.out.println("contract of operations: " + passed + " pass, " + failed + " fail");
        return failed == 0;
    }

    private static void call(OpsContract contract, String name) throws ReflectiveOperationException {
        Method method = OpsContract.class.getDeclaredMethod(name);
        method.setAccessible(true);
        method.invoke(contract);
    }

    /** The same roundings, so all that is left is the order of sums. */
    private static boolean products(CpuOps bf16) {
        boolean good = true;
        Random random = new Random(3);
        try (CpuOps emulation = Bf16Emulation.open(Runtime.getRuntime().availableProcessors())) {
            for (long[] shape : new long[][] {{1, 3072, 3072}, {7, 2560, 1024}, {256, 128, 3072}, {512, 7680, 3072}, {256, 3072, 128},
                {77, 12288, 3072}, {256, 3072, 9216}, {512, 2560, 9728}, {16, 33, 65}}) {
                HostTensor x = normal(random, 1, shape[0], shape[1]);
                Linear layer = new Linear(Weights.of(DType.BF16, normal(random, shape[2], shape[1])));
                try (Frame _ = bf16.frame(); Frame _ = emulation.frame()) {
                    float[] once = bf16.linear(bf16.input(x), layer).toHost().values();
                    float[] again = bf16.linear(bf16.input(x), layer).toHost().values();
                    Difference difference = Difference.of(once, emulation.linear(emulation.input(x), layer).toHost().values());
                    boolean within = difference.relativeL2() <= SUMS_TOLERANCE && Arrays.equals(once, again);
                    good &= within;
                    System.out.printf(Locale.ROOT, "%4d x %5d to %5d: %s  %s%n", shape[0], shape[1], shape[2], difference, within ? "pass" : "FAIL");
                }
            }
        }
        return good;
    }

    private static HostTensor normal(Random random, long... dims) {
        float[] values = new float[Math.toIntExact(new Shape(dims).elements())];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return HostTensor.of("normal", values, dims);
    }

    /** @param line a case and its model */
    static List<TensorCheck> run(String line, Ops ops) {
        String[] names = line.split(" ");
        Path model = names[1].equals("tiny-klein") ? Reference.TINY_KLEIN : Reference.FOLDER.resolve(names[1]);
        try (Klein klein = new Klein(ModelFiles.resolve(model.toString()), ops);
                ReferenceCase reference = ReferenceCase.open(Reference.caseFile(names[0]))) {
            return switch (reference.kind()) {
                case "dit" -> DitCase.run(reference, klein.dit(), ops);
                case "text-encoder" -> TextEncoderCase.run(reference, klein.textEncoder(), null, ops);
                case "vae" -> VaeCase.run(reference, klein.vae(), ops);
                default -> PipelineCase.run(reference, klein);
            };
        }
    }

    static double worst(List<TensorCheck> checks) {
        return checks.stream().mapToDouble(check -> check.difference().relativeL2()).max().orElseThrow();
    }

    private static void print(String line, List<TensorCheck> found, List<TensorCheck> rounded, String verdict) {
        TensorCheck farthest = found.stream().max(Comparator.comparingDouble(check -> check.difference().relativeL2())).orElseThrow();
        System.out.printf(Locale.ROOT, "%-38s %.2e  f64 with the same roundings %.2e  ratio %.2f  %s  %s; last %.2e%n", line, worst(found),
                worst(rounded), worst(found) / worst(rounded), verdict, farthest.name(), found.getLast().difference().relativeL2());
    }
}
