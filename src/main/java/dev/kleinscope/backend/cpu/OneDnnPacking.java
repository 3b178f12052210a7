package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.OneDnnProgram.check;

import dev.kleinscope.bindings.onednn.OneDnn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The packing of weights as oneDNN multiplies by them fastest.
 *
 * @param product that they are packed for
 * @param termStride elements between the neighbouring terms of a column that is packed
 * @param columnStride elements between neighbouring columns
 */
record OneDnnPacking(OneDnnProduct product, long termStride, long columnStride) implements OneDnnProgram.Key {

    @Override
    public OneDnnProgram create(MemorySegment engine) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment packed = product.packedLayout(engine, arena);
            if (packed == null) {
                return null;
            }
            MemorySegment plain = OneDnnProduct.layout(this, arena, OneDnnProduct.number(product.weight()), product.in(), product.out(),
                    termStride, columnStride);
            MemorySegment attributes = OneDnnProduct.attributes(this, arena);
            try {
                MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
                int status = OneDnn.dnnl_reorder_primitive_desc_create(handle, plain, engine, packed, engine, attributes);
                if (status == OneDnn.dnnl_unimplemented()) {
                    return null;
                }
                check("dnnl_reorder_primitive_desc_create", status, this);
                MemorySegment description = handle.get(ValueLayout.ADDRESS, 0);
                try {
                    return new OneDnnProgram(this, engine, description, new int[] {OneDnn.DNNL_ARG_SRC(), OneDnn.DNNL_ARG_DST()},
                            new MemorySegment[] {plain, packed});
                } finally {
                    OneDnn.dnnl_primitive_desc_destroy(description);
                }
            } finally {
                OneDnn.dnnl_primitive_attr_destroy(attributes);
                OneDnn.dnnl_memory_desc_destroy(plain);
                OneDnn.dnnl_memory_desc_destroy(packed);
            }
        }
    }
}
