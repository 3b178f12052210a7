package dev.kleinscope.tensor;

/** Reads a tensor piece by piece in row-major order, so that looking at a large one takes little memory. */
final class Pieces {

    private static final int PIECE = 1 << 20;

    private Pieces() {
    }

    /** Takes a piece. */
    interface Reader {

        /**
         * @param at row-major index of the first value
         * @param values the piece, at the beginning of an array that the next piece takes again
         * @return whether to go on
         */
        boolean read(long at, float[] values, int count);
    }

    /** @return how many values were read */
    static long of(Tensor tensor, Reader reader) {
        long elements = tensor.shape().elements();
        float[] values = new float[(int) Math.min(PIECE, elements)];
        long at = 0;
        while (at < elements) {
            int count = (int) Math.min(values.length, elements - at);
            tensor.read(at, count, values);
            boolean more = reader.read(at, values, count);
            at += count;
            if (!more) {
                break;
            }
        }
        return at;
    }
}
