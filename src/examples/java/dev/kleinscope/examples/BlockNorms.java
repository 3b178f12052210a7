package dev.kleinscope.examples;

// The norm of the image stream after each double block, step by step. Argument: a model folder.
import dev.kleinscope.Kleinscope;
class BlockNorms {
    static void main(String[] args) {
        try (Kleinscope model = Kleinscope.open(args[0]).backend("cpu")) {
            model.run("a red cube on a wooden table").size(256, 256).watch("transformer_blocks.*.img", (step, pass, point, img) ->
                    System.out.printf("step %d  %s  %.4g%n", step + 1, point, img.toHost().norm())).latents();
        }
    }
}
