package dev.kleinscope.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

class RowsTest {

    /** Two batch elements of five rows of 16 elements. */
    private static final Tensor LIKE = Tensor.of("like", DType.BF16, Shape.of(2, 5, 16),
            new HostStorage(MemorySegment.ofArray(new short[160])));

    @Test
    void theLastRowEndsTheMemoryThatIsRead() {
        assertEquals(1000 + 2 * 160, new Rows(1000, 80, 16).end(LIKE));
        assertEquals(1000 + 2 * (400 + 4 * 64 + 16), new Rows(1000, 400, 64).end(LIKE), "slices of wider rows");
    }

    @Test
    void aResultMayTakeTheVeryRowsThatWereReadOrOthersButNoneBetween() {
        Rows read = new Rows(4096, 80, 16);
        assertTrue(RowOperations.undisturbed(read, read, LIKE));
        assertTrue(RowOperations.undisturbed(read, new Rows(read.end(LIKE), 80, 16), LIKE), "behind it");
        assertTrue(RowOperations.undisturbed(read, new Rows(4096 - 320, 80, 16), LIKE), "ahead of it");
        assertFalse(RowOperations.undisturbed(read, new Rows(4096 + 32, 80, 16), LIKE), "one row on");
        assertFalse(RowOperations.undisturbed(new Rows(4096, 400, 64), new Rows(4096, 80, 16), LIKE), "other rows from the same place");
    }
}
