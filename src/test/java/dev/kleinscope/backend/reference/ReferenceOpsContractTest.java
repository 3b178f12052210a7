package dev.kleinscope.backend.reference;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.OpsContract;

class ReferenceOpsContractTest extends OpsContract {

    @Override
    protected Ops create() {
        return new ReferenceOps();
    }

    @Override
    protected double tolerance() {
        return 0;
    }
}
