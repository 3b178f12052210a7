package dev.kleinscope.model.dit;

import dev.kleinscope.tensor.HostTensor;
import java.util.List;

/**
 * Where tokens stand on the axes T, H, W, L. Source: diffusers {@code Flux2KleinPipeline._prepare_*_ids}.
 *
 * @param ids four numbers a token
 */
public record PositionIds(int[] ids) {

    public PositionIds {
        if (ids.length % 4 != 0) {
            throw new IllegalArgumentException("position ids come in fours, found " + ids.length + " numbers");
        }
    }

    public int tokens() {
        return ids.length / 4;
    }

    /** Prompt tokens: (0, 0, 0, index). */
    public static PositionIds text(int tokens) {
        int[] ids = new int[4 * tokens];
        for (int i = 0; i < tokens; i++) {
            ids[4 * i + 3] = i;
        }
        return new PositionIds(ids);
    }

    /** Image tokens, row by row: (0, row, column, 0). */
    public static PositionIds image(int height, int width) {
        return grid(0, height, width);
    }

    /** Tokens of reference image {@code index} (from 0): T = 10 + 10 index, rows and columns from 0 again. */
    public static PositionIds reference(int index, int height, int width) {
        return grid(10 + 10 * index, height, width);
    }

    public static PositionIds concat(List<PositionIds> parts) {
        return new PositionIds(parts.stream().flatMapToInt(part -> java.util.Arrays.stream(part.ids)).toArray());
    }

    private static PositionIds grid(int t, int height, int width) {
        int[] ids = new int[4 * height * width];
        for (int i = 0; i < height * width; i++) {
            ids[4 * i] = t;
            ids[4 * i + 1] = i / width;
            ids[4 * i + 2] = i % width;
        }
        return new PositionIds(ids);
    }

    /**
     * Angles of the rotary embedding, [tokens, headDim / 2]: position x theta^(-2i / axis) in f64.
     */
    double[] angles(DitConfig config) {
        int half = (int) config.headDim() / 2;
        double[] angles = new double[tokens() * half];
        for (int token = 0; token < tokens(); token++) {
            int channel = 0;
            for (int axis = 0; axis < config.ropeAxes().size(); axis++) {
                int size = config.ropeAxes().get(axis);
                for (int i = 0; i < size; i += 2) {
                    double frequency = 1.0 / Math.pow(config.ropeTheta(), (double) i / size);
                    angles[token * half + channel++] = ids[4 * token + axis] * frequency;
                }
            }
        }
        return angles;
    }

    /** Cosines or sines of {@link #angles}, kept in f32; each repeated {@code times} along the row. */
    HostTensor table(DitConfig config, boolean cosine, int times) {
        double[] angles = angles(config);
        float[] values = new float[angles.length * times];
        for (int i = 0; i < values.length; i++) {
            double angle = angles[i / times];
            values[i] = (float) (cosine ? Math.cos(angle) : Math.sin(angle));
        }
        return HostTensor.of(cosine ? "pos_embed.cos" : "pos_embed.sin", values, tokens(), config.headDim() / 2 * times);
    }

    /** @throws IllegalArgumentException unless the two channels of each pair are alike */
    static HostTensor everyOther(HostTensor table) {
        float[] halves = new float[table.values().length / 2];
        for (int i = 0; i < halves.length; i++) {
            halves[i] = table.values()[2 * i];
            if (halves[i] != table.values()[2 * i + 1]) {
                throw new IllegalArgumentException(table.name() + ": channels 2i and 2i + 1 hold one angle and must be changed alike, found "
                        + halves[i] + " and " + table.values()[2 * i + 1] + " at " + 2 * i);
            }
        }
        return HostTensor.of(table.name(), halves, table.shape().dim(0), table.shape().dim(1) / 2);
    }
}
