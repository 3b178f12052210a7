package dev.kleinscope.cli;

import dev.kleinscope.analysis.Attention;
import dev.kleinscope.analysis.AttentionRun;
import dev.kleinscope.analysis.WordMaps;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.PromptWords;
import dev.kleinscope.report.AttentionJson;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NavigableSet;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code kleinscope attention}: where each head looks, and which part of the image looks at which word. */
@Command(
        name = "attention",
        description = "Show where the heads look: entropy, shares between image, words, template and padding, and maps of words.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope attention",
            "      every head of the bundled miniature, in seconds",
            "  kleinscope attention -m MODEL -p \"a red cube on a table\" --words red,cube",
            "      maps of two words, and what every head gives to them",
            "  kleinscope attention -m MODEL -p PROMPT --words \"oil painting\" \\",
            "      --blocks 'transformer_blocks.*,single_blocks.7' --at-steps 0,3",
            "      a phrase; some blocks and steps",
            "  kleinscope attention -p PROMPT --heads -q",
            "      a line for every head",
        })
final class AttentionCommand implements Callable<Integer> {

    private static final String DEFAULT_PROMPT = "a red cube on a table";
    private static final int MOST_WORDS = 16;
    private static final int LONGEST_WORD = 200;

    @Mixin
    private DrawingOptions drawing;

    @Mixin
    private OutputOptions output;

    @Option(names = {"-p", "--prompt"}, paramLabel = "PROMPT", description = "The prompt. Default: a harmless one.")
    private String prompt;

    @Option(names = "--words", paramLabel = "WORD", split = ",",
            description = "Words or phrases of the prompt to make maps of, at most " + MOST_WORDS + ". Default: the prompt's first "
                    + MOST_WORDS + ".")
    private List<String> words;

    @Option(names = "--blocks", paramLabel = "GLOB", split = ",",
            description = "Blocks to look at, by name, alias or glob. Default: all.")
    private List<String> blocks;

    @Option(names = "--at-steps", paramLabel = "LIST", converter = StepList.Converter.class,
            description = "Steps to look at, from 0, as in 0,2-3. Default: all.")
    private StepList atSteps;

    @Option(names = "--heads", description = "Print a line for every head instead of one for every block.")
    private boolean everyHead;

    @Option(names = "--seed", paramLabel = "SEED", defaultValue = "1", description = "Seed of the initial noise. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = {"-o", "--out"}, paramLabel = "DIR", defaultValue = "kleinscope-out",
            description = "Folder for attention.csv, .json, .html, .png and attention-maps.safetensors. Default: ${DEFAULT-VALUE}.")
    private Path out;

    @Override
    public Integer call() throws IOException {
        checkOptions();
        Console console = output.console();
        ModelFiles files = drawing.model().files();
        try (Ops ops = drawing.open(false); Klein klein = new Klein(files, ops)) {
            console.note("backend " + drawing.backend().describe(ops) + "; model " + drawing.model().name());
            Denoising denoising = drawing.denoising(klein, console, null);
            NavigableSet<Integer> steps = atSteps == null ? StepList.all(denoising.steps()) : atSteps.of(denoising.steps());
            List<String> chosen = chosenBlocks(klein);
            Prompt tokens = klein.tokenizer().prompt(prompt, drawing.maxTokens());
            if (tokens.truncated() > 0) {
                console.note("the prompt is longer than --max-tokens " + drawing.maxTokens() + ": its last " + tokens.truncated()
                        + " tokens are cut");
            }
            AttentionRun run = new AttentionRun(klein, tokens, chosenWords(klein, tokens, console), Math.toIntExact(klein.ditConfig().heads()),
                    chosen, denoising, steps);
            HostTensor noise = drawing.noise().bySeed(klein, List.of(seed), drawing.fallbackSize()).firstEntry().getValue();
            checkMemory(run, noise);
            Files.createDirectories(out);
            boolean decodes = files.has(ComponentKind.VAE);
            AttentionRun.Outcome outcome;
            Image8 picture = null;
            try (Progress progress = console.progress("attention", run.progressSteps() + (decodes ? 1 : 0))) {
                outcome = run.run(noise, parameters(run, noise), progress::step);
                if (decodes) {
                    picture = Image8.ofUnit(klein.pictures().decode(outcome.latents()));
                    progress.step("decoded");
                }
            }
            new AttentionFiles(out).write(outcome.attention(), picture);
            if (output.json()) {
                console.result(AttentionJson.json(outcome.attention()));
            } else {
                AttentionTable.print(outcome.attention(), everyHead, console);
                console.note("written: " + out.resolve(AttentionFiles.CSV) + " and .json, .html" + (decodes ? ", .png" : "") + ", "
                        + AttentionFiles.MAPS);
            }
        }
        return ExitCodes.OK;
    }

    private void checkOptions() {
        prompt = prompt == null ? DEFAULT_PROMPT : prompt;
        PromptChecks.present("--prompt", prompt);
        drawing.check();
        for (String word : words == null ? List.<String>of() : words) {
            if (word.isBlank() || word.length() > LONGEST_WORD) {
                throw new UserInputException("--words: expected words or phrases of 1 to " + LONGEST_WORD + " characters, parted by commas, found \""
                        + Printable.text(word) + "\"");
            }
        }
        if (words != null && words.size() > MOST_WORDS) {
            throw new UserInputException("--words: " + words.size() + " of them; at most " + MOST_WORDS + " at a time");
        }
        if (Files.exists(out) && !Files.isDirectory(out)) {
            throw new UserInputException("--out " + out + " is a file; name a folder");
        }
    }

    private List<String> chosenBlocks(Klein klein) {
        try {
            return AttentionRun.blocks(klein.points(), blocks);
        } catch (IllegalArgumentException e) {
            throw new UserInputException("--blocks: " + e.getMessage());
        }
    }

    /** Those asked for, each once; or as many of the prompt's as there is room for. */
    private List<PromptWords.Word> chosenWords(Klein klein, Prompt tokens, Console console) {
        PromptWords known = new PromptWords(klein.tokenizer(), tokens);
        List<String> all = known.all();
        if (words == null) {
            if (all.size() > MOST_WORDS) {
                console.note("maps of the first " + MOST_WORDS + " of " + all.size() + " words; --words chooses others");
            }
            return all.stream().limit(MOST_WORDS).map(known::find).filter(word -> word != null && !word.tokens().isEmpty()).toList();
        }
        Map<String, PromptWords.Word> chosen = new LinkedHashMap<>();
        for (String text : words) {
            PromptWords.Word word = known.find(text.strip());
            if (word == null) {
                throw new UserInputException("--words: \"" + Printable.text(text.strip()) + "\" is not in the prompt, whose words are "
                        + Printable.text(String.join(", ", all)));
            }
            if (word.tokens().isEmpty()) {
                throw new UserInputException("--words: \"" + Printable.text(word.text()) + "\" stands beyond the " + drawing.maxTokens()
                        + " tokens that --max-tokens leaves of the prompt");
            }
            chosen.putIfAbsent(word.text().toLowerCase(Locale.ROOT), word);
        }
        return new ArrayList<>(chosen.values());
    }

    private void checkMemory(AttentionRun run, HostTensor noise) {
        long bytes = WordMaps.bytes(run.words().size(), run.blocks().size(), run.heads(), noise.shape().dim(2) * noise.shape().dim(3));
        long most = Runtime.getRuntime().maxMemory() / 2;
        if (bytes > most) {
            throw new UnavailableException("maps of " + run.words().size() + " words at " + run.blocks().size() + " blocks take " + Doctor.bytes(bytes)
                    + ", more than half of the Java heap's " + Doctor.bytes(2 * most) + ": choose fewer --words or --blocks or a smaller --size, "
                    + "or allow more with KLEINSCOPE_JAVA_OPTS=-Xmx<size>");
        }
    }

    /** Everything needed to repeat the run. */
    private Map<String, Object> parameters(AttentionRun run, HostTensor noise) {
        run.klein().identify(ComponentKind.TEXT_ENCODER);
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("kleinscope", Version.summary());
        parameters.put("prompt", prompt);
        parameters.put("words", run.words().stream().map(PromptWords.Word::text).toList());
        parameters.put("blocks", run.blocks());
        parameters.put("at_steps", List.copyOf(run.steps()));
        drawing.record(parameters, run.klein(), run.denoising());
        drawing.noise().record(parameters, List.of(seed), noise);
        parameters.put("created", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
        return parameters;
    }
}
