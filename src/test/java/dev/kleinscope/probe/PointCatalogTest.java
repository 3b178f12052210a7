package dev.kleinscope.probe;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.model.dit.DitConfig;
import dev.kleinscope.model.dit.DitPoints;
import java.util.List;
import org.junit.jupiter.api.Test;

class PointCatalogTest {

    private final PointCatalog catalog = new PointCatalog(DitPoints.all(DitConfig.KLEIN_4B));

    @Test
    void aStarStaysWithinAPart() {
        assertEquals(List.of("transformer_blocks.0.img", "transformer_blocks.1.img", "transformer_blocks.2.img",
                "transformer_blocks.3.img", "transformer_blocks.4.img"), names("transformer_blocks.*.img"));
    }

    @Test
    void twoStarsCrossParts() {
        assertEquals(10, names("transformer_blocks.**.img").size());
        assertEquals(catalog.points().size(), names("**").size());
    }

    @Test
    void aDoubleBlockAloneStandsForBothStreams() {
        assertEquals(List.of("transformer_blocks.4.txt", "transformer_blocks.4.img"), names("transformer_blocks.4"));
        assertEquals(List.of("transformer_blocks.4.txt", "transformer_blocks.4.img"), names("double_blocks.4"));
    }

    @Test
    void theOriginalScriptsDoubleStreamIsTheText() {
        assertEquals(List.of("transformer_blocks.4.txt"), names("DoubleStream_Layer_4"));
        assertEquals(List.of("single_transformer_blocks.19"), names("SingleStream_Layer_19"));
        assertEquals(20, names("SingleStream_Layer_*").size());
    }

    @Test
    void blackForestLabsNamesAreAliases() {
        assertEquals(List.of("single_transformer_blocks.7"), names("single_blocks.7"));
        assertEquals(List.of("x_embedder"), names("img_in"));
    }

    @Test
    void selectionsKeepTheOrderOfComputationAndNoneStandsTwice() {
        assertEquals(List.of("x_embedder", "transformer_blocks.0.img", "proj_out"),
                catalog.select(List.of("proj_out", "x_embedder", "transformer_blocks.0.img", "double_blocks.0.img")).stream()
                        .map(Point::name).toList());
    }

    @Test
    void anUnknownNameIsAnErrorThatNamesItsNeighbours() {
        for (String name : List.of("transformer_blocks.5.img", "transformer_blocks.0.imgg", "", "single_blocks.20", "[", "a".repeat(100_000))) {
            var refusal = assertThrows(IllegalArgumentException.class, () -> catalog.select(List.of("proj_out", name)));
            assertTrue(refusal.getMessage().contains("near it"), refusal.getMessage());
        }
        String message = assertThrows(IllegalArgumentException.class, () -> catalog.select(List.of("transformer_block.4.img"))).getMessage();
        assertTrue(message.contains("transformer_blocks.4.img"), message);
    }

    private List<String> names(String glob) {
        return catalog.select(List.of(glob)).stream().map(Point::name).toList();
    }
}
