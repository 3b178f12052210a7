package dev.kleinscope.cli;

import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.Fingerprint;
import dev.kleinscope.weights.Safetensors;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import picocli.CommandLine.Option;

/** The initial noise of a command that draws, and the size of what is drawn. */
final class NoiseOptions {

    /** Which generator's numbers. */
    enum Noise {
        TORCH_CPU(TorchNoise.Kind.TORCH_CPU), TORCH_CUDA(TorchNoise.Kind.TORCH_CUDA);

        private final TorchNoise.Kind kind;

        Noise(TorchNoise.Kind kind) {
            this.kind = kind;
        }

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    /** Where neither options nor inputs tell the size. */
    static final PictureSize DEFAULT_SIZE = new PictureSize(512, 512);
    /** The same for the bundled miniature. */
    static final PictureSize DEMONSTRATION_SIZE = new PictureSize(256, 256);

    /** Far beyond every GPU. */
    private static final int MOST_MULTIPROCESSORS = 10_000;

    private static final List<String> LATENT_NAMES = List.of("latents", "latents.safe", "latents.extreme");

    @Option(names = "--noise", paramLabel = "GENERATOR", defaultValue = "torch-cpu",
            arity = "1",
            description = "Whose numbers: ${COMPLETION-CANDIDATES}, those of torch.randn with a generator on the CPU (the default) "
                    + "or on a GPU.")
    private Noise noise;

    @Option(names = "--noise-type", paramLabel = "TYPE", defaultValue = "f32",
            description = "Type that torch.randn draws: ${COMPLETION-CANDIDATES}. A bf16 pipeline draws bf16. Default: ${DEFAULT-VALUE}.")
    private TorchNoise.Type type;

    @Option(names = "--noise-sms", paramLabel = "N", defaultValue = "" + TorchNoise.DEFAULT_MULTIPROCESSORS,
            description = "Multiprocessors of the GPU whose numbers torch-cuda gives. Default: ${DEFAULT-VALUE}, an H100's.")
    private int multiprocessors;

    @Option(names = "--latents", paramLabel = "FILE",
            description = "Take the initial noise from a safetensors file instead: latents, or latents.safe and latents.extreme, "
                    + "each [1, channels, H/16, W/16].")
    private Path latents;

    @Option(names = "--size", paramLabel = "WxH", converter = PictureSize.Converter.class,
            description = "Picture size in pixels, multiples of 16. Default: that of --latents, else 512x512 (256x256 for the "
                    + "bundled model).")
    private PictureSize size;

    /** Noise for the two prompts of the original protocol: the second continues the first's generator. */
    record Pair(HostTensor safe, HostTensor extreme) {
    }

    /** Records what was used, in the words of the options. */
    void record(Map<String, Object> parameters, List<Long> seeds, HostTensor noise0) {
        parameters.put("size", noise0.shape().dim(3) * 16 + "x" + noise0.shape().dim(2) * 16);
        if (latents != null) {
            parameters.put("latents", latents.toAbsolutePath().toString());
            try (Safetensors file = Safetensors.open(latents)) {
                parameters.put("latents_fingerprint", Fingerprint.of(file));
            }
            return;
        }
        parameters.put("seeds", List.copyOf(seeds));
        parameters.put("noise", noise.toString());
        parameters.put("noise_type", type.name().toLowerCase(Locale.ROOT));
        if (noise == Noise.TORCH_CUDA) {
            parameters.put("noise_sms", multiprocessors);
        }
    }

    /** Takes up what an image's metadata recorded. */
    void restore(String recordedNoise, String recordedType, Integer recordedMultiprocessors, PictureSize recordedSize) {
        try {
            noise = Noise.valueOf(String.valueOf(recordedNoise).toUpperCase(Locale.ROOT).replace('-', '_'));
            type = TorchNoise.Type.valueOf(String.valueOf(recordedType).toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException _) {
            throw new UserInputException("the image was drawn from noise called \"" + recordedNoise + " " + recordedType + "\", which this version does not know");
        }
        multiprocessors = recordedMultiprocessors == null ? multiprocessors : recordedMultiprocessors;
        size = recordedSize;
    }

    /** Takes up the file of noise that an image's metadata recorded. */
    void restoreLatents(Path recorded) {
        latents = recorded;
        size = null;
    }

    boolean fromFile() {
        return latents != null;
    }

    /** Initial noise by seed; that of a file stands under seed 0. */
    SortedMap<Long, HostTensor> bySeed(Klein klein, List<Long> seeds, PictureSize fallback) {
        SortedMap<Long, HostTensor> noises = new TreeMap<>();
        if (latents != null) {
            Map<String, HostTensor> file = file(klein);
            noises.put(0L, file.getOrDefault("latents", file.get("latents.safe")));
            return noises;
        }
        if (new LinkedHashSet<>(seeds).size() != seeds.size()) {
            throw new UserInputException("--seeds: a seed stands twice; each is a repeat of its own");
        }
        seeds.forEach(seed -> noises.put(seed, draw(generator(seed), klein, fallback)));
        return noises;
    }

    /** Initial noise as the original norms script drew it: one generator, the safe prompt's first. */
    Pair pair(Klein klein, long seed, PictureSize fallback) {
        if (latents != null) {
            Map<String, HostTensor> file = file(klein);
            HostTensor shared = file.get("latents");
            return shared != null ? new Pair(shared, shared) : new Pair(file.get("latents.safe"), file.get("latents.extreme"));
        }
        TorchNoise generator = generator(seed);
        return new Pair(draw(generator, klein, fallback), draw(generator, klein, fallback));
    }

    private TorchNoise generator(long seed) {
        PromptChecks.range("--noise-sms", multiprocessors, 1, MOST_MULTIPROCESSORS);
        return new TorchNoise(noise.kind, seed, multiprocessors);
    }

    private HostTensor draw(TorchNoise generator, Klein klein, PictureSize fallback) {
        PictureSize picture = size != null ? size : fallback;
        Shape shape = klein.latentShape(picture.width(), picture.height());
        return new HostTensor("latents", shape, generator.next(type, shape.dims()));
    }

    private Map<String, HostTensor> file(Klein klein) {
        try (Safetensors file = Safetensors.open(latents)) {
            Map<String, HostTensor> found = new TreeMap<>();
            for (String name : LATENT_NAMES) {
                if (file.contains(name)) {
                    found.put(name, checked(file.tensor(name), name, klein));
                }
            }
            if (!found.containsKey("latents") && found.size() != 2) {
                throw new UserInputException(latents + ": expected a tensor latents, or latents.safe and latents.extreme, found "
                        + file.names().stream().limit(5).toList());
            }
            if (found.size() > 1 && found.values().stream().map(HostTensor::shape).distinct().count() > 1) {
                throw new UserInputException(latents + ": its tensors differ in shape: " + found.values());
            }
            return found;
        }
    }

    private HostTensor checked(Tensor tensor, String name, Klein klein) {
        Shape shape = tensor.shape();
        long channels = klein.ditConfig().inChannels();
        long most = Klein.MAX_SIDE / 16;
        boolean fits = shape.rank() == 4 && shape.dim(0) == 1 && shape.dim(1) == channels && shape.dim(2) >= 1
                && shape.dim(3) >= 1 && shape.dim(2) <= most && shape.dim(3) <= most;
        if (!fits || tensor.dtype() != DType.F32 && tensor.dtype() != DType.BF16 && tensor.dtype() != DType.F16) {
            throw new UserInputException(latents + ": " + name + ": expected [1, " + channels + ", H/16, W/16] of F32, BF16 or F16, found "
                    + shape + " " + tensor.dtype());
        }
        if (size != null && (size.height() != shape.dim(2) * 16 || size.width() != shape.dim(3) * 16)) {
            throw new UserInputException("--size " + size + " does not fit " + latents + ": its " + name + " is of a picture of "
                    + shape.dim(3) * 16 + "x" + shape.dim(2) * 16 + "; leave --size out");
        }
        HostTensor values = tensor.toHost();
        for (float value : values.values()) {
            if (!Float.isFinite(value)) {
                throw new UserInputException(latents + ": " + name + " holds values that are not finite; draw the noise again");
            }
        }
        return new HostTensor("latents", values.shape(), values.values());
    }
}
