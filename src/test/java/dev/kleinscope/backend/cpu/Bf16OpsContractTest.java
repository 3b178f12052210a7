package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.OpsContract;
import dev.kleinscope.tensor.DType;

/** The CPU backend with products in bf16: the real ones where the CPU has them, else their emulation. */
class Bf16OpsContractTest extends OpsContract {

    static CpuOps open(int threads) {
        return CpuOps.whyNoBf16() == null ? new CpuOps(threads, Gemm.ONEDNN, DType.BF16) : Bf16Emulation.open(threads);
    }

    @Override
    protected Ops create() {
        return open(3);
    }

    /** Rounding moves an activation by up to 2^-8 of it, and normal ones by 1.7e-3 on the whole. */
    @Override
    protected double tolerance() {
        return 3e-3;
    }
}
