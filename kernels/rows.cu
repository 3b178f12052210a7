// Normalisation, rotation and small products of rows: sums in f32, results rounded once; with `steps`, each step rounded to bf16 as
// PyTorch's separate operations would. Kernels named ..8 take rows of known types in vectors of eight; the plain ones take any
// width, place and type.
#include "common.cuh"

enum NormKind { PLAIN, MODULATE, AFFINE, RMS };

// What follows the normalisation of one value n. MODULATE: (1 + scale) n + shift; AFFINE: scale n + shift; RMS: scale n.
__device__ __forceinline__ float normed(int kind, float n, float scale, float shift, int steps) {
    n = kind == AFFINE ? n : rounded(n, steps);
    switch (kind) {
        case MODULATE: return steps ? rounded(rounded(rounded(1.0f + scale, 1) * n, 1) + shift, 1) : fmaf(1.0f + scale, n, shift);
        case AFFINE: return rounded(fmaf(scale, n, shift), steps);
        case RMS: return rounded(scale * n, steps);
        default: return n;
    }
}

// LayerNorm of each row. MODULATE has a row of scale and shift for a batch element, AFFINE one for all.
extern "C" __global__ void layer_norm(View x, View scale, View shift, View out, i64 tokens, int width, int kind, float eps, int steps) {
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
        const float n = (get(x, from + i) - mean) * factor;
        put(out, to + i, normed(kind, n, kind == PLAIN ? 0.0f : get(scale, sc + i), kind == PLAIN ? 0.0f : get(shift, sh + i), steps));
    }
}

// Of a row that the block's threads hold, V vectors each.
template <typename I, typename O, int V>
__device__ __forceinline__ void norm8_of(const Eight<I> (&row)[V], Rows scale, Rows shift, Rows out, int vectors, int kind, float eps,
        int steps, int aligned) {
    O* to = out.at<O>(blockIdx.y, blockIdx.x);
    const float* scales = scale.at<float>(blockIdx.y, 0);
    const float* shifts = shift.at<float>(blockIdx.y, 0);
    const float share = 1.0f / (8 * vectors);
    float mean = 0;
    if (kind != RMS) {
#pragma unroll
        for (int v = 0; v < V; v++) {
            if ((int)(threadIdx.x + v * blockDim.x) < vectors) {
                float values[8];
                row[v].widen(values);
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    mean += values[j];
                }
            }
        }
        mean = row_sum<0>(mean) * share;
    }
    float squares = 0;
#pragma unroll
    for (int v = 0; v < V; v++) {
        if ((int)(threadIdx.x + v * blockDim.x) < vectors) {
            float values[8];
            row[v].widen(values);
#pragma unroll
            for (int j = 0; j < 8; j++) {
                const float d = values[j] - mean;
                squares = fmaf(d, d, squares);
            }
        }
    }
    const float factor = rsqrtf(fmaf(row_sum<1>(squares), share, eps));
#pragma unroll
    for (int v = 0; v < V; v++) {
        const int i = threadIdx.x + v * blockDim.x;
        if (i < vectors) {
            float values[8], sc[8] = {}, sh[8] = {};
            row[v].widen(values);
            if (kind != PLAIN) {
                load8(scales + 8 * i, aligned, sc);
            }
            if (kind == MODULATE || kind == AFFINE) {
                load8(shifts + 8 * i, aligned, sh);
            }
#pragma unroll
            for (int j = 0; j < 8; j++) {
                values[j] = normed(kind, (values[j] - mean) * factor, sc[j], sh[j], steps);
            }
            store8(to + 8 * i, aligned, values);
        }
    }
}

// The same, and RMSNorm of whole rows. A block a row: x tokens, y the batch. A thread holds V vectors of the row.
template <typename I, typename O, int V>
__device__ __forceinline__ void norm8(Rows x, Rows scale, Rows shift, Rows out, int vectors, int kind, float eps, int steps, int aligned) {
    const I* from = x.at<I>(blockIdx.y, blockIdx.x);
    Eight<I> row[V];
    // loads without a condition travel together
    if (aligned) {
#pragma unroll
        for (int v = 0; v < V; v++) {
            row[v].load(from + 8 * min((int)(threadIdx.x + v * blockDim.x), vectors - 1));
        }
    } else {
#pragma unroll
        for (int v = 0; v < V; v++) {
            row[v].gather(from + 8 * min((int)(threadIdx.x + v * blockDim.x), vectors - 1));
        }
    }
    norm8_of<I, O, V>(row, scale, shift, out, vectors, kind, eps, steps, aligned);
}

// x + gate y, and its LayerNorm modulated, in one pass: x, y and both results are rows of bf16.
template <int V>
__device__ __forceinline__ void residual_norm8(Rows x, Rows y, Rows gate, Rows sum, Rows scale, Rows shift, Rows out, int vectors,
        float eps, int steps) {
    const u16* xs = x.at<u16>(blockIdx.y, blockIdx.x);
    const u16* ys = y.at<u16>(blockIdx.y, blockIdx.x);
    const float* gates = gate.at<float>(blockIdx.y, 0);
    u16* sums = sum.at<u16>(blockIdx.y, blockIdx.x);
    Eight<u16> row[V], other[V];
#pragma unroll
    for (int v = 0; v < V; v++) {
        const int i = min((int)(threadIdx.x + v * blockDim.x), vectors - 1);
        row[v].load(xs + 8 * i);
        other[v].load(ys + 8 * i);
    }
#pragma unroll
    for (int v = 0; v < V; v++) {
        const int i = threadIdx.x + v * blockDim.x;
        float a[8], b[8], g[8];
        row[v].widen(a);
        other[v].widen(b);
        load8(gates + 8 * min(i, vectors - 1), 1, g);
#pragma unroll
        for (int j = 0; j < 8; j++) {
            a[j] = gated(a[j], g[j], b[j], steps);
        }
        row[v].round(a);
        if (i < vectors) {
            row[v].store(sums + 8 * i);
        }
    }
    norm8_of<u16, u16, V>(row, scale, shift, out, vectors, MODULATE, eps, steps, 1);
}

#define RESIDUAL_NORM8(V)                                                                                                           \
    extern "C" __global__ void __launch_bounds__(512) residual_norm8_##V(Rows x, Rows y, Rows gate, Rows sum, Rows scale,           \
            Rows shift, Rows out, int vectors, float eps, int steps) {                                                              \
        residual_norm8<V>(x, y, gate, sum, scale, shift, out, vectors, eps, steps);                                                 \
    }

RESIDUAL_NORM8(1)
RESIDUAL_NORM8(2)
RESIDUAL_NORM8(4)

#define NORM8(NAME, I, O, V)                                                                                                        \
    extern "C" __global__ void __launch_bounds__(512) NAME(                                                                         \
            Rows x, Rows scale, Rows shift, Rows out, int vectors, int kind, float eps, int steps, int aligned) {                   \
        norm8<I, O, V>(x, scale, shift, out, vectors, kind, eps, steps, aligned);                                                   \
    }
#define NORM8_TYPES(V)                                                                                                              \
    NORM8(norm8_ff_##V, float, float, V)                                                                                            \
    NORM8(norm8_fb_##V, float, u16, V)                                                                                              \
    NORM8(norm8_bb_##V, u16, u16, V)

NORM8_TYPES(1)
NORM8_TYPES(2)
NORM8_TYPES(4)

enum Pairing { NONE, ADJACENT, HALVES };

// The rotation of a pair. Rounding in steps, HALVES does what transformers does: everything in bf16; ADJACENT what diffusers does.
__device__ __forceinline__ void rotate(int pairing, float& a, float& b, float c, float s, int steps) {
    float first, second;
    if (steps && pairing == HALVES) {
        c = rounded(c, 1);
        s = rounded(s, 1);
        first = rounded(a * c, 1) - rounded(b * s, 1);
        second = rounded(b * c, 1) + rounded(a * s, 1);
    } else if (steps) {
        first = __fmul_rn(a, c) - __fmul_rn(b, s);
        second = __fmul_rn(b, c) + __fmul_rn(a, s);
    } else {
        first = fmaf(a, c, -b * s);
        second = fmaf(b, c, a * s);
    }
    a = rounded(first, steps);
    b = rounded(second, steps);
}

// A normalised value times its weight. Rounding in steps, transformers' Qwen3RMSNorm rounds before the weight, torch's not.
__device__ __forceinline__ float weighted(float n, float weight, bool before, int steps) {
    return rounded((before ? rounded(n, steps) : n) * weight, steps);
}

// RMSNorm of each group of `size` channels, then the rotation of its pairs; block x is a row, block y a group.
extern "C" __global__ void rms_norm(View x, View weight, View cosines, View sines, View out, i64 tokens, int size, int pairing,
        float eps, int steps) {
    const i64 row = blockIdx.x;
    const i64 from = x.row(row) + (i64)blockIdx.y * size, to = out.row(row) + (i64)blockIdx.y * size;
    const bool before = pairing == HALVES || (pairing == NONE && gridDim.y == 1);
    float squares = 0;
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        const float v = get(x, from + i);
        squares += v * v;
    }
    const float factor = 1.0f / sqrtf(block_sum(squares) / size + eps);
    if (pairing == NONE) {
        for (int i = threadIdx.x; i < size; i += blockDim.x) {
            put(out, to + i, weighted(get(x, from + i) * factor, get(weight, i), before, steps));
        }
        return;
    }
    const int half = size / 2;
    const i64 ct = cosines.row(row % tokens), st = sines.row(row % tokens);
    for (int pair = threadIdx.x; pair < half; pair += blockDim.x) {
        const int first = pairing == ADJACENT ? 2 * pair : pair;
        const int second = pairing == ADJACENT ? first + 1 : first + half;
        float a = weighted(get(x, from + first) * factor, get(weight, first), before, steps);
        float b = weighted(get(x, from + second) * factor, get(weight, second), before, steps);
        rotate(pairing, a, b, get(cosines, ct + pair), get(sines, st + pair), steps);
        put(out, to + first, a);
        put(out, to + second, b);
    }
}

// A vector of a head: normalised, weighted, rotated.
__device__ __forceinline__ void head8(float (&v)[8], const float (&w)[8], const float (&c)[8], const float (&s)[8], int lane, int lanes,
        int pairing, float eps, int steps) {
    float squares = 0;
#pragma unroll
    for (int j = 0; j < 8; j++) {
        squares = fmaf(v[j], v[j], squares);
    }
    for (int offset = lanes / 2; offset > 0; offset >>= 1) {
        squares += __shfl_xor_sync(0xffffffffu, squares, offset);
    }
    const float factor = rsqrtf(fmaf(squares, __fdividef(0.125f, lanes), eps));
#pragma unroll
    for (int j = 0; j < 8; j++) {
        v[j] = weighted(v[j] * factor, w[j], pairing == HALVES, steps);
    }
    if (pairing == ADJACENT) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            rotate(ADJACENT, v[2 * j], v[2 * j + 1], c[j], s[j], steps);
        }
    } else if (pairing == HALVES) {
        const bool upper = lane >= lanes / 2;
#pragma unroll
        for (int j = 0; j < 8; j++) {
            const float other = __shfl_xor_sync(0xffffffffu, v[j], lanes / 2);
            float a = upper ? other : v[j], b = upper ? v[j] : other;
            rotate(HALVES, a, b, c[j], s[j], steps);
            v[j] = upper ? b : a;
        }
    }
}

// The same for heads of 8 * lanes channels, lanes a power of two up to 32, of q and of k at once: a thread takes the same vector of
// both, where there is one. Blocks: x along a row, y tokens, z the batch.
template <typename T>
__device__ __forceinline__ void rms_heads8(Rows q, Rows k, const float* qWeight, const float* kWeight, Rows cosines, Rows sines,
        Rows qOut, Rows kOut, int qVectors, int kVectors, int lanes, int pairing, float eps, int steps, int aligned) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const int lane = i & (lanes - 1);
    const T* qAt = q.at<T>(blockIdx.z, blockIdx.y) + 8 * min(i, qVectors - 1);
    const T* kAt = (kVectors ? k : q).at<T>(blockIdx.z, blockIdx.y) + 8 * min(i, max(kVectors, 1) - 1);
    // a pair of channels has one angle: 4 a vector where they are neighbours
    const int angle = pairing == ADJACENT ? 4 * lane : 8 * (lane & (lanes / 2 - 1));
    const float* ct = cosines.at<float>(0, blockIdx.y) + angle;
    const float* st = sines.at<float>(0, blockIdx.y) + angle;
    float a[8], b[8], w[8], c[8] = {}, s[8] = {};
    Eight<T> qBits, kBits;
    // loads without a condition travel together
    if (aligned) {
        qBits.load(qAt);
        kBits.load(kAt);
    } else {
        qBits.gather(qAt);
        kBits.gather(kAt);
    }
    if (pairing == ADJACENT && aligned) {
        const float4 cs = *(const float4*)ct, ss = *(const float4*)st;
        c[0] = cs.x; c[1] = cs.y; c[2] = cs.z; c[3] = cs.w;
        s[0] = ss.x; s[1] = ss.y; s[2] = ss.z; s[3] = ss.w;
    } else if (pairing == ADJACENT) {
        for (int j = 0; j < 4; j++) {
            c[j] = ct[j];
            s[j] = st[j];
        }
    } else if (pairing == HALVES) {
        load8(ct, aligned, c);
        load8(st, aligned, s);
    }
    qBits.widen(a);
    kBits.widen(b);
    // whole warps go either way: their lanes exchange sums
    const int warp = i & ~31;
    if (warp < qVectors) {
        load8(qWeight + 8 * lane, aligned, w);
        head8(a, w, c, s, lane, lanes, pairing, eps, steps);
        if (i < qVectors) {
            store8(qOut.at<T>(blockIdx.z, blockIdx.y) + 8 * i, aligned, a);
        }
    }
    if (warp < kVectors) {
        load8(kWeight + 8 * lane, aligned, w);
        head8(b, w, c, s, lane, lanes, pairing, eps, steps);
        if (i < kVectors) {
            store8(kOut.at<T>(blockIdx.z, blockIdx.y) + 8 * i, aligned, b);
        }
    }
}

#define RMS_HEADS8(NAME, T)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256) NAME(Rows q, Rows k, const float* qWeight, const float* kWeight, Rows cosines, \
            Rows sines, Rows qOut, Rows kOut, int qVectors, int kVectors, int lanes, int pairing, float eps, int steps, int aligned) { \
        rms_heads8<T>(q, k, qWeight, kWeight, cosines, sines, qOut, kOut, qVectors, kVectors, lanes, pairing, eps, steps, aligned);  \
    }

RMS_HEADS8(rms_heads8_f, float)
RMS_HEADS8(rms_heads8_b, u16)

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

// A few rows times a matrix in f32, whatever its type: a warp for each output channel. For vectors [batch, n]. With `steps`, x is
// rounded on its way in, and the result.
extern "C" __global__ void few_rows(View x, View weight, View out, int rows, int in, int width, int steps) {
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
            sum += rounded(get(x, from + i), steps) * get(weight, w + i);
        }
        for (int offset = 16; offset > 0; offset >>= 1) {
            sum += __shfl_xor_sync(0xffffffffu, sum, offset);
        }
        if (lane == 0) {
            put(out, out.row(r) + o, rounded(sum, steps));
        }
    }
}

// The same of f32 rows times bf16 in vectors; four loads of the matrix in flight a lane.
extern "C" __global__ void __launch_bounds__(256) few_rows8(Rows x, Rows weight, Rows out, int vectors, int width, int steps) {
    const int o = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    const int lane = threadIdx.x & 31;
    if (o >= width) {
        return;
    }
    const u16* w = weight.at<u16>(0, o);
    const float* from = x.at<float>(0, blockIdx.y);
    float sum = 0;
    for (int first = lane; first < vectors; first += 4 * 32) {
        Eight<u16> part[4];
#pragma unroll
        for (int u = 0; u < 4; u++) {
            if (first + 32 * u < vectors) {
                part[u].load(w + 8 * (first + 32 * u));
            } else {
                part[u].clear();
            }
        }
#pragma unroll
        for (int u = 0; u < 4; u++) {
            if (first + 32 * u < vectors) {
                float a[8], b[8];
                part[u].widen(a);
                load8(from + 8 * (first + 32 * u), 1, b);
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    sum = fmaf(a[j], rounded(b[j], steps), sum);
                }
            }
        }
    }
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) {
        sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    }
    if (lane == 0) {
        out.at<float>(0, blockIdx.y)[o] = rounded(sum, steps);
    }
}
