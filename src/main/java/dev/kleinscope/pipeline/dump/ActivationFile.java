package dev.kleinscope.pipeline.dump;

import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.Safetensors;
import dev.kleinscope.weights.Text;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Activations in a file: a dump, or a reference case, whose names are translated into those of a dump. Nothing is read until it is
 * touched.
 */
public final class ActivationFile implements AutoCloseable {

    /** What stands before the first step and after the last. */
    private static final int BEFORE = -1;
    private static final int AFTER = Integer.MAX_VALUE;
    /** In a case of the text encoder: of the first prompt, or of an empty one. */
    private static final Pattern TEXT = Pattern.compile("([0-9]{1,3})\\.(hidden_states\\.[0-9]{1,4}|prompt_embeds)");
    private static final int MOST_STEPS = 1_000_000;

    /**
     * Which activation.
     *
     * @param step from 0; -1 for what the run starts from
     * @param pass {@code "cond"}, {@code "uncond"}, or empty for what belongs to neither
     * @param point by its canonical name, or the tensor's name if it is none
     */
    public record Key(int step, String pass, String point) {

        private static final ComputedOrder COMPUTED = new ComputedOrder();

        /** Order of computation. */
        static final Comparator<Key> ORDER = Comparator.comparingInt(Key::step)
                .thenComparingInt(key -> List.of("cond", "uncond", "").indexOf(key.pass))
                .thenComparing(Key::point, COMPUTED);

        /** As in a dump, fit to be printed. */
        public String name() {
            Pass named = pass.equals(Pass.UNCOND.label()) ? Pass.UNCOND : Pass.COND;
            return Text.quote(step == BEFORE || step == AFTER ? DumpNames.of(named, point) : DumpNames.of(step, named, point));
        }
    }

    private final Safetensors file;
    private final Map<Key, String> names = new LinkedHashMap<>();

    private ActivationFile(Safetensors file) {
        this.file = file;
        List<Map.Entry<Key, String>> found = new ArrayList<>();
        for (String name : file.names()) {
            Key key = key(name);
            if (key != null) {
                found.add(Map.entry(key, name));
            }
        }
        found.sort(Map.Entry.comparingByKey(Key.ORDER));
        for (Map.Entry<Key, String> entry : found) {
            String other = names.putIfAbsent(entry.getKey(), entry.getValue());
            if (other != null) {
                throw new ModelException(file.path() + ": two tensors are the same activation, " + entry.getKey().name()
                        + "; the file was not written by Kleinscope");
            }
        }
    }

    /** @throws ModelException if the file cannot be read, is no safetensors file, or names an activation twice */
    public static ActivationFile open(Path path) {
        Safetensors file = Safetensors.open(path);
        try {
            return new ActivationFile(file);
        } catch (RuntimeException e) {
            file.close();
            throw e;
        }
    }

    /** Which activation a tensor is; null for one that says again what another says. */
    private Key key(String name) {
        DumpNames.Parts parts = DumpNames.parse(name);
        if (parts != null) {
            boolean latents = parts.pass() == Pass.COND && parts.point().equals(DumpPlan.LATENTS);
            return new Key(parts.step(), latents ? "" : parts.pass().label(), parts.point());
        }
        if (name.startsWith("act.")) {
            return new Key(caseStep(), casePass(), name.substring("act.".length()));
        }
        Matcher text = TEXT.matcher(name);
        if (text.matches() && (text.group(1).equals("0") || "".equals(file.metadata().get("prompt." + text.group(1))))) {
            Pass pass = text.group(1).equals("0") ? Pass.COND : Pass.UNCOND;
            return new Key(BEFORE, "", text.group(2).equals("prompt_embeds") ? (pass == Pass.COND ? DumpPlan.PROMPT : DumpPlan.NEGATIVE)
                    : DumpNames.of(pass, DumpPlan.TEXT + text.group(2)));
        }
        boolean uncond = casePass().equals("uncond");
        return switch (name) {
            case "out.sample" -> file.contains("act.proj_out") ? null : new Key(caseStep(), casePass(), "proj_out");
            case "in.encoder_hidden_states" -> new Key(BEFORE, "", uncond ? DumpPlan.NEGATIVE : DumpPlan.PROMPT);
            default -> new Key(name.startsWith("out.") ? AFTER : BEFORE, "", name);
        };
    }

    /** The step that a case of one forward says it is. */
    private int caseStep() {
        String step = file.metadata().get("step");
        return step != null && step.matches("[0-9]{1,6}") ? Math.min(MOST_STEPS, Integer.parseInt(step)) : 0;
    }

    private String casePass() {
        return "uncond".equals(file.metadata().get("pass")) ? "uncond" : "cond";
    }

    public Path path() {
        return file.path();
    }

    /** How it was made, as far as it says. */
    public Map<String, String> metadata() {
        return file.metadata();
    }

    /** What it holds, in the order of computation. */
    public List<Key> keys() {
        return List.copyOf(names.keySet());
    }

    public boolean has(Key key) {
        return names.containsKey(key);
    }

    /** The values, mapped; readable until this closes. */
    public Tensor tensor(Key key) {
        return file.tensor(names.get(key));
    }

    /** Whether activations were computed in bf16, or stored so. */
    public boolean rounded() {
        return file.metadata().getOrDefault("precision", "").equals("bf16") || file.metadata().getOrDefault("dtype", "").equals("bfloat16")
                || names.values().stream().anyMatch(name -> file.dtype(name) == DType.BF16);
    }

    @Override
    public void close() {
        file.close();
    }
}
