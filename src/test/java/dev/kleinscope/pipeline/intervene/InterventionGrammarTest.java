package dev.kleinscope.pipeline.intervene;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.probe.Change;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.probe.InterventionException;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Ranges;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.Safetensors;
import dev.kleinscope.weights.SafetensorsWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Interventions as text. */
class InterventionGrammarTest {

    @TempDir
    private Path folder;

    @BeforeEach
    void write() {
        try (SafetensorsWriter writer = SafetensorsWriter.create(folder.resolve("v.safetensors"), List.of(
                new SafetensorsWriter.Declaration("steer", DType.F32, Shape.of(3)),
                new SafetensorsWriter.Declaration("beside", DType.F32, Shape.of(1, 3)),
                new SafetensorsWriter.Declaration("nothing", DType.F32, Shape.of(3)),
                new SafetensorsWriter.Declaration("matrix", DType.F32, Shape.of(2, 3))), Map.of())) {
            writer.write("steer", new float[] {1, 2, 2});
            writer.write("beside", new float[] {0, 1, 0});
            writer.write("nothing", new float[3]);
            writer.write("matrix", new float[6]);
            writer.commit();
        }
    }

    private Intervention parse(String text) {
        try (Safetensors file = Safetensors.open(folder.resolve("v.safetensors"))) {
            return new InterventionGrammar(name -> file, name -> name).parse(text);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "transformer_blocks.4.img:scale=0.5,steps=0-1,stream=image,tokens=0-63",
        "transformer_blocks.*.img single_blocks.7:zero,pass=uncond,channels=3+5-9",
        "x_embedder:mean", "x_embedder:mean=image,stream=padding", "x_embedder:mean=v.safetensors",
        "x_embedder:add=v.safetensors:steer,strength=-2.5", "x_embedder:remove=v.safetensors:steer,strength=1",
        "x_embedder:rotate=30,plane=v.safetensors:steer+beside", "x_embedder:rotate=-7.25,seed=9", "x_embedder:replace=v.safetensors",
        "x_embedder:noise=0.1,absolute,seed=4", "x_embedder:noise=1.0E-7,seed=1"})
    void whatIsReadIsWrittenTheSame(String text) {
        assertEquals(text, parse(text).toString());
        assertEquals(text, parse(parse(text).toString()).toString());
    }

    @Test
    void whatIsWrittenIsWhatIsMeant() {
        Intervention read = parse("x_embedder:add=v.safetensors:steer,strength=2,pass=cond,tokens=4,steps=1+3-5");
        Change.Add add = (Change.Add) read.change();
        assertEquals(2, add.strength());
        assertEquals(3, add.vector().values().length);
        assertEquals(Ranges.parse("4"), read.tokens());
        assertTrue(read.applies(1, Pass.COND) && read.applies(4, Pass.COND));
        assertTrue(!read.applies(2, Pass.COND) && !read.applies(1, Pass.UNCOND));
        assertEquals(1.0 / 3, ((Change.Remove) parse("x_embedder:remove=v.safetensors:steer").change()).direction().unit()[0], 1e-15);
        double[] beside = ((Change.Turn) parse("x:rotate=1,plane=v.safetensors:steer+beside").change()).second().unitBeside(add.vector());
        assertEquals(0, beside[0] + 2 * beside[1] + 2 * beside[2], 1e-15);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "nonsense | expected POINTS:CHANGE", ":zero | expected POINTS:CHANGE", "x: | expected a change after the colon",
        "x:scale | scale: expected a number", "x:scale=1e999 | scale: expected a number", "x:zero=1 | takes no value",
        "x:scale=1,scale=2 | scale stands twice", "x:scale=1,seed=2 | scale takes no \"seed\"", "x:zero,tokens=5-3 | tokens: ranges",
        "x:zero,tokens=1-2+2 | ascending", "x:zero,steps=-1 | expected numbers from 0", "x:zero,tokens=99999999999 | expected numbers from 0",
        "x:zero,stream=images | there are image, text, prompt", "x:zero,pass=both | expected cond or uncond",
        "x:add= | name of a safetensors file is missing", "x:add=v.safetensors | name one, as in v.safetensors:beside",
        "x:add=v.safetensors:other | holds no tensor", "x:add=v.safetensors:matrix | expected a vector over channels",
        "x:remove=v.safetensors:nothing | all zero", "x:rotate=3,plane=v.safetensors:steer | plane: expected",
        "x:rotate=3,plane=v.safetensors:steer+beside,seed=1 | no seed", "x:noise=0.1,absolute=yes | absolute takes no value",
        "x:noise=0.1,seed=one | seed: expected a whole number"})
    void whatCannotBeReadIsRefusedWithTheReason(String text, String reason) {
        String message = assertThrows(InterventionException.class, () -> parse(text)).getMessage();
        assertTrue(message.contains(reason), message);
    }
}
