package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.cudnn.Cudnn;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/** What cuDNN's heuristic names for a graph of operations, as plans that are ready to run. */
final class CudnnEngines {

    /** Marks of engines that give other bits from run to run, or that compute with less than f32 sums of the inputs as they are. */
    private static final Set<Integer> REFUSED = Set.of(Cudnn.CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC(),
            Cudnn.CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION(), Cudnn.CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS(),
            Cudnn.CUDNN_NUMERICAL_NOTE_FFT(), Cudnn.CUDNN_NUMERICAL_NOTE_WINOGRAD(),
            Cudnn.CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4(), Cudnn.CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6(),
            Cudnn.CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13());

    private final MemorySegment handle;

    /** @param descriptor to be closed */
    record Plan(CudnnDescriptor descriptor, long workspaceBytes) {
    }

    CudnnEngines(MemorySegment handle) {
        this.handle = handle;
    }

    /**
     * The first that may be used; null if there is none.
     *
     * @param compiled whether to pass over engines that are compiled when a plan is made, which takes about a second
     * @param workspaceBytes a plan that wants more is passed over
     */
    Plan first(CudnnDescriptor graph, boolean compiled, long workspaceBytes, String shapes) {
        List<CudnnDescriptor> configurations = new ArrayList<>();
        try (CudnnDescriptor heuristic = new CudnnDescriptor(Cudnn.CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR(), shapes)) {
            heuristic.set(Cudnn.CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH(), graph)
                    .setEnum(Cudnn.CUDNN_ATTR_ENGINEHEUR_MODE(), Cudnn.CUDNN_TYPE_HEUR_MODE(), Cudnn.CUDNN_HEUR_MODE_A()).finish();
            long count = heuristic.count(Cudnn.CUDNN_ATTR_ENGINEHEUR_RESULTS(), Cudnn.CUDNN_TYPE_BACKEND_DESCRIPTOR());
            for (long i = 0; i < count; i++) {
                configurations.add(new CudnnDescriptor(Cudnn.CUDNN_BACKEND_ENGINECFG_DESCRIPTOR(), shapes));
            }
            int filled = count == 0 ? 0 : heuristic.fill(Cudnn.CUDNN_ATTR_ENGINEHEUR_RESULTS(), configurations);
            for (CudnnDescriptor configuration : configurations.subList(0, filled)) {
                Plan plan = plan(configuration, compiled, workspaceBytes, shapes);
                if (plan != null) {
                    return plan;
                }
            }
            return null;
        } finally {
            configurations.forEach(CudnnDescriptor::close);
        }
    }

    private Plan plan(CudnnDescriptor configuration, boolean compiled, long workspaceBytes, String shapes) {
        CudnnDescriptor plan = new CudnnDescriptor(Cudnn.CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR(), shapes);
        try {
            if (suits(configuration, compiled, shapes)) {
                plan.setPointers(Cudnn.CUDNN_ATTR_EXECUTION_PLAN_HANDLE(), Cudnn.CUDNN_TYPE_HANDLE(), handle)
                        .set(Cudnn.CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG(), configuration).finish();
                long bytes = plan.getLong(Cudnn.CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE());
                if (bytes <= workspaceBytes) {
                    return new Plan(plan, bytes);
                }
            }
        } catch (CudaException e) {
            if (e.outOfMemory()) {
                throw e;
            }
            // an engine that the heuristic named, and that does not take the graph after all
        }
        plan.close();
        return null;
    }

    private static boolean suits(CudnnDescriptor configuration, boolean compiled, String shapes) {
        try (CudnnDescriptor engine = new CudnnDescriptor(Cudnn.CUDNN_BACKEND_ENGINE_DESCRIPTOR(), shapes)) {
            configuration.fill(Cudnn.CUDNN_ATTR_ENGINECFG_ENGINE(), engine);
            boolean later = IntStream.of(engine.getEnums(Cudnn.CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE(), Cudnn.CUDNN_TYPE_BEHAVIOR_NOTE(),
                    Cudnn.CUDNN_BEHAVIOR_NOTE_TYPE_COUNT())).anyMatch(note -> note == Cudnn.CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION());
            return !(compiled && later) && IntStream.of(engine.getEnums(Cudnn.CUDNN_ATTR_ENGINE_NUMERICAL_NOTE(), Cudnn.CUDNN_TYPE_NUMERICAL_NOTE(),
                    Cudnn.CUDNN_NUMERICAL_NOTE_TYPE_COUNT())).noneMatch(REFUSED::contains);
        }
    }
}
