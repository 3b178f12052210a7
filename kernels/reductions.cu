// Sums over activations for whoever watches them: the same bits every time, f64 where many terms meet.
#include "common.cuh"

__device__ __forceinline__ double warp_sum(double value) {
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) {
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    }
    return value;
}

// A sum as the nearest f32 and what remains.
__device__ __forceinline__ void put_pair(const View& out, i64 at, double sum) {
    const float high = (float)sum;
    put(out, at, high);
    put(out, at + 1, isinf(high) ? 0.0f : (float)(sum - high));
}

// Of each row: sum of x^2 and, with `before`, of (x - before)^2 and x * before. A warp a row.
extern "C" __global__ void row_moments(View x, View before, View out, i64 rows, int width, int paired) {
    const i64 row = blockIdx.x * (i64)(blockDim.x >> 5) + (threadIdx.x >> 5);
    if (row >= rows) {
        return;
    }
    const i64 from = x.row(row), other = before.row(row), to = out.row(row);
    double squares = 0, changes = 0, products = 0;
    for (int i = threadIdx.x & 31; i < width; i += 32) {
        const double a = get(x, from + i), b = paired ? get(before, other + i) : 0.0;
        squares += a * a;
        changes += (a - b) * (a - b);
        products += a * b;
    }
    squares = warp_sum(squares);
    changes = warp_sum(changes);
    products = warp_sum(products);
    if ((threadIdx.x & 31) == 0) {
        put_pair(out, to, squares);
        if (paired) {
            put_pair(out, to + 2, changes);
            put_pair(out, to + 4, products);
        }
    }
}

// Sum over a block of four warps; the first thread gets it.
__device__ __forceinline__ double block_total(double value, double* parts) {
    value = warp_sum(value);
    if ((threadIdx.x & 31) == 0) {
        parts[threadIdx.x >> 5] = value;
    }
    __syncthreads();
    return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

// The same in vectors, whose eight terms are added in f32. A block a row: x tokens, y the batch.
template <typename T, bool PAIRED>
__device__ __forceinline__ void row_moments8(Rows x, Rows before, View out, int vectors) {
    __shared__ double parts[3][4];
    const T* from = x.at<T>(blockIdx.y, blockIdx.x);
    const T* other = before.at<T>(blockIdx.y, blockIdx.x);
    double squares = 0, changes = 0, products = 0;
    for (int first = threadIdx.x; first < vectors; first += 4 * 128) {
        Eight<T> as[4], bs[4];
#pragma unroll
        for (int u = 0; u < 4; u++) {
            // loads without a condition travel together
            const int i = min(first + 128 * u, vectors - 1);
            as[u].load(from + 8 * i);
            if (PAIRED) {
                bs[u].load(other + 8 * i);
            } else {
                bs[u].clear();
            }
        }
#pragma unroll
        for (int u = 0; u < 4; u++) {
            float a[8], b[8], square = 0, change = 0, product = 0;
            if (first + 128 * u >= vectors) {
                as[u].clear();
                bs[u].clear();
            }
            as[u].widen(a);
            bs[u].widen(b);
#pragma unroll
            for (int j = 0; j < 8; j++) {
                const float d = a[j] - b[j];
                square = fmaf(a[j], a[j], square);
                change = fmaf(d, d, change);
                product = fmaf(a[j], b[j], product);
            }
            squares += square;
            if (PAIRED) {
                changes += change;
                products += product;
            }
        }
    }
    const i64 to = blockIdx.y * out.s1 + blockIdx.x * out.s2;
    squares = block_total(squares, parts[0]);
    if (PAIRED) {
        changes = block_total(changes, parts[1]);
        products = block_total(products, parts[2]);
    }
    if (threadIdx.x == 0) {
        put_pair(out, to, squares);
        if (PAIRED) {
            put_pair(out, to + 2, changes);
            put_pair(out, to + 4, products);
        }
    }
}

#define ROW_MOMENTS8(NAME, T, PAIRED)                                                                                               \
    extern "C" __global__ void __launch_bounds__(128) NAME(Rows x, Rows before, View out, int vectors) {                            \
        row_moments8<T, PAIRED>(x, before, out, vectors);                                                                           \
    }

ROW_MOMENTS8(row_energies8_f, float, false)
ROW_MOMENTS8(row_energies8_b, u16, false)
ROW_MOMENTS8(row_moments8_f, float, true)
ROW_MOMENTS8(row_moments8_b, u16, true)

// Up to eight ranges of rows, cut into slices; slice[i] is the first of range i.
struct Ranges {
    int from[8], to[8], slice[9], count;
};

enum { SLICE = 64 };

// Sums of squares by channel over a slice of rows: partial [batch, slices, width]. Blocks: x channels, y slices, z the batch.
extern "C" __global__ void channel_slices(View x, Ranges ranges, float* partial, int width) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    int range = 0;
    while (range + 1 < ranges.count && (int)blockIdx.y >= ranges.slice[range + 1]) {
        range++;
    }
    const int from = ranges.from[range] + SLICE * (blockIdx.y - ranges.slice[range]);
    const int to = min(from + SLICE, ranges.to[range]);
    if (channel < width) {
        float sum = 0;
        for (int row = from; row < to; row++) {
            const float v = get(x, blockIdx.z * x.s1 + row * x.s2 + channel);
            sum = fmaf(v, v, sum);
        }
        partial[(blockIdx.z * (i64)gridDim.y + blockIdx.y) * width + channel] = sum;
    }
}

// The same in vectors: a block takes 256 channels, each of its eight warps every eighth row. Blocks: x channels, y slices, z the batch.
template <typename T>
__device__ __forceinline__ void channel_slices8(Rows x, const Ranges& ranges, float* partial, int vectors) {
    __shared__ __align__(16) float parts[8][256];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const int vector = blockIdx.x * 32 + lane;
    int range = 0;
    while (range + 1 < ranges.count && (int)blockIdx.y >= ranges.slice[range + 1]) {
        range++;
    }
    const int from = ranges.from[range] + SLICE * (blockIdx.y - ranges.slice[range]);
    const int to = min(from + SLICE, ranges.to[range]);
    Eight<T> eights[SLICE / 8];
#pragma unroll
    for (int r = 0; r < SLICE / 8; r++) {
        // loads without a condition travel together
        eights[r].load(x.at<T>(blockIdx.z, min(from + 8 * r + warp, to - 1)) + 8 * min(vector, vectors - 1));
    }
    float sums[8] = {};
#pragma unroll
    for (int r = 0; r < SLICE / 8; r++) {
        float v[8];
        if (from + 8 * r + warp >= to) {
            eights[r].clear();
        }
        eights[r].widen(v);
#pragma unroll
        for (int j = 0; j < 8; j++) {
            sums[j] = fmaf(v[j], v[j], sums[j]);
        }
    }
    store8(&parts[warp][8 * lane], 1, sums);
    __syncthreads();
    const int channel = blockIdx.x * 256 + threadIdx.x;
    if (channel < 8 * vectors) {
        float sum = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            sum += parts[i][threadIdx.x];
        }
        partial[(blockIdx.z * (i64)gridDim.y + blockIdx.y) * 8 * vectors + channel] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(256) channel_slices8_f(Rows x, Ranges ranges, float* partial, int vectors) {
    channel_slices8<float>(x, ranges, partial, vectors);
}

extern "C" __global__ void __launch_bounds__(256) channel_slices8_b(Rows x, Ranges ranges, float* partial, int vectors) {
    channel_slices8<u16>(x, ranges, partial, vectors);
}

// Adds the slices of each range: 32 channels a block, each by eight threads. Blocks: x channels, y ranges, z the batch.
extern "C" __global__ void __launch_bounds__(256) channel_finish(const float* partial, Ranges ranges, View out, int slices, int width) {
    __shared__ double parts[8][32];
    const int lane = threadIdx.x & 31, part = threadIdx.x >> 5;
    const int channel = blockIdx.x * 32 + lane;
    const int end = ranges.slice[blockIdx.y + 1];
    double sum = 0;
    if (channel < width) {
#pragma unroll 8
        for (int slice = ranges.slice[blockIdx.y] + part; slice < end; slice += 8) {
            sum += partial[(blockIdx.z * (i64)slices + slice) * width + channel];
        }
    }
    parts[part][lane] = sum;
    __syncthreads();
    if (part == 0 && channel < width) {
        for (int i = 1; i < 8; i++) {
            sum += parts[i][lane];
        }
        put(out, blockIdx.z * out.s1 + blockIdx.y * out.s2 + channel, (float)sum);
    }
}
