package dev.kleinscope.backend.cpu;

import dev.kleinscope.Reference;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.validate.DitCase;
import dev.kleinscope.pipeline.validate.PipelineCase;
import dev.kleinscope.pipeline.validate.ReferenceCase;
import dev.kleinscope.pipeline.validate.TensorCheck;
import dev.kleinscope.pipeline.validate.TextEncoderCase;
import dev.kleinscope.pipeline.validate.VaeCase;
import dev.kleinscope.weights.ModelFiles;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/**
 * Runs the bundled cases with products in bf16 beside plain loops in f64 with the same roundings, and prints the farthest tensor of each,
 * as relative L2. By hand, from the repository's folder, on a CPU with such products; {@code emulated} does without them:
 * {@code mvn -q test-compile && java --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED
 * -cp target/classes:target/test-classes:... dev.kleinscope.backend.cpu.Bf16Cases [emulated]}. Exits with 1 if a transformer is farther
 * than 1.5e-2, or than 1.5 times the plain loops.
 */
final class Bf16Cases {

    static final double DIT_TOLERANCE = 1.5e-2;
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

    public static void main(String[] arguments) {
        boolean emulated = arguments.length > 0 && arguments[0].equals("emulated");
        boolean good = true;
        try (Ops bf16 = emulated ? Bf16Emulation.open(2) : new CpuOps(Runtime.getRuntime().availableProcessors(), Gemm.ONEDNN,
                dev.kleinscope.tensor.DType.BF16); Ops plain = RoundedReference.open()) {
            System.out.println(bf16.describe());
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
