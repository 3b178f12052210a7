package dev.kleinscope.cli;

import dev.kleinscope.model.dit.DitConfig;
import dev.kleinscope.model.dit.DitPoints;
import dev.kleinscope.model.text.Qwen3Config;
import dev.kleinscope.model.text.TextEncoder;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelComponent;
import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.WeightSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.LongFunction;
import tools.jackson.databind.JsonNode;

/**
 * What a model consists of, as {@code kleinscope inspect} prints it.
 *
 * @param schema names this form
 * @param model folder or file that was found
 * @param distilled what its index says; null if it does not tell
 * @param components in a fixed order
 */
record Inspection(String schema, String model, Boolean distilled, List<Component> components) {

    /**
     * One part.
     *
     * @param component transformer, text_encoder and so on
     * @param location its folder or file
     * @param files that hold its weights, with the index if there is one
     * @param sizes what its configuration, or the shapes of a single file, come to
     * @param config its configuration as it is; null for a single file
     * @param dtypes totals by element type
     * @param points where activations can be seen
     */
    record Component(String component, String location, List<String> files, Map<String, Object> sizes, JsonNode config,
            long parameters, long bytes, Map<String, Total> dtypes, List<Row> tensors, List<ProbePoint> points) {
    }

    record Total(int tensors, long parameters, long bytes) {

        Total plus(Row row) {
            return new Total(tensors + 1, parameters + row.elements(), bytes + row.bytes());
        }
    }

    /** A tensor. @param stats null where they were not asked for, or its type does not allow them */
    record Row(String name, String dtype, List<Long> shape, long elements, long bytes, TensorStats stats) {
    }

    /** @param aliases other names for it */
    record ProbePoint(String name, String role, String rows, String shape, List<String> aliases) {
    }

    /**
     * Reads configurations and headers, and all weights where statistics are wanted.
     *
     * @param stats opens the progress of reading all weights, given its steps; null to leave them unread
     * @throws dev.kleinscope.weights.ModelException if a file is damaged, or a configuration is not supported
     */
    static Inspection of(ModelFiles files, LongFunction<Progress> stats) {
        Map<ComponentKind, WeightSource> sources = new LinkedHashMap<>();
        try {
            for (ComponentKind kind : files.kinds()) {
                if (kind.hasWeights()) {
                    sources.put(kind, files.component(kind).open());
                }
            }
            List<Component> components = new ArrayList<>();
            if (stats == null) {
                files.kinds().forEach(kind -> components.add(component(files.component(kind), sources.get(kind), null)));
            } else {
                long steps = sources.values().stream().flatMap(source -> source.names().stream().map(source::tensor))
                        .mapToLong(TensorStats::steps).sum();
                try (Progress progress = stats.apply(steps)) {
                    files.kinds().forEach(kind -> components.add(component(files.component(kind), sources.get(kind), progress::step)));
                }
            }
            return new Inspection("kleinscope.inspect/1", files.origin().toString(), files.isDistilled(), List.copyOf(components));
        } finally {
            sources.values().forEach(WeightSource::close);
        }
    }

    private static Component component(ModelComponent component, WeightSource source, Consumer<String> progress) {
        List<Row> rows = source == null ? List.of() : source.names().stream().map(name -> row(source.tensor(name), progress)).toList();
        Map<String, Total> totals = new LinkedHashMap<>();
        rows.forEach(row -> totals.put(row.dtype(), totals.getOrDefault(row.dtype(), new Total(0, 0, 0)).plus(row)));
        Map<String, Object> sizes = new LinkedHashMap<>();
        List<Point> points = switch (component.kind()) {
            case TRANSFORMER -> {
                DitConfig config = component.config() == null ? DitConfig.infer(source) : DitConfig.from(component.config());
                sizes(sizes, config);
                yield DitPoints.all(config);
            }
            case TEXT_ENCODER -> {
                Qwen3Config config = component.config() == null ? Qwen3Config.infer(source) : Qwen3Config.from(component.config());
                sizes(sizes, config);
                yield TextEncoder.points(config).points();
            }
            default -> {
                sizes(sizes, component.config());
                yield List.of();
            }
        };
        return new Component(component.kind().folder(), component.location().toString(),
                source == null ? List.of() : source.files().stream().map(Path::toString).toList(), sizes, component.config(),
                rows.stream().mapToLong(Row::elements).sum(), rows.stream().mapToLong(Row::bytes).sum(), totals, rows,
                points.stream().map(Inspection::probePoint).toList());
    }

    private static Row row(Tensor tensor, Consumer<String> progress) {
        long elements = tensor.shape().elements();
        DType dtype = tensor.dtype();
        return new Row(tensor.name(), dtype.name(), Arrays.stream(tensor.shape().dims()).boxed().toList(), elements, dtype.bytes(elements),
                progress == null ? null : TensorStats.of(tensor, () -> progress.accept(Printable.text(tensor.name()))));
    }

    private static ProbePoint probePoint(Point point) {
        return new ProbePoint(point.name(), point.role().name().toLowerCase(Locale.ROOT), point.rows().name().toLowerCase(Locale.ROOT),
                point.shape(), PointCatalog.aliases(point));
    }

    private static void sizes(Map<String, Object> sizes, DitConfig config) {
        sizes.put("hidden", config.hidden());
        sizes.put("heads", config.heads());
        sizes.put("head_dim", config.headDim());
        sizes.put("double_blocks", config.doubleBlocks());
        sizes.put("single_blocks", config.singleBlocks());
        sizes.put("mlp_hidden", config.mlpHidden());
        sizes.put("in_channels", config.inChannels());
        sizes.put("out_channels", config.outChannels());
        sizes.put("text_dim", config.textDim());
        sizes.put("timestep_channels", config.timestepChannels());
        sizes.put("rope_axes", config.ropeAxes());
        sizes.put("rope_theta", config.ropeTheta());
        sizes.put("eps", config.eps());
        sizes.put("guidance_embeds", config.guidanceEmbeds());
    }

    private static void sizes(Map<String, Object> sizes, Qwen3Config config) {
        sizes.put("hidden", config.hidden());
        sizes.put("layers", config.layers());
        sizes.put("layers_used", Math.min(config.layers(), TextEncoder.layersNeeded()));
        sizes.put("heads", config.heads());
        sizes.put("kv_heads", config.kvHeads());
        sizes.put("head_dim", config.headDim());
        sizes.put("mlp_hidden", config.mlpHidden());
        sizes.put("vocabulary", config.vocabulary());
        sizes.put("rope_theta", config.ropeTheta());
        sizes.put("eps", config.eps());
    }

    /** Of a component without a record of its own here: numbers, names and short lists, and those of nested objects. */
    private static void sizes(Map<String, Object> sizes, JsonNode config) {
        if (config == null) {
            return;
        }
        config.forEachEntry((key, value) -> {
            if (value.isObject()) {
                value.forEachEntry((inner, innerValue) -> put(sizes, key + "." + inner, innerValue));
            } else {
                put(sizes, key, value);
            }
        });
    }

    private static void put(Map<String, Object> sizes, String key, JsonNode value) {
        boolean list = value.isArray() && value.size() <= 8 && value.valueStream().allMatch(JsonNode::isNumber);
        if (!key.startsWith("_") && !value.isNull() && (value.isValueNode() || list)) {
            sizes.put(key, value);
        }
    }
}
