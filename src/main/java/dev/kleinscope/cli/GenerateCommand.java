package dev.kleinscope.cli;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.ImageFile;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.intervene.Interventions;
import dev.kleinscope.tensor.HostTensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.ObjectMapper;

/** {@code kleinscope generate}: a picture from a prompt. */
@Command(
        name = "generate",
        description = "Draw a picture from a prompt, and from reference images if given.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope generate -m MODEL -p \"a red cube on a table\" --seed 7 -o cube.png",
            "  kleinscope generate -m MODEL -p \"the same cube in blue\" -i cube.png -o blue.png",
            "  kleinscope generate --from-metadata cube.png -o again.png",
            "      the same picture, bit for bit, from what its file recorded",
            "  kleinscope generate -m MODEL -p \"a red cube\" --intervene 'single_transformer_blocks.7:zero,stream=prompt,steps=0'",
            "      the same prompt with its words set to zero after one block, in the first step",
        })
final class GenerateCommand implements Callable<Integer> {

    private static final int MAX_REFERENCES = 10;

    @Mixin
    private DrawingOptions drawing;

    @Mixin
    private InterveneOptions intervene;

    @Mixin
    private OutputOptions output;

    @Option(names = {"-p", "--prompt"}, paramLabel = "PROMPT", description = "The prompt.")
    private String prompt;

    @Option(names = "--embeds", paramLabel = "FILE", description = "Embeddings that encode wrote, instead of a prompt.")
    private Path embeds;

    @Option(names = {"-i", "--image"}, paramLabel = "REF", description = "A reference image (PNG or JPEG); may be given several times.")
    private List<Path> references = new ArrayList<>();

    @Option(names = "--seed", paramLabel = "SEED", description = "Seed of the initial noise. Default: 1.")
    private Long seed;

    @Option(names = "--from-metadata", paramLabel = "IMAGE", description = "Draw again what this PNG records.")
    private Path fromMetadata;

    @Option(names = {"-o", "--out"}, paramLabel = "FILE", defaultValue = "kleinscope.png", description = "The PNG to write. Default: ${DEFAULT-VALUE}.")
    private Path out;

    @Override
    public Integer call() {
        PictureRecord recorded = fromMetadata == null ? null : restore();
        checkOptions();
        Console console = output.console();
        try (InterveneOptions.Opened changes = intervene.open(); Ops ops = drawing.open(false);
                Klein klein = new Klein(drawing.model().files(), ops)) {
            console.note("backend " + drawing.backend().describe(ops) + "; model " + drawing.model().name());
            Denoising denoising = drawing.denoising(klein, console, null);
            try (Progress progress = console.progress("generate", 2L + denoising.steps() + references.size())) {
                Map<String, Object> parameters = draw(klein, denoising, changes, recorded, progress, console);
                if (output.json()) {
                    console.json(parameters);
                } else {
                    console.result(out.toString());
                }
            }
            drawing.backend().noteReads(console);
        }
        return ExitCodes.OK;
    }

    private Map<String, Object> draw(Klein klein, Denoising denoising, InterveneOptions.Opened changes, PictureRecord recorded,
            Progress progress, Console console) {
        HostTensor cond = condition(klein);
        progress.step("prompt encoded");
        Prompt negative = denoising.guided() ? klein.tokenizer().prompt("", (int) cond.shape().dim(1)) : null;
        HostTensor uncond = negative == null ? null : klein.encode(negative);
        Prompt encodedPrompt = embeds != null || changes.list().isEmpty() ? null : klein.tokenizer().prompt(prompt, drawing.maxTokens());
        Interventions interventions = new Interventions(changes.list(), Prompt.groups(encodedPrompt, negative));
        klein.dropTextEncoder();
        List<HostTensor> encoded = new ArrayList<>();
        PictureSize fallback = drawing.fallbackSize();
        for (Path reference : references) {
            encoded.add(klein.pictures().encode(ImageFile.read(reference)));
            fallback = encoded.size() > 1 ? fallback : new PictureSize((int) encoded.getFirst().shape().dim(3) * 16,
                    (int) encoded.getFirst().shape().dim(2) * 16);
            progress.step("reference encoded");
        }
        long drawn = seed == null ? 1 : seed;
        HostTensor start = drawing.noise().bySeed(klein, List.of(drawn), fallback).firstEntry().getValue();
        HostTensor latents = klein.denoise(denoising, start, cond, uncond, encoded, interventions, null,
                (step, x) -> progress.step("step " + (step + 1)));
        klein.restTransformer();
        Image8 image = Image8.ofUnit(klein.pictures().decode(latents));
        progress.step("decoded");

        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("schema", PictureRecord.SCHEMA);
        parameters.put("kleinscope", Version.summary());
        parameters.put("prompt", prompt);
        parameters.put("embeds", embeds == null ? null : embeds.toAbsolutePath().toString());
        parameters.put("seed", drawn);
        drawing.record(parameters, klein, denoising);
        drawing.noise().record(parameters, List.of(drawn), start);
        changes.record(parameters);
        parameters.put("images", references.stream().map(path -> path.toAbsolutePath().toString()).toList());
        if (recorded != null && !recorded.weights().equals(PictureRecord.fingerprints(klein.identity()))) {
            console.note("the weights are not those that " + fromMetadata + " was drawn with: the picture will differ");
        }
        Map<String, String> text = new LinkedHashMap<>();
        text.put("kleinscope", new ObjectMapper().writeValueAsString(parameters));
        text.put("Software", Version.summary());
        text.put("prompt", prompt == null ? "" : prompt);
        text.put("seed", String.valueOf(drawn));
        ImageFile.writePng(out, image, text);
        parameters.put("file", out.toString());
        return parameters;
    }

    private HostTensor condition(Klein klein) {
        if (embeds != null) {
            Embeds kept = Embeds.read(embeds, klein);
            prompt = kept.prompt();
            drawing.tokensFrom((int) kept.values().shape().dim(1));
            return kept.values();
        }
        return klein.encode(klein.tokenizer().prompt(prompt, drawing.maxTokens()));
    }

    private void checkOptions() {
        if ((prompt == null) == (embeds == null)) {
            throw new UserInputException("give --prompt or --embeds, one of them");
        }
        if (prompt != null) {
            PromptChecks.present("--prompt", prompt);
        }
        drawing.check();
        if (references.size() > MAX_REFERENCES) {
            throw new UserInputException("--image: " + references.size() + " reference images; at most " + MAX_REFERENCES + " make sense");
        }
        OutputFile.check("--out", out);
    }

    private PictureRecord restore() {
        if (prompt != null || embeds != null || !references.isEmpty() || drawing.stepsOrGuidanceGiven() || seed != null
                || drawing.noise().fromFile() || intervene.given()) {
            throw new UserInputException("--from-metadata draws what the image records; leave out prompt, embeddings, images, steps, "
                    + "guidance, seed, latents and interventions");
        }
        PictureRecord recorded = PictureRecord.read(fromMetadata);
        if (recorded.embeds() != null) {
            embeds = Path.of(recorded.embeds());
        } else {
            prompt = recorded.prompt();
        }
        references = new ArrayList<>(recorded.images().stream().map(Path::of).toList());
        seed = recorded.seed();
        intervene.restore(recorded.interventions());
        drawing.restore(recorded);
        return recorded;
    }
}
