package dev.kleinscope.cli;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.weights.Text;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code kleinscope dump}: a run's activations in one file. */
@Command(
        name = "dump",
        description = "Run a prompt and write chosen activations to one safetensors file, as step.N.POINT and, without the prompt, "
                + "step.N.uncond.POINT.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope dump -p \"a red cube\" -o cube.safetensors",
            "      every block's output at every step, and the latents",
            "  kleinscope dump -m MODEL -p \"a red cube\" --points '**' --at-steps 0 -o step0.safetensors",
            "      everything there is at the first step; the run ends there",
            "  kleinscope dump -m MODEL -p \"a red cube\" --points 'transformer_blocks.4.**' --dry-run",
            "      how much that would be",
            "  kleinscope dump -p \"a red cube\" --intervene transformer_blocks.2.img:scale=1.05 -o changed.safetensors",
            "      the same run with one block's output changed; diff cube.safetensors changed.safetensors shows what that does",
            "  python3 -c \"from safetensors import safe_open",
            "  print(safe_open('cube.safetensors', 'np').get_tensor('step.0.transformer_blocks.4.img'))\"",
        })
final class DumpCommand implements Callable<Integer> {

    /** In which type activations are kept. */
    enum Stored {
        OWN(null), F32(DType.F32), BF16(DType.BF16);

        private final DType dtype;

        Stored(DType dtype) {
            this.dtype = dtype;
        }

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private static final int MAX_REFERENCES = 10;

    @Mixin
    private DrawingOptions drawing;

    @Mixin
    private InterveneOptions intervene;

    @Mixin
    private OutputOptions output;

    @Option(names = {"-p", "--prompt"}, paramLabel = "PROMPT", required = true, description = "The prompt.")
    private String prompt;

    @Option(names = {"-i", "--image"}, paramLabel = "REF", description = "A reference image (PNG or JPEG); may be given several times.")
    private List<Path> references = new ArrayList<>();

    @Option(names = "--seed", paramLabel = "SEED", defaultValue = "1", description = "Seed of the initial noise. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--points", paramLabel = "GLOB", split = ",",
            description = "Probe points, by name, alias or glob, and text_encoder.hidden_states.K and latents; ** is all. Default: every "
                    + "block's output, and latents.")
    private List<String> points;

    @Option(names = "--at-steps", paramLabel = "LIST", converter = StepList.Converter.class,
            description = "Steps to keep, from 0, as in 0,2-3; the run ends after the last. Default: all.")
    private StepList atSteps;

    @Option(names = "--dtype", paramLabel = "TYPE", defaultValue = "own",
            description = "Type in the file: ${COMPLETION-CANDIDATES}. own, the default, keeps the backend's, to the bit.")
    private Stored stored;

    @Option(names = {"-o", "--out"}, paramLabel = "FILE", description = "The safetensors file to write.")
    private Path out;

    @Option(names = "--dry-run", description = "Tell what the file would hold and how large it would be, and write nothing.")
    private boolean dryRun;

    @Override
    public Integer call() {
        checkOptions();
        Console console = output.console();
        DumpRun.Dumped dumped;
        try (InterveneOptions.Opened changes = intervene.open(); Ops ops = drawing.open(false)) {
            dumped = new DumpRun(drawing, prompt, references, seed, points, atSteps, stored.dtype, changes).run(ops, dryRun ? null : out, console);
        }
        if (output.json()) {
            console.json(json(dumped));
        } else if (dryRun) {
            dumped.plan().tensors().forEach(tensor -> console.result(tensor.name() + " " + tensor.dtype() + tensor.shape()));
            console.result(dumped.plan().tensors().size() + " tensors, " + Text.bytes(dumped.plan().bytes()));
        } else {
            console.result(String.format(Locale.ROOT, "%s: %d tensors, %s", out, dumped.plan().tensors().size(),
                    Text.bytes(dumped.plan().bytes())));
            console.note(String.format(Locale.ROOT, "%.1f s; %.1f s of writing beside the computation, which waited %.1f s for it; "
                    + "%.1f s until the disk had everything", dumped.seconds(), dumped.cost().writingSeconds(),
                    dumped.cost().waitedSeconds(), dumped.cost().syncSeconds()));
        }
        return ExitCodes.OK;
    }

    private Map<String, Object> json(DumpRun.Dumped dumped) {
        Map<String, Object> json = new LinkedHashMap<>(dumped.parameters());
        json.put("file", dryRun ? null : out.toString());
        json.put("tensors", dumped.plan().tensors().size());
        json.put("bytes", dumped.plan().bytes());
        json.put("seconds", dumped.seconds());
        json.put("cost", dumped.cost());
        return json;
    }

    private void checkOptions() {
        PromptChecks.present("--prompt", prompt);
        drawing.check();
        if (references.size() > MAX_REFERENCES) {
            throw new UserInputException("--image: " + references.size() + " reference images; at most " + MAX_REFERENCES + " make sense");
        }
        if (dryRun) {
            return;
        }
        if (out == null) {
            throw new UserInputException("--out is missing: name the file to write, or add --dry-run");
        }
        OutputFile.check("--out", out);
    }
}
