package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.OpsContract;
import java.lang.annotation.Annotation;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Runs {@link OpsContract}, {@link CudaOpsTest} and {@link CudaRowsTest} on the GPU of a machine without Maven; needs JUnit's API jars alone. Exits with 1
 * if a check fails. Takes a regular expression that the names of the checks to run match; by default all.
 */
final class CudaContractRun {

    private CudaContractRun() {
    }

    public static void main(String[] args) throws ReflectiveOperationException {
        Pattern names = Pattern.compile(args.length > 0 ? args[0] : ".*");
        int failed = run(OpsContract.class, CudaOpsContractTest::new, names) + run(CudaOpsTest.class, CudaOpsTest::new, names)
                + run(CudaRowsTest.class, CudaRowsTest::new, names);
        System.out.println(failed == 0 ? "every check passes" : failed + " checks failed");
        System.exit(failed == 0 ? 0 : 1);
    }

    private static int run(Class<?> declared, Supplier<Object> create, Pattern names) throws ReflectiveOperationException {
        List<Method> methods = Arrays.stream(declared.getDeclaredMethods()).sorted(Comparator.comparing(Method::getName)).toList();
        methods.forEach(method -> method.setAccessible(true));
        int failed = 0;
        for (Method test : methods) {
            if (!test.isAnnotationPresent(Test.class) || !names.matcher(test.getName()).matches()) {
                continue;
            }
            Object instance = create.get();
            long start = System.nanoTime();
            String outcome = "pass";
            try {
                call(methods, instance, BeforeEach.class);
                test.invoke(instance);
                call(methods, instance, AfterEach.class);
            } catch (InvocationTargetException e) {
                failed++;
                outcome = "FAIL " + e.getCause();
                if (!(e.getCause() instanceof AssertionError)) {
                    e.getCause().printStackTrace();
                }
            }
            System.out.printf("%-60s %6.1f s  %s%n", test.getName(), (System.nanoTime() - start) / 1e9, outcome);
        }
        return failed;
    }

    private static void call(List<Method> methods, Object instance, Class<? extends Annotation> kind)
            throws ReflectiveOperationException {
        for (Method method : methods) {
            if (method.isAnnotationPresent(kind)) {
                method.invoke(instance);
            }
        }
    }
}
