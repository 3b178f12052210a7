package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;

/** Linear layers: vectors in f32 by our kernel, all else by cuBLASLt in the type of the weights. */
final class LinearLayers {

    private final CudaFrames frames;
    private final Products products;
    private final RowOperations rows;
    private final PictureOperations pictures;

    LinearLayers(CudaFrames frames, Products products, RowOperations rows, PictureOperations pictures) {
        this.frames = frames;
        this.products = products;
        this.rows = rows;
        this.pictures = pictures;
    }

    /** Shapes are the caller's to check. */
    void linear(Tensor x, Linear layer, Tensor out) {
        Tensor weight = layer.weight();
        if (x.shape().rank() < 3 && x.dtype() == DType.F32 && weight.dtype() != DType.F32) {
            rows.fewRows(x, weight, out);
            addBias(layer.bias(), out);
            return;
        }
        try (Frame _ = frames.open()) {
            Tensor in = x;
            if (x.dtype() != weight.dtype()) {
                in = frames.alloc(x.shape(), weight.dtype());
                rows.copy(x, in);
            }
            if (multiply(in, weight, out)) {
                addBias(layer.bias(), out);
            } else {
                pictures.product(in, layer, out);
            }
        }
    }

    /** One product for all rows that lie evenly in both x and out; false if cuBLASLt cannot. */
    private boolean multiply(Tensor x, Tensor weight, Tensor out) {
        long count = 1;
        long xRow = x.dim(-1);
        long outRow = out.dim(-1);
        int d = x.shape().rank() - 2;
        for (; d >= 0; d--) {
            if (x.dim(d) == 1) {
                continue;
            }
            if (count == 1) {
                xRow = x.stride(d);
                outRow = out.stride(d);
            } else if (x.stride(d) != count * xRow || out.stride(d) != count * outRow) {
                break;
            }
            count *= x.dim(d);
        }
        for (long row = 0; row < x.rows(); row += count) {
            if (!products.multiply(View.address(x) + x.dtype().bytes(x.rowOffset(row) - x.offset()), View.typeNumber(x.dtype()), xRow,
                    View.address(weight), View.typeNumber(weight.dtype()), weight.stride(0),
                    View.address(out) + out.dtype().bytes(out.rowOffset(row) - out.offset()), View.typeNumber(out.dtype()), outRow,
                    count, x.dim(-1), out.dim(-1))) {
                return false;
            }
        }
        return true;
    }

    private void addBias(Tensor bias, Tensor out) {
        if (bias != null) {
            rows.addBias(bias, out);
        }
    }
}
