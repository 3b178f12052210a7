package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.OpsContract;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Runs {@link OpsContract} on the GPU of a machine without Maven; needs JUnit's API jars alone. Exits with 1 if a check fails. */
final class CudaContractRun {

    private CudaContractRun() {
    }

    public static void main(String[] args) throws ReflectiveOperationException {
        List<Method> methods = Arrays.stream(OpsContract.class.getDeclaredMethods())
                .sorted(Comparator.comparing(Method::getName)).toList();
        methods.forEach(method -> method.setAccessible(true));
        int failed = 0;
        for (Method test : methods) {
            if (!test.isAnnotationPresent(Test.class) || args.length > 0 && !Arrays.asList(args).contains(test.getName())) {
                continue;
            }
            CudaOpsContractTest contract = new CudaOpsContractTest();
            long start = System.nanoTime();
            String outcome = "pass";
            try {
                call(methods, contract, BeforeEach.class);
                test.invoke(contract);
                call(methods, contract, AfterEach.class);
            } catch (InvocationTargetException e) {
                failed++;
                outcome = "FAIL " + e.getCause();
                if (!(e.getCause() instanceof AssertionError)) {
                    e.getCause().printStackTrace();
                }
            }
            System.out.printf("%-60s %6.1f s  %s%n", test.getName(), (System.nanoTime() - start) / 1e9, outcome);
        }
        System.out.println(failed == 0 ? "the contract holds" : failed + " checks failed");
        System.exit(failed == 0 ? 0 : 1);
    }

    private static void call(List<Method> methods, OpsContract contract, Class<? extends java.lang.annotation.Annotation> kind)
            throws ReflectiveOperationException {
        for (Method method : methods) {
            if (method.isAnnotationPresent(kind)) {
                method.invoke(contract);
            }
        }
    }
}
