// Weights of a model that was never trained, the same values as tensor.DrawnStorage draws on the host.
#include "common.cuh"

typedef unsigned long long u64;

__device__ __forceinline__ u64 mix(u64 z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

// Elements from first on: entries of the table of 65536, four by each number of SplitMix64. Without a table all are constant.
extern "C" __global__ void draw(u16* out, const u16* table, int constant, i64 key, i64 first, i64 count) {
    for (i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x; i < count; i += (i64)gridDim.x * blockDim.x) {
        const u64 at = (u64)(first + i);
        out[i] = table ? table[(mix((u64)key + (at >> 2) * 0x9e3779b97f4a7c15ull) >> 16 * (at & 3)) & 0xffff] : (u16)constant;
    }
}
