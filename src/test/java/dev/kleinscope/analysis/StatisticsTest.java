package dev.kleinscope.analysis;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Random;
import org.junit.jupiter.api.Test;

class StatisticsTest {

    @Test
    void theDeviationIsTheMedianDistanceFromTheMedian() {
        assertEquals(1, Statistics.medianAbsoluteDeviation(1, 1, 2, 2, 4, 6, 9));
        assertEquals(1.5, Statistics.medianAbsoluteDeviation(0, 1, 3, 5));
        assertEquals(0, Statistics.medianAbsoluteDeviation(5));
        assertEquals(0, Statistics.medianAbsoluteDeviation(2, 2, 2, 1000));
    }

    @Test
    void scaledItEstimatesTheSigmaOfNormals() {
        Random random = new Random(2);
        double[] values = random.doubles(100_001).map(unused -> 3 + 7 * random.nextGaussian()).toArray();
        assertEquals(7, Statistics.MAD_TO_SIGMA * Statistics.medianAbsoluteDeviation(values), 0.1);
    }

    @Test
    void theArgumentStaysInOrder() {
        double[] values = {3, 1, 2, 9, -4};
        Statistics.medianAbsoluteDeviation(values);
        assertArrayEquals(new double[] {3, 1, 2, 9, -4}, values);
    }

    @Test
    void noValuesAndNoNumbersAreRefused() {
        assertThrows(IllegalArgumentException.class, Statistics::medianAbsoluteDeviation);
        assertThrows(IllegalArgumentException.class, () -> Statistics.medianAbsoluteDeviation(1, Double.NaN));
        assertThrows(IllegalArgumentException.class, () -> Statistics.medianAbsoluteDeviation(1, Double.NEGATIVE_INFINITY));
    }
}
