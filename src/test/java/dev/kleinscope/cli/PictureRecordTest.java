package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.ImageFile;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PictureRecordTest {

    private static final String RECORD = "{'schema': 'kleinscope.picture/1', 'prompt': 'a cube', 'seed': 7, 'model': 'tiny', 'weights': {}, "
            + "'backend_name': 'cpu', 'steps': 4, 'guidance': 4.0, 'distilled': true, 'max_tokens': 32, 'size': '32x32', 'images': ['a.png'], "
            + "'interventions': []}";

    @TempDir
    private Path folder;

    private PictureRecord read(String json) {
        Path file = folder.resolve("x.png");
        ImageFile.writePng(file, new Image8(1, 1, new byte[3]), Map.of("kleinscope", json.replace('\'', '"')));
        return PictureRecord.read(file);
    }

    @Test
    void whatWasRecordedIsRead() {
        PictureRecord record = read(RECORD);
        assertEquals("tiny", record.model());
        assertEquals(List.of("a.png"), record.images());
        assertEquals(new PictureSize(32, 32), record.size());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "'model': 'tiny' | 'model': null | model: expected text", "'backend_name': 'cpu' | 'backend_name': null | backend_name: expected text",
        "'size': '32x32' | 'size': null | size: expected text", "'size': '32x32' | 'size': '31x32' | multiples of 16",
        "['a.png'] | [null] | images: expected text", "'interventions': [] | 'interventions': [1] | interventions: expected text",
        "'steps': 4 | 'steps': null | its record is damaged", "'seed': 7, |  | its record is damaged"})
    void aRecordThatIsDamagedIsTold(String whole, String damaged, String part) {
        String message = assertThrows(UserInputException.class, () -> read(RECORD.replace(whole, damaged == null ? "" : damaged))).getMessage();
        assertTrue(message.contains("its record is damaged") && message.contains(part), message);
    }
}
