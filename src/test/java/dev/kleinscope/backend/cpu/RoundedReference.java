package dev.kleinscope.backend.cpu;

import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.BFloat16;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;

/**
 * Plain loops in f64 with the roundings that products in bf16 have and no others but those of storing results in f32: how far the
 * roundings alone take a result.
 */
final class RoundedReference implements InvocationHandler {

    private final ReferenceOps plain = new ReferenceOps();

    private RoundedReference() {
    }

    static Ops open() {
        return (Ops) Proxy.newProxyInstance(Ops.class.getClassLoader(), new Class<?>[] {Ops.class}, new RoundedReference());
    }

    /** Forms that others are made of come back here. */
    @Override
    public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
        if (method.isDefault()) {
            return InvocationHandler.invokeDefault(proxy, method, arguments);
        }
        if (method.getName().equals("linear") && arguments[0] instanceof Tensor x && arguments[1] instanceof Linear layer
                && x.shape().rank() == 3 && layer.weight().dtype() == DType.BF16) {
            plain.linear(plain.input(rounded(x.toHost())), layer, (Tensor) arguments[2]);
            return null;
        }
        if (method.getName().equals("conv2d") && arguments[0] instanceof Tensor x && arguments[1] instanceof Conv2d layer
                && Bf16Convolution.suits(layer)) {
            plain.conv2d(plain.input(rounded(x.toHost())), layer, (Tensor) arguments[2]);
            return null;
        }
        try {
            return method.invoke(plain, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    private static HostTensor rounded(HostTensor x) {
        float[] values = x.values().clone();
        for (int i = 0; i < values.length; i++) {
            values[i] = BFloat16.round(values[i]);
        }
        return new HostTensor(x.name(), x.shape(), values);
    }
}
