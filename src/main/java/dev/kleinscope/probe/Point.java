package dev.kleinscope.probe;

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
}
