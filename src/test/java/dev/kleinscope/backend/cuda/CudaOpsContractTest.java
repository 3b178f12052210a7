package dev.kleinscope.backend.cuda;

import static org.junit.jupiter.api.Assumptions.abort;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.OpsContract;
import org.junit.jupiter.api.BeforeAll;

/** Needs a GPU; without one each test is skipped and says why. {@link CudaContractRun} runs the same without JUnit's engine. */
class CudaOpsContractTest extends OpsContract {

    @BeforeAll
    static void requireGpu() {
        String reason = CudaOps.unavailable();
        if (reason != null) {
            System.err.println("CudaOpsContractTest is skipped: " + reason);
            abort("no GPU to test on: " + reason);
        }
    }

    @Override
    protected Ops create() {
        return new CudaOps(Precision.F32);
    }

    @Override
    protected double tolerance() {
        return 1e-5;
    }
}
