// Operations on rows: one block a row (or a group of channels within it), sums in f32, results rounded once.
#include "common.cuh"

enum Elementwise { COPY, SILU, SWIGLU, ADD_SCALED, LERP, GELU_ERF, GELU_QUICK, GELU_TANH, GATED_RESIDUAL, ADD_BIAS };

// out = f(a, b); gate is a row for each batch element of GATED_RESIDUAL, or the bias of ADD_BIAS.
extern "C" __global__ void elementwise(View a, View b, View gate, View out, i64 tokens, int width, int op, float scale) {
    const i64 row = blockIdx.x;
    const i64 at = a.row(row), bt = b.row(row), to = out.row(row);
    const i64 gt = op == GATED_RESIDUAL ? gate.row(row / tokens) : 0;
    for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < width; i += gridDim.y * blockDim.x) {
        const float x = get(a, at + i);
        float y;
        switch (op) {
            case COPY: y = x; break;
            case SILU: y = silu(x); break;
            case SWIGLU: y = silu(x) * get(b, bt + i); break;
            case ADD_SCALED: y = x + scale * get(b, bt + i); break;
            case LERP: y = x + scale * (get(b, bt + i) - x); break;
            case GELU_ERF: y = 0.5f * x * erfcf(-x * 0.70710678118654752f); break;
            case GELU_QUICK: y = x / (1.0f + expf(-1.702f * x)); break;
            case GELU_TANH: y = 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x))); break;
            case GATED_RESIDUAL: y = x + get(gate, gt + i) * get(b, bt + i); break;
            default: y = x + get(gate, i); break;
        }
        put(out, to + i, y);
    }
}

enum NormKind { PLAIN, MODULATE, AFFINE };

// LayerNorm of each row. MODULATE: (1 + scale) n + shift, a row of each for a batch element; AFFINE: scale n + shift.
extern "C" __global__ void layer_norm(View x, View scale, View shift, View out, i64 tokens, int width, int kind, float eps) {
    const i64 row = blockIdx.x;
    const i64 from = x.row(row), to = out.row(row);
    float sum = 0;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        sum += get(x, from + i);
    }
    const float mean = block_sum(sum) / width;
    float squares = 0;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        const float d = get(x, from + i) - mean;
        squares += d * d;
    }
    const float factor = 1.0f / sqrtf(block_sum(squares) / width + eps);
    const i64 batch = kind == MODULATE ? row / tokens : 0;
    const i64 sc = scale.row(batch), sh = shift.row(batch);
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        float n = (get(x, from + i) - mean) * factor;
        if (kind != PLAIN) {
            const float s = get(scale, sc + i);
            n = (kind == MODULATE ? 1.0f + s : s) * n + get(shift, sh + i);
        }
        put(out, to + i, n);
    }
}

enum Pairing { NONE, ADJACENT, HALVES };

// RMSNorm of each group of `size` channels, then the rotation of its pairs; block x is a row, block y a group.
extern "C" __global__ void rms_norm(View x, View weight, View cosines, View sines, View out, i64 tokens, int size, int pairing,
        float eps) {
    const i64 row = blockIdx.x;
    const i64 from = x.row(row) + (i64)blockIdx.y * size, to = out.row(row) + (i64)blockIdx.y * size;
    float squares = 0;
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        const float v = get(x, from + i);
        squares += v * v;
    }
    const float factor = 1.0f / sqrtf(block_sum(squares) / size + eps);
    if (pairing == NONE) {
        for (int i = threadIdx.x; i < size; i += blockDim.x) {
            put(out, to + i, get(x, from + i) * factor * get(weight, i));
        }
        return;
    }
    const int half = size / 2;
    const i64 ct = cosines.row(row % tokens), st = sines.row(row % tokens);
    for (int pair = threadIdx.x; pair < half; pair += blockDim.x) {
        const int first = pairing == ADJACENT ? 2 * pair : pair;
        const int second = pairing == ADJACENT ? first + 1 : first + half;
        const float a = get(x, from + first) * factor * get(weight, first);
        const float b = get(x, from + second) * factor * get(weight, second);
        const float c = get(cosines, ct + pair), s = get(sines, st + pair);
        put(out, to + first, a * c - b * s);
        put(out, to + second, b * c + a * s);
    }
}

extern "C" __global__ void embedding(View table, const int* ids, View out, int width) {
    const i64 from = table.row(ids[blockIdx.x]), to = out.row(blockIdx.x);
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        put(out, to + i, get(table, from + i));
    }
}

// Elements of a checkpoint's type to f32 or bf16.
extern "C" __global__ void convert(const void* from, int type, View out, i64 count) {
    for (i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x; i < count; i += (i64)gridDim.x * blockDim.x) {
        put(out, i, load(from, type, i));
    }
}

// A convolution's kernel [out, in, pixels] to [out, pixels, in], converted.
extern "C" __global__ void channels_last(const void* from, int type, View out, i64 count, int in, int pixels) {
    for (i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x; i < count; i += (i64)gridDim.x * blockDim.x) {
        const i64 channel = i % in, pixel = i / in % pixels, o = i / in / pixels;
        put(out, i, load(from, type, (o * in + channel) * pixels + pixel));
    }
}

// A few rows times a matrix in f32, whatever its type: a warp for each output channel. For vectors [batch, n].
extern "C" __global__ void few_rows(View x, View weight, View out, int rows, int in, int width) {
    const int o = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    const int lane = threadIdx.x & 31;
    if (o >= width) {
        return;
    }
    const i64 w = weight.row(o);
    for (int r = blockIdx.y; r < rows; r += gridDim.y) {
        const i64 from = x.row(r);
        float sum = 0;
        for (int i = lane; i < in; i += 32) {
            sum += get(x, from + i) * get(weight, w + i);
        }
        for (int offset = 16; offset > 0; offset >>= 1) {
            sum += __shfl_xor_sync(0xffffffffu, sum, offset);
        }
        if (lane == 0) {
            put(out, out.row(r) + o, sum);
        }
    }
}
