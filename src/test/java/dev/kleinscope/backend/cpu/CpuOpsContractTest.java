package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.OpsContract;

class CpuOpsContractTest extends OpsContract {

    @Override
    protected Ops create() {
        return new CpuOps(3);
    }

    @Override
    protected double tolerance() {
        return 1e-6;
    }
}
