package dev.kleinscope.backend.cpu;

import dev.kleinscope.bindings.onednn.OneDnnLibrary;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.OpsContract;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;

/** The CPU backend with products by oneDNN. */
class OneDnnOpsContractTest extends OpsContract {

    @BeforeAll
    static void needsOneDnn() {
        Assumptions.assumeTrue(OneDnnLibrary.isAvailable(), OneDnnLibrary::whyNot);
    }

    @Override
    protected Ops create() {
        return new CpuOps(3, (workers, _) -> new OneDnnProducts(new JavaProducts(workers), 3, 0));
    }

    @Override
    protected double tolerance() {
        return 1e-6;
    }
}
