// The softmax between the two products of an attention whose scores are kept, and what the second product needs.
#include "common.cuh"

__device__ __forceinline__ void take(float s, float& most, float& sum) {
    if (s > most) {
        sum *= __expf(most - s);
        most = s;
    }
    sum += __expf(s - most);
}

__device__ __forceinline__ unsigned pair(float low, float high) { return to_bf16(low) | (unsigned)to_bf16(high) << 16; }

// Rows of f32 scores become probabilities in bf16, in the same memory: row r begins where it did, and takes half of it.
// A block of 512 threads is a row, which begins at a multiple of 32 bytes. A thread takes eight neighbours at a time and holds
// its own maximum and sum; those are merged in a fixed order.
extern "C" __global__ __launch_bounds__(512) void softmax_rows(float* scores, int keys, i64 row, float scale) {
    const int EIGHT = 8;
    float* from = scores + blockIdx.x * row;
    const int step = EIGHT * blockDim.x, mine = EIGHT * threadIdx.x;
    float most = -INF, sum = 0;
    for (int i = mine; i < keys; i += step) {
        if (i + EIGHT <= keys) {
            const float4 a = *(const float4*)(from + i), b = *(const float4*)(from + i + 4);
            const float s[EIGHT] = {a.x * scale, a.y * scale, a.z * scale, a.w * scale, b.x * scale, b.y * scale, b.z * scale,
                    b.w * scale};
            float higher = most;
            for (int j = 0; j < EIGHT; j++) {
                higher = fmaxf(higher, s[j]);
            }
            sum *= __expf(most - higher);
            most = higher;
            for (int j = 0; j < EIGHT; j++) {
                sum += __expf(s[j] - most);
            }
        } else {
            for (int j = i; j < keys; j++) {
                take(from[j] * scale, most, sum);
            }
        }
    }
    __shared__ float mosts[16];
    float highest = most;
    for (int offset = 16; offset > 0; offset >>= 1) {
        highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, offset));
    }
    if ((threadIdx.x & 31) == 0) {
        mosts[threadIdx.x >> 5] = highest;
    }
    __syncthreads();
    for (int i = 0; i < (int)(blockDim.x >> 5); i++) {
        highest = fmaxf(highest, mosts[i]);
    }
    const float share = 1.0f / block_sum(mine < keys ? sum * __expf(most - highest) : 0.0f);
    u16* to = (u16*)from;
    // what a step writes was read in it or before
    for (int first = 0; first < keys; first += step) {
        const int i = first + mine;
        float p[EIGHT];
        if (i + EIGHT <= keys) {
            const float4 a = *(const float4*)(from + i), b = *(const float4*)(from + i + 4);
            const float s[EIGHT] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
            for (int j = 0; j < EIGHT; j++) {
                p[j] = __expf(s[j] * scale - highest) * share;
            }
        } else {
            for (int j = 0; j < EIGHT; j++) {
                p[j] = i + j < keys ? __expf(from[i + j] * scale - highest) * share : 0.0f;
            }
        }
        __syncthreads();
        if (i + EIGHT <= keys) {
            *(uint4*)(to + i) = make_uint4(pair(p[0], p[1]), pair(p[2], p[3]), pair(p[4], p[5]), pair(p[6], p[7]));
        } else {
            for (int j = 0; j < EIGHT; j++) {
                if (i + j < keys) {
                    to[i + j] = to_bf16(p[j]);
                }
            }
        }
        __syncthreads();
    }
}

// out[c, r] = x[r, c] in bf16; x has rows of xRow elements, out of outRow. Blocks are tiles of 32 by 32, 32 by 8 threads flat.
extern "C" __global__ __launch_bounds__(256) void transpose(const u16* x, u16* out, int rows, int columns, i64 xRow, i64 outRow) {
    __shared__ u16 tile[32][33];
    const int tx = threadIdx.x & 31, ty = threadIdx.x >> 5;
    for (int j = ty; j < 32; j += 8) {
        const int r = blockIdx.y * 32 + j, c = blockIdx.x * 32 + tx;
        if (r < rows && c < columns) {
            tile[j][tx] = x[r * xRow + c];
        }
    }
    __syncthreads();
    for (int j = ty; j < 32; j += 8) {
        const int c = blockIdx.x * 32 + j, r = blockIdx.y * 32 + tx;
        if (r < rows && c < columns) {
            out[c * outRow + r] = tile[tx][j];
        }
    }
}
