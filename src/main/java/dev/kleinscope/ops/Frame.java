package dev.kleinscope.ops;

import dev.kleinscope.tensor.Tensor;

/**
 * The scope that owns the results of operations.
 *
 * <p>{@link Ops#frame} opens a frame inside the one open before; results are allocated in the innermost frame and end
 * with it, unless they escape to its parent. A tensor read after its end says which frame freed it.
 */
public interface Frame extends AutoCloseable {

    /** Hands the memory of a result to the parent frame. Returns {@code result}. */
    Tensor escape(Tensor result);

    /** Ends the memory of a result before its frame does. Views of it end too. */
    void release(Tensor result);

    /** Ends every tensor allocated here that did not escape. */
    @Override
    void close();
}
