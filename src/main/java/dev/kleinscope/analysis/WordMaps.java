package dev.kleinscope.analysis;

/**
 * For each word, block and head, how much each image token attends to the word: the mean over the steps looked at. The mean of a map
 * is the image's share for the word.
 */
public final class WordMaps {

    private final int height;
    private final int width;
    private final float[][][][] maps;

    /**
     * @param height of the image in tokens
     * @param width likewise
     */
    public WordMaps(int words, int blocks, int heads, int height, int width) {
        this.height = height;
        this.width = width;
        maps = new float[words][blocks][heads][height * width];
    }

    /** Bytes that maps of so many would take. */
    public static long bytes(long words, long blocks, long heads, long tokens) {
        return words * blocks * heads * tokens * Float.BYTES;
    }

    public int height() {
        return height;
    }

    public int width() {
        return width;
    }

    /** Of one head, row by row; not a copy. */
    public float[] of(int word, int block, int head) {
        return maps[word][block][head];
    }

    /** Mean over all heads of all blocks. */
    public float[] mean(int word) {
        double[] sums = new double[height * width];
        int count = 0;
        for (float[][] block : maps[word]) {
            for (float[] head : block) {
                count++;
                for (int i = 0; i < sums.length; i++) {
                    sums[i] += head[i];
                }
            }
        }
        float[] mean = new float[sums.length];
        for (int i = 0; i < mean.length; i++) {
            mean[i] = (float) (sums[i] / count);
        }
        return mean;
    }

    /** How much a map stands out anywhere: its largest value by its mean; 1 for an even map, NaN for one without attention. */
    public static double peak(float[] map) {
        double sum = 0;
        double largest = 0;
        for (float value : map) {
            sum += value;
            largest = Math.max(largest, value);
        }
        return largest * map.length / sum;
    }
}
