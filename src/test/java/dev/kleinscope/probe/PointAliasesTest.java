package dev.kleinscope.probe;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.kleinscope.model.dit.DitConfig;
import dev.kleinscope.model.dit.DitPoints;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class PointAliasesTest {

    private static List<String> aliases(String name) {
        return PointCatalog.aliases(new Point(name, Point.Role.INNER, Point.Rows.NONE, "[]"));
    }

    @Test
    void everyAliasSelectsItsPointAndNoOther() {
        PointCatalog catalog = new PointCatalog(DitPoints.all(DitConfig.KLEIN_4B));
        List<String> aliases = new ArrayList<>();
        for (Point point : catalog.points()) {
            for (String alias : PointCatalog.aliases(point)) {
                aliases.add(alias);
                assertEquals(Set.of(point), catalog.select(List.of(alias)), alias);
            }
        }
        // 24 points in each double block and 8 in each single one, a second name for either's output, and three modules
        assertEquals(5 * (24 + 1) + 20 * (8 + 1) + 3, aliases.size());
    }

    @Test
    void theOriginalStudysNamesAreOfTheTextStreamAndOfSingleBlocks() {
        assertEquals(List.of("DoubleStream_Layer_4", "double_blocks.4.txt"), aliases("transformer_blocks.4.txt"));
        assertEquals(List.of("double_blocks.4.img"), aliases("transformer_blocks.4.img"));
        assertEquals(List.of("SingleStream_Layer_19", "single_blocks.19"), aliases("single_transformer_blocks.19"));
        assertEquals(List.of(), aliases("norm_out"));
    }
}
