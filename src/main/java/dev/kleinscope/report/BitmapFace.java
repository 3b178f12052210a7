package dev.kleinscope.report;

import java.awt.Color;
import java.awt.Graphics2D;
import java.util.HashMap;
import java.util.Map;

/**
 * Capitals, digits and marks of five by seven pixels, for machines without a font. Small letters are drawn as capitals,
 * anything unknown as a question mark.
 */
record BitmapFace() implements Face {

    private static final int ROWS = 7;
    private static final int COLUMNS = 5;

    /** Each glyph and its rows from the top, five bits each, the leftmost pixel highest. */
    private static final String GLYPHS = """
            A 0e11111f111111  B 1e11111e11111e  C 0e11101010110e  D 1e11111111111e  E 1f10101e10101f  F 1f10101e101010
            G 0e11101711110f  H 1111111f111111  I 0e04040404040e  J 0702020202120c  K 11121418141211  L 1010101010101f
            M 111b1515111111  N 11191513111111  O 0e11111111110e  P 1e11111e101010  Q 0e11111115120d  R 1e11111e141211
            S 0f10100e01011e  T 1f040404040404  U 1111111111110e  V 11111111110a04  W 11111115151b11  X 11110a040a1111
            Y 11110a04040404  Z 1f01020408101f  0 0e11131519110e  1 040c040404040e  2 0e11010204081f  3 1f02040201110e
            4 02060a121f0202  5 1f101e0101110e  6 0608101e11110e  7 1f010204080808  8 0e11110e11110e  9 0e11110f01020c
            . 000000000c0c00  , 000000000c0408  - 0000001f000000  + 0004041f040400  / 00010204081000  : 000c0c000c0c00
            ; 000c0c000c0408  = 00001f001f0000  ( 02040808080402  ) 08040202020408  % 18190204081303  ' 04040800000000
            " 0a0a0a00000000  ! 04040404000004  ? 0e110102040004  _ 0000000000001f  * 00040e1f0e0400  # 0a0a1f0a1f0a0a
            | 04040404040404  & 0c12140815120d  @ 0e11171517100e  < 02040810080402  > 08040201020408  [ 0e08080808080e
            ] 0e02020202020e  \u03b1 00000d1212120d  \u00f7 0004001f000400  \u2026 00000000000015  \u2013 0000001f000000
            """;

    private static final Map<Integer, byte[]> FACE = face();

    @Override
    public double width(String text, int size, boolean bold) {
        return (double) text.codePointCount(0, text.length()) * (COLUMNS + 1) * dot(size);
    }

    @Override
    public void draw(Graphics2D canvas, String text, double x, double y, int size, boolean bold, Color ink) {
        canvas.setColor(ink);
        int dot = dot(size);
        int left = (int) Math.round(x);
        int top = (int) Math.round(y) - ROWS * dot;
        for (int point : text.codePoints().toArray()) {
            byte[] rows = FACE.getOrDefault(Character.toUpperCase(point), FACE.get(point));
            if (rows == null) {
                rows = point == ' ' ? new byte[ROWS] : FACE.get((int) '?');
            }
            for (int row = 0; row < ROWS; row++) {
                for (int column = 0; column < COLUMNS; column++) {
                    if ((rows[row] >> COLUMNS - 1 - column & 1) != 0) {
                        canvas.fillRect(left + column * dot, top + row * dot, dot, dot);
                    }
                }
            }
            left += (COLUMNS + 1) * dot;
        }
    }

    /** Capitals of a font are about seven tenths of its size. */
    private static int dot(int size) {
        return Math.max(1, size / 10);
    }

    private static Map<Integer, byte[]> face() {
        Map<Integer, byte[]> face = new HashMap<>();
        String[] parts = GLYPHS.strip().split("\\s+");
        for (int i = 0; i < parts.length; i += 2) {
            byte[] rows = new byte[ROWS];
            for (int row = 0; row < ROWS; row++) {
                rows[row] = Byte.parseByte(parts[i + 1].substring(2 * row, 2 * row + 2), 16);
            }
            face.put(parts[i].codePointAt(0), rows);
        }
        return face;
    }
}
