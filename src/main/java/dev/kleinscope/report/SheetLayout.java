package dev.kleinscope.report;

/**
 * Where a contact sheet's parts stand, in pixels. The nominal width prints at 300 dots an inch over a page of 18 cm with
 * labels of 6 points. A sheet of too many images is drawn smaller throughout, so that its memory stays bounded.
 *
 * @param scale of everything, 1 unless the sheet would be too large
 * @param columns images a line
 * @param lines lines a seed
 * @param cellWidth room for an image
 * @param cellHeight the same
 * @param width of the sheet
 * @param height of the sheet
 * @param labels lines of text under an image
 */
record SheetLayout(double scale, int columns, int lines, int cellWidth, int cellHeight, int width, int height, int labels) {

    private static final int MOST_COLUMNS = 9;
    private static final int CONTENT = 2064;
    private static final int LEAST_CONTENT = 1240;
    private static final int LARGEST_CELL = 400;
    private static final long MOST_PIXELS = 36_000_000;
    private static final int MARGIN = 48;
    private static final int GAP = 16;
    private static final int HEADER = 124;
    private static final int SEED = 74;
    private static final int LABEL = 30;
    private static final int LINE_GAP = 26;
    private static final int FOOTER = 96;

    /** @param aspect height over width of the images */
    static SheetLayout of(int alphas, int seeds, int labels, double aspect) {
        SheetLayout nominal = at(1, alphas, seeds, labels, aspect);
        long pixels = (long) nominal.width * nominal.height;
        return pixels <= MOST_PIXELS ? nominal : at(Math.sqrt((double) MOST_PIXELS / pixels), alphas, seeds, labels, aspect);
    }

    private static SheetLayout at(double scale, int alphas, int seeds, int labels, double aspect) {
        int lines = Math.ceilDiv(alphas, MOST_COLUMNS);
        int columns = Math.ceilDiv(alphas, lines);
        int cell = Math.min(LARGEST_CELL, (CONTENT - (columns - 1) * GAP) / columns);
        int tall = (int) Math.round(cell * Math.clamp(aspect, 0.5, 2));
        int content = Math.max(LEAST_CONTENT, columns * cell + (columns - 1) * GAP);
        long height = 2L * MARGIN + HEADER + (long) seeds * (SEED + (long) lines * (tall + labels * LABEL + LINE_GAP)) + FOOTER;
        return new SheetLayout(scale, columns, lines, Math.max(1, (int) (cell * scale)), Math.max(1, (int) (tall * scale)),
                Math.max(1, (int) Math.ceil((2 * MARGIN + content) * scale)), Math.max(1, (int) Math.ceil(height * scale)), labels);
    }

    /** A nominal length on this sheet. */
    double px(double nominal) {
        return nominal * scale;
    }

    int size(int nominal) {
        return Math.max(1, (int) Math.round(nominal * scale));
    }

    double left() {
        return px(MARGIN);
    }

    double right() {
        return width - px(MARGIN);
    }

    double top() {
        return px(MARGIN);
    }

    double gap() {
        return px(GAP);
    }

    /** Top of a seed's part, its heading included. */
    double seedTop(int seed) {
        return px(MARGIN + HEADER) + seed * seedHeight();
    }

    double cellLeft(int alpha) {
        return left() + alpha % columns * (cellWidth + gap());
    }

    double cellTop(int seed, int alpha) {
        return seedTop(seed) + px(SEED) + alpha / columns * lineHeight();
    }

    /** Baseline of a label under an image. */
    double label(int seed, int alpha, int line) {
        return cellTop(seed, alpha) + cellHeight + px(LABEL * (line + 1) - 1);
    }

    double footerTop() {
        return height - px(FOOTER + MARGIN) + px(20);
    }

    private double seedHeight() {
        return px(SEED) + lines * lineHeight();
    }

    private double lineHeight() {
        return cellHeight + px(labels * LABEL + LINE_GAP);
    }
}
