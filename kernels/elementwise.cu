// Operations on single elements, in f32 and rounded once; with `steps`, each step rounded to bf16 as PyTorch's separate operations
// would. Kernels named ..8 take rows of known types in vectors of eight; the plain one takes any width, place and type.
#include "common.cuh"

enum Elementwise { COPY, SILU, SWIGLU, ADD_SCALED, LERP, GELU_ERF, GELU_QUICK, GELU_TANH, GATED_RESIDUAL, ADD_BIAS };

// For results that are rounded to bf16 the fast exponential is exact enough: 2 ulp of f32.
__device__ __forceinline__ float silu_of(float x, bool fast) { return fast ? __fdividef(x, 1.0f + __expf(-x)) : silu(x); }

// f(x, y); g is the gate of GATED_RESIDUAL or the bias of ADD_BIAS.
__device__ __forceinline__ float apply(int op, float x, float y, float g, float scale, bool fast, int steps) {
    float r;
    switch (op) {
        case COPY: r = x; break;
        case SILU: r = silu_of(x, fast && !steps); break;
        case SWIGLU: r = rounded(silu_of(x, fast && !steps), steps) * y; break;
        case ADD_SCALED: r = steps ? rounded(x, 1) + rounded(scale * y, 1) : fmaf(scale, y, x); break;
        case LERP: r = steps ? x + rounded(scale * rounded(y - x, 1), 1) : fmaf(scale, y - x, x); break;
        case GELU_ERF: r = 0.5f * x * erfcf(-x * 0.70710678118654752f); break;
        case GELU_QUICK: r = x / (1.0f + expf(-1.702f * x)); break;
        case GELU_TANH: r = 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x))); break;
        case GATED_RESIDUAL: r = gated(x, g, y, steps); break;
        default: r = x + g; break;
    }
    return rounded(r, steps);
}

// gate is a row for each batch element of GATED_RESIDUAL, or the bias of ADD_BIAS.
extern "C" __global__ void elementwise(View a, View b, View gate, View out, i64 tokens, int width, int op, float scale, int steps) {
    const i64 row = blockIdx.x;
    const i64 at = a.row(row), bt = b.row(row), to = out.row(row);
    const i64 gt = op == GATED_RESIDUAL ? gate.row(row / tokens) : 0;
    const bool two = op == SWIGLU || op == ADD_SCALED || op == LERP || op == GATED_RESIDUAL;
    const bool gated = op == GATED_RESIDUAL || op == ADD_BIAS;
    for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < width; i += gridDim.y * blockDim.x) {
        const float y = two ? get(b, bt + i) : 0.0f, g = gated ? get(gate, gt + i) : 0.0f;
        put(out, to + i, apply(op, get(a, at + i), y, g, scale, out.type == BF16, steps));
    }
}

// Blocks: x along a row, y tokens, z the batch. A row's gate is f32 and repeats after `period` vectors.
template <int OP, typename A, typename B, typename O>
__device__ __forceinline__ void elementwise8(Rows a, Rows b, Rows gate, Rows out, i64 vectors, unsigned period, float scale, int steps) {
    const bool two = OP == SWIGLU || OP == ADD_SCALED || OP == LERP || OP == GATED_RESIDUAL;
    const bool gated = OP == GATED_RESIDUAL || OP == ADD_BIAS;
    const A* at = a.at<A>(blockIdx.z, blockIdx.y);
    const B* bt = b.at<B>(blockIdx.z, blockIdx.y);
    const float* gt = gate.at<float>(blockIdx.z, 0);
    O* to = out.at<O>(blockIdx.z, blockIdx.y);
    for (i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x; i < vectors; i += gridDim.x * (i64)blockDim.x) {
        Eight<A> first;
        Eight<B> second;
        first.load(at + 8 * i);
        if (two) {
            second.load(bt + 8 * i);
        }
        float x[8], y[8] = {}, g[8] = {};
        if (gated) {
            load8(gt + 8 * (OP == ADD_BIAS ? (unsigned)i % period : (unsigned)i), 1, g);
        }
        first.widen(x);
        if (two) {
            second.widen(y);
        }
#pragma unroll
        for (int j = 0; j < 8; j++) {
            x[j] = apply(OP, x[j], y[j], g[j], scale, sizeof(O) == 2, steps);
        }
        store8(to + 8 * i, 1, x);
    }
}

#define ELEMENTWISE8(NAME, OP, A, B, O)                                                                                             \
    extern "C" __global__ void __launch_bounds__(256) NAME(                                                                         \
            Rows a, Rows b, Rows gate, Rows out, i64 vectors, int period, float scale, int steps) {                                 \
        elementwise8<OP, A, B, O>(a, b, gate, out, vectors, period, scale, steps);                                                  \
    }

ELEMENTWISE8(copy8_ff, COPY, float, float, float)
ELEMENTWISE8(copy8_fb, COPY, float, float, u16)
ELEMENTWISE8(copy8_bf, COPY, u16, u16, float)
ELEMENTWISE8(copy8_bb, COPY, u16, u16, u16)
ELEMENTWISE8(silu8_ff, SILU, float, float, float)
ELEMENTWISE8(silu8_bb, SILU, u16, u16, u16)
ELEMENTWISE8(swiglu8_fff, SWIGLU, float, float, float)
ELEMENTWISE8(swiglu8_bbb, SWIGLU, u16, u16, u16)
ELEMENTWISE8(add_scaled8_fff, ADD_SCALED, float, float, float)
ELEMENTWISE8(add_scaled8_fbf, ADD_SCALED, float, u16, float)
ELEMENTWISE8(add_scaled8_bbb, ADD_SCALED, u16, u16, u16)
ELEMENTWISE8(gated_residual8_fff, GATED_RESIDUAL, float, float, float)
ELEMENTWISE8(gated_residual8_fbf, GATED_RESIDUAL, float, u16, float)
ELEMENTWISE8(gated_residual8_bbb, GATED_RESIDUAL, u16, u16, u16)
ELEMENTWISE8(add_bias8_ff, ADD_BIAS, float, float, float)
ELEMENTWISE8(add_bias8_bb, ADD_BIAS, u16, u16, u16)
