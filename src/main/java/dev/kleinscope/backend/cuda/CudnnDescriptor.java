package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.cudnn.Cudnn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** A descriptor of cuDNN's backend API: created, given attributes, finalized, destroyed. */
final class CudnnDescriptor implements AutoCloseable {

    private static final int MESSAGE_BYTES = 1024;

    private final MemorySegment pointer;
    private final String shapes;

    /** @param type {@code CUDNN_BACKEND_..._DESCRIPTOR}. @param shapes what it is for, in messages */
    CudnnDescriptor(int type, String shapes) {
        this.shapes = shapes;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            check(Cudnn.cudnnBackendCreateDescriptor(type, out), "cudnnBackendCreateDescriptor of type " + type, shapes);
            pointer = out.get(ValueLayout.ADDRESS, 0);
        }
    }

    MemorySegment pointer() {
        return pointer;
    }

    CudnnDescriptor set(int attribute, int type, long... values) {
        try (Arena arena = Arena.ofConfined()) {
            return set(attribute, type, values.length, arena.allocateFrom(ValueLayout.JAVA_LONG, values));
        }
    }

    /** An enumeration's value. */
    CudnnDescriptor setEnum(int attribute, int type, int value) {
        try (Arena arena = Arena.ofConfined()) {
            return set(attribute, type, 1, arena.allocateFrom(ValueLayout.JAVA_INT, value));
        }
    }

    CudnnDescriptor setTrue(int attribute) {
        try (Arena arena = Arena.ofConfined()) {
            return set(attribute, Cudnn.CUDNN_TYPE_BOOLEAN(), 1, arena.allocateFrom(ValueLayout.JAVA_BYTE, (byte) 1));
        }
    }

    /** Pointers, such as cuDNN's handle or device addresses. */
    CudnnDescriptor setPointers(int attribute, int type, MemorySegment... values) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment array = arena.allocate(ValueLayout.ADDRESS, values.length);
            for (int i = 0; i < values.length; i++) {
                array.setAtIndex(ValueLayout.ADDRESS, i, values[i]);
            }
            return set(attribute, type, values.length, array);
        }
    }

    CudnnDescriptor set(int attribute, CudnnDescriptor value) {
        return setPointers(attribute, Cudnn.CUDNN_TYPE_BACKEND_DESCRIPTOR(), value.pointer);
    }

    /** Descriptors, such as a graph's operations. */
    CudnnDescriptor setAll(int attribute, List<CudnnDescriptor> values) {
        return setPointers(attribute, Cudnn.CUDNN_TYPE_BACKEND_DESCRIPTOR(),
                values.stream().map(CudnnDescriptor::pointer).toArray(MemorySegment[]::new));
    }

    CudnnDescriptor setFloat(int attribute, float value) {
        try (Arena arena = Arena.ofConfined()) {
            return set(attribute, Cudnn.CUDNN_TYPE_FLOAT(), 1, arena.allocateFrom(ValueLayout.JAVA_FLOAT, value));
        }
    }

    /** Values that lie in native memory. */
    CudnnDescriptor set(int attribute, int type, long count, MemorySegment array) {
        check(Cudnn.cudnnBackendSetAttribute(pointer, attribute, type, count, array), "cudnnBackendSetAttribute " + attribute, shapes);
        return this;
    }

    CudnnDescriptor finish() {
        check(Cudnn.cudnnBackendFinalize(pointer), "cudnnBackendFinalize", shapes);
        return this;
    }

    /** How many values an attribute has. */
    long count(int attribute, int type) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment count = arena.allocate(ValueLayout.JAVA_LONG);
            check(Cudnn.cudnnBackendGetAttribute(pointer, attribute, type, 0, count, MemorySegment.NULL),
                    "cudnnBackendGetAttribute " + attribute, shapes);
            return count.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    long getLong(int attribute) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_LONG);
            check(Cudnn.cudnnBackendGetAttribute(pointer, attribute, Cudnn.CUDNN_TYPE_INT64(), 1,
                    arena.allocate(ValueLayout.JAVA_LONG), value), "cudnnBackendGetAttribute " + attribute, shapes);
            return value.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    /** Fills descriptors that the caller created from an attribute that holds descriptors. */
    void fill(int attribute, CudnnDescriptor target) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment array = arena.allocateFrom(ValueLayout.ADDRESS, target.pointer);
            check(Cudnn.cudnnBackendGetAttribute(pointer, attribute, Cudnn.CUDNN_TYPE_BACKEND_DESCRIPTOR(), 1,
                    arena.allocate(ValueLayout.JAVA_LONG), array), "cudnnBackendGetAttribute " + attribute, shapes);
        }
    }

    /** Fills as many as the attribute has and tells how many. */
    int fill(int attribute, List<CudnnDescriptor> targets) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment array = arena.allocate(ValueLayout.ADDRESS, targets.size());
            for (int i = 0; i < targets.size(); i++) {
                array.setAtIndex(ValueLayout.ADDRESS, i, targets.get(i).pointer);
            }
            MemorySegment count = arena.allocate(ValueLayout.JAVA_LONG);
            check(Cudnn.cudnnBackendGetAttribute(pointer, attribute, Cudnn.CUDNN_TYPE_BACKEND_DESCRIPTOR(), targets.size(), count,
                    array), "cudnnBackendGetAttribute " + attribute, shapes);
            return (int) Math.min(targets.size(), count.get(ValueLayout.JAVA_LONG, 0));
        }
    }

    /** An attribute of enumeration values. @param most as many as it can have */
    int[] getEnums(int attribute, int type, int most) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment array = arena.allocate(ValueLayout.JAVA_INT, most);
            MemorySegment count = arena.allocate(ValueLayout.JAVA_LONG);
            check(Cudnn.cudnnBackendGetAttribute(pointer, attribute, type, most, count, array),
                    "cudnnBackendGetAttribute " + attribute, shapes);
            return array.asSlice(0, Integer.BYTES * Math.min(most, count.get(ValueLayout.JAVA_LONG, 0)))
                    .toArray(ValueLayout.JAVA_INT);
        }
    }

    /** @throws CudaException unless a call of cuDNN succeeded */
    static void check(int status, String call, String shapes) {
        if (status != 0) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment message = arena.allocate(MESSAGE_BYTES);
                Cudnn.cudnnGetLastErrorString(message, MESSAGE_BYTES);
                throw new CudaException(call, status, Cuda.string(Cudnn.cudnnGetErrorString(status)) + ", " + message.getString(0),
                        shapes);
            }
        }
    }

    @Override
    public void close() {
        Cudnn.cudnnBackendDestroyDescriptor(pointer);
    }
}
