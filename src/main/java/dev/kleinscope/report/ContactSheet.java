package dev.kleinscope.report;

import dev.kleinscope.analysis.Interpolation;
import dev.kleinscope.analysis.Interpolation.Drop;
import dev.kleinscope.analysis.Interpolation.Sample;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.Shape;
import java.awt.geom.Path2D;
import java.awt.geom.Rectangle2D;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/**
 * The images of a sweep on one white sheet, for a paper: a part for each seed, in which alpha ascends, each image with its
 * alpha and scores, and a mark where the structural score falls most. Images are scaled down as they are read, one at a time.
 */
public final class ContactSheet {

    static {
        // A sheet needs no display, and Java would connect to one, over the network if DISPLAY says so.
        if (System.getProperty("java.awt.headless") == null) {
            System.setProperty("java.awt.headless", "true");
        }
    }

    /** What became of the sheet. */
    public enum Outcome {
        WRITTEN,
        /** This machine has no font that Java can use: the text is in plain capitals, and other scripts are question marks. */
        WRITTEN_WITHOUT_FONT,
        /** No image was kept, so there is nothing to show; no file was written. */
        NO_IMAGES
    }

    private static final Color INK = new Color(0x1a1d21);
    private static final Color MUTED = new Color(0x59616b);
    private static final Color RULE = new Color(0xd9dde1);
    private static final Color EMPTY = new Color(0xf0f1f3);
    private static final Color DROP = new Color(0xc85400);

    private final Interpolation sweep;
    private final Face face;
    private final SheetLayout layout;
    private final BufferedImage sheet;
    private final Graphics2D canvas;

    private ContactSheet(Interpolation sweep, Face face, SheetLayout layout) {
        this.sweep = sweep;
        this.face = face;
        this.layout = layout;
        sheet = new BufferedImage(layout.width(), layout.height(), BufferedImage.TYPE_INT_RGB);
        canvas = sheet.createGraphics();
        canvas.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
        canvas.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
        canvas.setRenderingHint(RenderingHints.KEY_FRACTIONALMETRICS, RenderingHints.VALUE_FRACTIONALMETRICS_ON);
        canvas.setColor(Color.WHITE);
        canvas.fillRect(0, 0, layout.width(), layout.height());
    }

    /**
     * @param target a PNG file
     * @param images a sample's image at any size, or null where no pixels were kept; asked once for each sample
     * @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was
     * @throws IllegalArgumentException for a sweep without samples
     */
    public static Outcome write(Path target, Interpolation sweep, Function<Sample, BufferedImage> images) {
        Face face = Face.available();
        BufferedImage sheet = draw(sweep, images, face);
        if (sheet == null) {
            return Outcome.NO_IMAGES;
        }
        AtomicFile.writeBytes(target, out -> Thumbnail.writePng(sheet, out));
        return face instanceof BitmapFace ? Outcome.WRITTEN_WITHOUT_FONT : Outcome.WRITTEN;
    }

    /** The sheet, or null if there is no image at all. */
    static BufferedImage draw(Interpolation sweep, Function<Sample, BufferedImage> images, Face face) {
        Sample[][] grid = InterpolationData.grid(sweep);
        boolean scored = sweep.samples().stream().anyMatch(sample -> clip(sample) != null);
        ContactSheet made = null;
        for (int seed = 0; seed < grid.length; seed++) {
            for (int alpha = 0; alpha < grid[seed].length; alpha++) {
                BufferedImage image = grid[seed][alpha] == null ? null : images.apply(grid[seed][alpha]);
                if (image != null && made == null) {
                    made = new ContactSheet(sweep, face, SheetLayout.of(sweep.alphas().size(), sweep.seeds().size(),
                            scored ? 3 : 2, (double) image.getHeight() / image.getWidth()));
                    made.frame(grid);
                }
                if (image != null) {
                    made.image(seed, alpha, image);
                }
            }
        }
        if (made == null) {
            return null;
        }
        made.drops();
        made.canvas.dispose();
        return made.sheet;
    }

    /** All but the images and the marks between them. */
    private void frame(Sample[][] grid) {
        prompt("\u03b1 = 0", sweep.from(), layout.top() + layout.px(30));
        prompt("\u03b1 = 1", sweep.to(), layout.top() + layout.px(78));
        for (int seed = 0; seed < grid.length; seed++) {
            heading(seed);
            for (int alpha = 0; alpha < grid[seed].length; alpha++) {
                canvas.setColor(EMPTY);
                canvas.fill(new Rectangle2D.Double(layout.cellLeft(alpha), layout.cellTop(seed, alpha), layout.cellWidth(),
                        layout.cellHeight()));
                label(seed, alpha, 0, "\u03b1 " + alpha(sweep.alphas().get(alpha)), true, INK);
                if (grid[seed][alpha] != null) {
                    label(seed, alpha, 1, "L " + score(grid[seed][alpha].structural()), false, MUTED);
                    Double clip = clip(grid[seed][alpha]);
                    if (clip != null) {
                        label(seed, alpha, 2, "CLIP " + String.format(Locale.ROOT, "%.1f", clip), false, MUTED);
                    }
                }
            }
        }
        footer();
    }

    private void prompt(String name, String prompt, double baseline) {
        int size = layout.size(32);
        face.draw(canvas, name, layout.left(), baseline, size, true, INK);
        double start = layout.left() + face.width(name, size, true) + layout.px(26);
        // Marks stacked on a letter may reach over the neighbouring lines.
        Shape clip = canvas.getClip();
        canvas.clip(new Rectangle2D.Double(0, baseline - layout.px(36), layout.width(), layout.px(48)));
        face.draw(canvas, face.elided(plain(prompt), size, layout.right() - start), start, baseline, size, false, INK);
        canvas.setClip(clip);
    }

    private void heading(int seed) {
        double top = layout.seedTop(seed);
        canvas.setColor(RULE);
        canvas.fill(new Rectangle2D.Double(layout.left(), top, layout.right() - layout.left(), Math.max(1, layout.px(2))));
        double baseline = top + layout.px(42);
        String name = "Seed " + sweep.seeds().get(seed);
        face.draw(canvas, name, layout.left(), baseline, layout.size(26), true, INK);
        Drop drop = InterpolationData.drop(sweep, sweep.seeds().get(seed));
        String fall = drop == null ? "L falls nowhere" : "largest drop: L " + ratio(drop.ratio()) + " from \u03b1 "
                + alpha(drop.before()) + " to " + alpha(drop.after());
        face.draw(canvas, fall, layout.left() + face.width(name, layout.size(26), true) + layout.px(32), baseline,
                layout.size(24), false, drop == null ? MUTED : DROP);
    }

    private void label(int seed, int alpha, int line, String text, boolean bold, Color ink) {
        int size = layout.size(24);
        double x = layout.cellLeft(alpha) + (layout.cellWidth() - face.width(text, size, bold)) / 2;
        face.draw(canvas, text, x, layout.label(seed, alpha, line), size, bold, ink);
    }

    private void image(int seed, int alpha, BufferedImage image) {
        BufferedImage small = Thumbnail.fitted(image, layout.cellWidth(), layout.cellHeight());
        int x = (int) Math.round(layout.cellLeft(alpha));
        int y = (int) Math.round(layout.cellTop(seed, alpha));
        canvas.setColor(Color.WHITE);
        canvas.fillRect(x - 1, y - 1, layout.cellWidth() + 2, layout.cellHeight() + 2);
        canvas.drawImage(small, x + (layout.cellWidth() - small.getWidth()) / 2, y + (layout.cellHeight() - small.getHeight()) / 2,
                null);
    }

    private void drops() {
        for (int seed = 0; seed < sweep.seeds().size(); seed++) {
            Drop drop = InterpolationData.drop(sweep, sweep.seeds().get(seed));
            if (drop != null) {
                int before = InterpolationData.place(sweep, drop.before());
                int after = InterpolationData.place(sweep, drop.after());
                mark(layout.cellLeft(before) + layout.cellWidth() + layout.gap() / 2, layout.cellTop(seed, before));
                if (before / layout.columns() != after / layout.columns()) {
                    mark(layout.cellLeft(after) - layout.gap() / 2, layout.cellTop(seed, after));
                }
            }
        }
    }

    /** A bar with an arrowhead above it. */
    private void mark(double x, double top) {
        canvas.setColor(DROP);
        double half = layout.px(3);
        canvas.fill(new Rectangle2D.Double(x - half, top - layout.px(4), 2 * half, layout.cellHeight() + layout.px(4)));
        Path2D head = new Path2D.Double();
        head.moveTo(x - layout.px(10), top - layout.px(17));
        head.lineTo(x + layout.px(10), top - layout.px(17));
        head.lineTo(x, top - layout.px(1));
        head.closePath();
        canvas.fill(head);
    }

    private void footer() {
        String clip = InterpolationData.original(sweep) ? "CLIP: logit of the image against the second prompt."
                : "CLIP: score of the image against the second prompt, 100 max(cos, 0).";
        String text = "\u03b1: weight of the second prompt. L: structural score, the variance of the gray image's Laplacian. "
                + (layout.labels() > 2 ? clip + " " : "") + "Bar: where L falls most. Each seed's noise is the same at every \u03b1.";
        int size = layout.size(22);
        double baseline = layout.footerTop() + layout.px(24);
        for (String line : wrapped(text, size)) {
            face.draw(canvas, line, layout.left(), baseline, size, false, MUTED);
            baseline += layout.px(32);
        }
    }

    private List<String> wrapped(String text, int size) {
        List<String> lines = new ArrayList<>();
        String line = "";
        for (String word : text.split(" ")) {
            String longer = line.isEmpty() ? word : line + " " + word;
            if (!line.isEmpty() && face.width(longer, size, false) > layout.right() - layout.left()) {
                lines.add(line);
                longer = word;
            }
            line = longer;
        }
        lines.add(line);
        return lines;
    }

    private static Double clip(Sample sample) {
        return sample.clipTo() != null ? sample.clipTo() : sample.clipLogit();
    }

    /** A prompt on one line: no control characters, no marks that turn the reading direction, no lone surrogates. */
    static String plain(String untrusted) {
        StringBuilder text = new StringBuilder();
        untrusted.codePoints().forEach(c -> {
            switch (Character.getType(c)) {
                case Character.FORMAT -> {
                }
                case Character.CONTROL, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR -> text.append(' ');
                case Character.SURROGATE, Character.UNASSIGNED, Character.PRIVATE_USE -> text.append('\ufffd');
                default -> text.appendCodePoint(c);
            }
        });
        return text.toString().replaceAll("\\s+", " ").strip();
    }

    static String alpha(double alpha) {
        String text = String.format(Locale.ROOT, "%.4f", alpha);
        return text.replaceFirst("\\.?0+$", "");
    }

    private static String score(double value) {
        if (Double.isNaN(value)) {
            return "\u2013";
        }
        return String.format(Locale.ROOT, value >= 100 ? "%,.0f" : value >= 10 ? "%.1f" : "%.2f", value);
    }

    private static String ratio(double ratio) {
        return Double.isInfinite(ratio) ? "\u00f7 infinity" : "\u00f7 "
                + String.format(Locale.ROOT, ratio >= 100 ? "%,.0f" : ratio >= 10 ? "%.1f" : "%.2f", ratio);
    }
}
