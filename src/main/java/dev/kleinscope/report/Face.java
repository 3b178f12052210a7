package dev.kleinscope.report;

import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.font.FontRenderContext;

/** What a contact sheet's text is drawn with. Sizes are in pixels, places those of the baseline. */
interface Face {

    /** More code points than any line holds. */
    int LONGEST = 1_000;

    double width(String text, int size, boolean bold);

    void draw(Graphics2D canvas, String text, double x, double y, int size, boolean bold, Color ink);

    /** The longest text that fits with its middle left out. */
    default String elided(String text, int size, double room) {
        int[] points = text.codePoints().toArray();
        if (points.length <= LONGEST && width(text, size, false) <= room) {
            return text;
        }
        int fits = 0;
        int fails = Math.min(points.length, LONGEST);
        while (fails - fits > 1) {
            int kept = (fits + fails) / 2;
            if (width(elided(points, kept), size, false) <= room) {
                fits = kept;
            } else {
                fails = kept;
            }
        }
        return elided(points, fits);
    }

    private static String elided(int[] points, int kept) {
        int tail = points.length - kept / 2;
        // A mark without its letter would sit on the dots.
        while (tail < points.length && Character.getType(points[tail]) == Character.NON_SPACING_MARK) {
            tail++;
        }
        return new String(points, 0, kept - kept / 2).stripTrailing() + " \u2026 "
                + new String(points, tail, points.length - tail).stripLeading();
    }

    /** The machine's sans-serif font, or {@link BitmapFace} where Java finds none. */
    static Face available() {
        try {
            Font font = new Font(Font.SANS_SERIF, Font.PLAIN, 20);
            if (font.getStringBounds("0", new FontRenderContext(null, true, true)).getWidth() > 0) {
                return new FontFace();
            }
        } catch (RuntimeException | LinkageError | InternalError _) {
            // What Java throws without fontconfig or any font differs by version and system; all of it means the same.
        }
        return new BitmapFace();
    }

    /** Java's logical sans-serif. */
    record FontFace() implements Face {

        private static final FontRenderContext CONTEXT = new FontRenderContext(null, true, true);

        @Override
        public double width(String text, int size, boolean bold) {
            return text.isEmpty() ? 0 : font(size, bold).getStringBounds(text, CONTEXT).getWidth();
        }

        @Override
        public void draw(Graphics2D canvas, String text, double x, double y, int size, boolean bold, Color ink) {
            if (!text.isEmpty()) {
                canvas.setColor(ink);
                canvas.setFont(font(size, bold));
                canvas.drawString(text, (float) x, (float) y);
            }
        }

        private static Font font(int size, boolean bold) {
            return new Font(Font.SANS_SERIF, bold ? Font.BOLD : Font.PLAIN, size);
        }
    }
}
