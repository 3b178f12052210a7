package dev.kleinscope.probe;

import dev.kleinscope.tensor.Shape;
import java.util.Arrays;

/**
 * A place in a model where an activation can be seen.
 *
 * @param name canonical name: diffusers' module path
 * @param role what the activation is to the model
 * @param rows what its rows stand for
 * @param shape for people; {@code B} is the batch, {@code img}, {@code txt} and {@code all} numbers of tokens
 */
public record Point(String name, Role role, Rows rows, String shape) {

    /** What an activation is to the model. */
    public enum Role {
        /** The residual stream as it enters the first block. */
        EMBEDDER,
        /** The residual stream after a block. */
        BLOCK,
        /** What an attention or MLP branch adds to the stream, before its gate. */
        BRANCH,
        /** Queries or keys as an attention reads them, normed and rotated: together they give its weights. */
        ATTENTION_INPUT,
        /** Anything else. */
        INNER
    }

    /** What rows stand for. */
    public enum Rows {
        /** Image tokens. */
        IMG,
        /** Text tokens. */
        TXT,
        /** Text tokens, then image tokens. */
        JOINT,
        /** No tokens: one vector for all. */
        NONE
    }

    /**
     * The activation's shape in a run.
     *
     * @param imgTokens image tokens, those of reference images too
     */
    public Shape sized(long batch, long imgTokens, long txtTokens) {
        return new Shape(Arrays.stream(shape.substring(1, shape.length() - 1).split(", ")).mapToLong(size -> switch (size) {
            case "B" -> batch;
            case "img" -> imgTokens;
            case "txt" -> txtTokens;
            case "all" -> imgTokens + txtTokens;
            default -> Long.parseLong(size);
        }).toArray());
    }
}
