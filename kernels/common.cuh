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
    u16 bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

// Two at once, the first in the lower half.
__device__ __forceinline__ unsigned to_bf16(float first, float second) {
    unsigned bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
    return bits;
}

// To bf16 and back where `rounding` is set: what PyTorch does to a bf16 result, kept in f32.
__device__ __forceinline__ float rounded(float value, int rounding) {
    return rounding ? from_bf16(to_bf16(value)) : value;
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

// Rows of elements of a known type as the fast paths take them: a batch of rows at two strides, in elements.
struct Rows {
    void* p;
    i64 batch, row;

    template <typename T>
    __device__ __forceinline__ T* at(i64 b, i64 r) const {
        return (T*)p + b * batch + r * row;
    }
};

// Eight neighbouring elements as they lie in memory, 16 bytes a load; in registers bf16 stays packed.
template <typename T>
struct Eight;

template <>
struct Eight<u16> {
    uint4 bits;

    __device__ __forceinline__ void load(const u16* p) { bits = *(const uint4*)p; }

    // From any address.
    __device__ __forceinline__ void gather(const u16* p) {
        bits = make_uint4(p[0] | (unsigned)p[1] << 16, p[2] | (unsigned)p[3] << 16, p[4] | (unsigned)p[5] << 16,
                p[6] | (unsigned)p[7] << 16);
    }

    __device__ __forceinline__ void clear() { bits = make_uint4(0, 0, 0, 0); }

    __device__ __forceinline__ void widen(float (&v)[8]) const {
        const unsigned words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            v[2 * i] = __uint_as_float(words[i] << 16);
            v[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
        }
    }

    __device__ __forceinline__ void round(const float (&v)[8]) {
        bits = make_uint4(to_bf16(v[0], v[1]), to_bf16(v[2], v[3]), to_bf16(v[4], v[5]), to_bf16(v[6], v[7]));
    }

    __device__ __forceinline__ void store(u16* p) const { *(uint4*)p = bits; }

    __device__ __forceinline__ void scatter(u16* p) const {
        const unsigned words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            p[2 * i] = (u16)words[i];
            p[2 * i + 1] = (u16)(words[i] >> 16);
        }
    }
};

template <>
struct Eight<float> {
    float v[8];

    __device__ __forceinline__ void load(const float* p) {
        const float4 a = ((const float4*)p)[0], b = ((const float4*)p)[1];
        v[0] = a.x; v[1] = a.y; v[2] = a.z; v[3] = a.w;
        v[4] = b.x; v[5] = b.y; v[6] = b.z; v[7] = b.w;
    }

    __device__ __forceinline__ void gather(const float* p) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            v[i] = p[i];
        }
    }

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            v[i] = 0;
        }
    }

    __device__ __forceinline__ void widen(float (&to)[8]) const {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            to[i] = v[i];
        }
    }

    __device__ __forceinline__ void round(const float (&from)[8]) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            v[i] = from[i];
        }
    }

    __device__ __forceinline__ void store(float* p) const {
        ((float4*)p)[0] = make_float4(v[0], v[1], v[2], v[3]);
        ((float4*)p)[1] = make_float4(v[4], v[5], v[6], v[7]);
    }

    __device__ __forceinline__ void scatter(float* p) const {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            p[i] = v[i];
        }
    }
};

// x + g y, rounded by the caller.
__device__ __forceinline__ float gated(float x, float g, float y, int steps) {
    return steps ? x + rounded(g * y, 1) : fmaf(g, y, x);
}

template <typename T>
__device__ __forceinline__ void load8(const T* p, int aligned, float (&v)[8]) {
    Eight<T> eight;
    if (aligned) {
        eight.load(p);
    } else {
        eight.gather(p);
    }
    eight.widen(v);
}

template <typename T>
__device__ __forceinline__ void store8(T* p, int aligned, const float (&v)[8]) {
    Eight<T> eight;
    eight.round(v);
    if (aligned) {
        eight.store(p);
    } else {
        eight.scatter(p);
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

// The same with one barrier. Each SLOT may serve once in a kernel.
template <int SLOT>
__device__ __forceinline__ float row_sum(float value) {
    __shared__ float parts[32];
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) {
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    }
    if (blockDim.x == 32) {
        return value;
    }
    if ((threadIdx.x & 31) == 0) {
        parts[threadIdx.x >> 5] = value;
    }
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < (int)(blockDim.x >> 5); i++) {
        sum += parts[i];
    }
    return sum;
}

__device__ __forceinline__ float silu(float x) { return x / (1.0f + expf(-x)); }
