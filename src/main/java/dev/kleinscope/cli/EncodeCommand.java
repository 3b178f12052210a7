package dev.kleinscope.cli;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.tensor.HostTensor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code kleinscope encode}: a prompt's embeddings, kept in a file. */
@Command(
        name = "encode",
        description = "Encode a prompt and keep its embeddings, so that runs need no text encoder.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope encode -p \"a red cube\" -o cube.safetensors",
            "  kleinscope generate --embeds cube.safetensors -o cube.png",
        })
final class EncodeCommand implements Callable<Integer> {

    @Mixin
    private ModelOptions model;

    @Mixin
    private BackendOptions backend;

    @Mixin
    private OutputOptions output;

    @Option(names = {"-p", "--prompt"}, paramLabel = "PROMPT", required = true, description = "The prompt; may be empty.")
    private String prompt;

    @Option(names = "--max-tokens", paramLabel = "N", defaultValue = "512", description = "Padded length. Default: ${DEFAULT-VALUE}.")
    private int maxTokens;

    @Option(names = {"-o", "--out"}, paramLabel = "FILE", required = true, description = "The safetensors file to write.")
    private Path out;

    @Override
    public Integer call() {
        PromptChecks.tokens("--max-tokens", maxTokens);
        PromptChecks.unicode("--prompt", prompt);
        OutputFile.check("--out", out);
        Console console = output.console();
        try (Ops ops = backend.open(); Klein klein = new Klein(model.files(), ops); Progress progress = console.progress("encode", 1)) {
            console.note("backend " + backend.describe(ops) + "; model " + model.name());
            Prompt tokens = klein.tokenizer().prompt(prompt, maxTokens);
            HostTensor embeds = klein.encode(tokens);
            progress.step("encoded");
            Embeds.write(out, tokens, embeds, Map.of("model", model.name(), "kleinscope", Version.summary(), "precision", backend.precision(),
                    "max_tokens", String.valueOf(maxTokens), "weights", String.valueOf(klein.identity())));
            Map<String, Object> said = new LinkedHashMap<>();
            said.put("schema", "kleinscope.encode/1");
            said.put("file", out.toString());
            said.put("shape", embeds.shape().dims());
            said.put("prompt_tokens", tokens.groups().promptTokens());
            said.put("truncated", tokens.truncated());
            if (output.json()) {
                console.json(said);
            } else {
                console.result(out + ": prompt_embeds " + embeds.shape() + ", " + tokens.groups().promptTokens() + " prompt tokens"
                        + (tokens.truncated() > 0 ? ", " + tokens.truncated() + " cut to fit" : ""));
            }
        }
        return ExitCodes.OK;
    }
}
