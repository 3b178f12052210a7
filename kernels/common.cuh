// What all kernels share: typed strided views, and sums over a block in a fixed order.
#pragma once

typedef long long i64;
typedef unsigned short u16;

// NVRTC has no INFINITY.
#define INF __int_as_float(0x7f800000)

// Element types, numbered as backend.cuda.View numbers them.
enum Type { F32 = 0, BF16 = 1, F16 = 2, F64 = 3 };

// Rows of elements: the leading dimensions padded to [d0, d1, d2], each with its stride in elements; rows are contiguous.
struct View {
    void* p;
    i64 d1, d2, s0, s1, s2;
    int type, unused;

    __device__ i64 row(i64 r) const {
        const i64 i2 = r % d2, q = r / d2;
        return (q / d1) * s0 + (q % d1) * s1 + i2 * s2;
    }
};

// A number for each element of a batch, passed by value so that a launch copies nothing to the device first.
struct Counts {
    int n[16];
};

__device__ __forceinline__ float from_bf16(u16 bits) { return __uint_as_float((unsigned)bits << 16); }

// Rounds to nearest even; NaN stays NaN.
__device__ __forceinline__ u16 to_bf16(float value) {
    const unsigned bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (u16)((bits >> 16) | 0x40);
    }
    return (u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

__device__ __forceinline__ float from_f16(u16 bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

__device__ __forceinline__ float load(const void* p, int type, i64 i) {
    switch (type) {
        case F32: return ((const float*)p)[i];
        case BF16: return from_bf16(((const u16*)p)[i]);
        case F16: return from_f16(((const u16*)p)[i]);
        default: return (float)((const double*)p)[i];
    }
}

// Activations and prepared weights are f32 or bf16.
__device__ __forceinline__ float get(const View& v, i64 i) {
    return v.type == F32 ? ((const float*)v.p)[i] : from_bf16(((const u16*)v.p)[i]);
}

__device__ __forceinline__ void put(const View& v, i64 i, float value) {
    if (v.type == F32) {
        ((float*)v.p)[i] = value;
    } else {
        ((u16*)v.p)[i] = to_bf16(value);
    }
}

// Sum over a block of whole warps, the same bits every time; every thread gets it.
template <typename T>
__device__ T block_sum(T value) {
    __shared__ T parts[32];
    __shared__ T total;
    for (int offset = 16; offset > 0; offset >>= 1) {
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    }
    __syncthreads();
    if ((threadIdx.x & 31) == 0) {
        parts[threadIdx.x >> 5] = value;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        T sum = 0;
        for (int i = 0; i < (int)(blockDim.x >> 5); i++) {
            sum += parts[i];
        }
        total = sum;
    }
    __syncthreads();
    return total;
}

__device__ __forceinline__ float silu(float x) { return x / (1.0f + expf(-x)); }
