package dev.kleinscope.ops;

/**
 * Which keys a query may see.
 *
 * @param causal only keys at or before the query
 * @param validKeys for each batch element how many leading keys exist (right padding), or null for all
 */
public record AttentionMask(boolean causal, long[] validKeys) {

    public static final AttentionMask NONE = new AttentionMask(false, null);

    /** Keys visible to a query: the first {@code n}. */
    public long visible(long batch, long query, long keys) {
        long limit = validKeys == null ? keys : Math.min(keys, validKeys[(int) batch]);
        return causal ? Math.min(limit, query + 1) : limit;
    }
}
