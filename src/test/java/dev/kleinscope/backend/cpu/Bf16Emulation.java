package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/** The CPU backend with products in bf16 on any CPU: rounded where the real ones round, then multiplied by our own f32 kernel. */
final class Bf16Emulation {

    private Bf16Emulation() {
    }

    static CpuOps open(int threads) {
        return new CpuOps(threads, (workers, frames) -> {
            Products java = new JavaProducts(workers);
            return new Bf16Products(workers, frames, java, (x, layer, out) -> multiply(java, x, layer, out),
                    (layer, _, _, _) -> (x, out) -> convolve(workers, java, x, layer, out));
        });
    }

    private static boolean multiply(Products java, Tensor x, Linear layer, Tensor out) {
        if (x.dtype() != DType.BF16 || !x.contiguous() || layer.weight().dtype() != DType.BF16) {
            throw new AssertionError("expected bf16 times BF16, found " + x + " times " + layer.weight().dtype());
        }
        java.linear(wide(x), layer, out);
        return true;
    }

    static void convolve(Workers workers, Products java, Tensor x, Conv2d layer, Tensor out) {
        if (x.dtype() != DType.BF16 || !x.contiguous() || layer.weight().dtype() != DType.BF16) {
            throw new AssertionError("expected bf16 under BF16, found " + x + " under " + layer.weight().dtype());
        }
        Convolution.direct(workers, java, wide(x), layer, out);
    }

    private static Tensor wide(Tensor x) {
        HostTensor wide = x.toHost();
        return Tensor.of("rounded", DType.F32, wide.shape(), new HostStorage(MemorySegment.ofArray(wide.values())));
    }
}
