// What interventions do to rows: rotations of pairs, and directions removed, turned or reflected. Sums in f32, results rounded once; any
// width, place and type.
#include "common.cuh"

// The rotation of rms_norm alone, of heads of 2 * half channels; block x is a row.
extern "C" __global__ void rotate_pairs(View x, View cosines, View sines, View out, i64 tokens, int width, int half, int adjacent) {
    const i64 row = blockIdx.x;
    const i64 from = x.row(row), to = out.row(row), ct = cosines.row(row % tokens), st = sines.row(row % tokens);
    for (int i = threadIdx.x; i < width / 2; i += blockDim.x) {
        const int head = i / half * 2 * half, pair = i % half;
        const int first = head + (adjacent ? 2 * pair : pair), second = adjacent ? first + 1 : first + half;
        const float a = get(x, from + first), b = get(x, from + second);
        const float c = get(cosines, ct + pair), s = get(sines, st + pair);
        put(out, to + first, fmaf(a, c, -b * s));
        put(out, to + second, fmaf(b, c, a * s));
    }
}

// x + sum_k (x . from_k) to_k for at most 64 k; block x is a row.
extern "C" __global__ void add_projections(View x, View from, View to, View out, int width, int count) {
    __shared__ float shares[64];
    const i64 row = blockIdx.x;
    const i64 at = x.row(row), result = out.row(row);
    for (int k = 0; k < count; k++) {
        const i64 along = from.row(k);
        float sum = 0;
        for (int i = threadIdx.x; i < width; i += blockDim.x) {
            sum = fmaf(get(x, at + i), get(from, along + i), sum);
        }
        sum = block_sum(sum);
        if (threadIdx.x == 0) {
            shares[k] = sum;
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        float sum = get(x, at + i);
        for (int k = 0; k < count; k++) {
            sum = fmaf(shares[k], get(to, to.row(k) + i), sum);
        }
        put(out, result + i, sum);
    }
}
