// softmax(q k^T / sqrt(headDim)) v in bf16 on tensor cores, with an online softmax, scores and sums in f32 (the scheme of
// FlashAttention 2): a warp keeps 16 queries of a head in registers, keys and values pass through a ring of three tiles in shared
// memory.
#include "common.cuh"

// Keys in a tile.
#define KEYS 64

__device__ __forceinline__ unsigned shared_address(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }

__device__ __forceinline__ void load_matrices(unsigned (&to)[4], unsigned from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
            : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(from) : "memory");
}

__device__ __forceinline__ void load_transposed(unsigned (&to)[4], unsigned from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
            : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(from) : "memory");
}

// sum += a b for 16 rows, a depth of 16 and 8 columns.
__device__ __forceinline__ void multiply(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ unsigned pack(float low, float high) {
    unsigned both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

__device__ __forceinline__ float power_of_two(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// What was fetched since the last call forms a group.
__device__ __forceinline__ void fetched() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until all groups but the latest so many have arrived.
template <int LATEST>
__device__ __forceinline__ void arrived() {
    asm volatile("cp.async.wait_group %0;" :: "n"(LATEST) : "memory");
}

// Where the 8 channels from 8 * chunk on of a row lie in a tile: rotated, so that 8 rows of one chunk lie in different banks.
template <int CHANNELS>
__device__ __forceinline__ int place(int row, int chunk) { return row * CHANNELS + ((chunk ^ (row & 7)) << 3); }

// Rows of a head from first on into a tile, without waiting where they lie on 16 bytes; zeros outside rows and headDim.
template <int CHANNELS, int ROWS, int THREADS>
__device__ __forceinline__ void fetch(u16* tile, const u16* p, i64 stride, int first, int rows, int headDim, bool aligned) {
    const int CHUNKS = CHANNELS / 8, STEP = THREADS / CHUNKS;
    const int r = threadIdx.x / CHUNKS, c = threadIdx.x % CHUNKS;
    const int left = c * 8 < headDim ? rows - first - r : 0;
    const u16* from = p + (first + r) * stride + c * 8;
    if (aligned) {
        const unsigned to = shared_address(tile + place<CHANNELS>(r, c));
#pragma unroll
        for (int i = 0; i < ROWS; i += STEP) {
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(to + i * CHANNELS * 2), "l"(from),
                    "r"(i < left ? 16 : 0) : "memory");
            from += STEP * stride;
        }
    } else {
#pragma unroll 1
        for (int i = 0; i < ROWS; i += STEP) {
            u16* to = tile + place<CHANNELS>(r + i, c);
#pragma unroll 1
            for (int e = 0; e < 8; e++) {
                to[e] = i < left && c * 8 + e < headDim ? from[e] : (u16)0;
            }
            from += STEP * stride;
        }
    }
}

// CHANNELS: those of a head, padded. valid: keys each batch element has. scale: times log2 e.
template <int CHANNELS, int WARPS>
__device__ __forceinline__ void attend(const View& q, const View& k, const View& v, const View& out, const Counts& valid,
        int queries, int keys, int headDim, int heads, int group, int causal, float scale, int alignedIn, int alignedOut) {
    const int QUERIES = 16 * WARPS, THREADS = 32 * WARPS, STEPS = CHANNELS / 16, TILE = KEYS * CHANNELS;
    __shared__ __align__(128) u16 tiles[(2 + QUERIES / KEYS) * TILE];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, batch = blockIdx.y;
    const int count = (queries + QUERIES - 1) / QUERIES;
    const int head = causal ? blockIdx.x % heads : blockIdx.x / count;
    int turn = causal ? blockIdx.x / heads : blockIdx.x % count;
    if (causal) {
        // the last queries have the most to do: they start first, and share a multiprocessor with the first queries
        const int late = (count + 1) / 2;
        turn = turn < late ? count - 1 - turn : turn - late;
    }
    const int firstQuery = QUERIES * turn;
    const u16* qp = (const u16*)q.p + batch * q.s1 + (i64)head * headDim;
    const u16* kp = (const u16*)k.p + batch * k.s1 + (i64)(head / group) * headDim;
    const u16* vp = (const u16*)v.p + batch * v.s1 + (i64)(head / group) * headDim;
    const int limit = min(keys, valid.n[batch]);
    const int end = causal ? min(limit, min(firstQuery + QUERIES, queries)) : limit;
    const int row = firstQuery + warp * 16 + (lane >> 2);

    // the four 8 x 8 matrices of one load: by rows, then channels for q and v, by channels, then rows for k
    const int rowsFirst = lane & 15, chunkSecond = lane >> 4;
    const int rowsSecond = (lane & 7) + ((lane & 16) >> 1), chunkFirst = (lane >> 3) & 1;
    int now = 0, next = TILE, spare = 2 * TILE;
    fetch<CHANNELS, QUERIES, THREADS>(tiles + spare, qp, q.s2, firstQuery, queries, headDim, alignedIn);
    fetched();
    fetch<CHANNELS, KEYS, THREADS>(tiles + now, kp, k.s2, 0, end, headDim, alignedIn);
    fetched();
    fetch<CHANNELS, KEYS, THREADS>(tiles + next, vp, v.s2, 0, end, headDim, alignedIn);
    fetched();
    unsigned a[STEPS][4];
    arrived<2>();
    __syncthreads();
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
        load_matrices(a[step], shared_address(tiles + spare + place<CHANNELS>(warp * 16 + rowsFirst, 2 * step + chunkSecond)));
    }
    float sums[CHANNELS / 8][4] = {}, most[2] = {-INF, -INF}, total[2] = {};
    for (int first = 0; first < end; first += KEYS) {
        arrived<1>();
        __syncthreads();
        if (first + KEYS < end) {
            fetch<CHANNELS, KEYS, THREADS>(tiles + spare, kp, k.s2, first + KEYS, end, headDim, alignedIn);
        }
        fetched();
        float s[KEYS / 8][4] = {};
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
#pragma unroll
            for (int n = 0; n < KEYS / 16; n++) {
                unsigned b[4];
                load_matrices(b, shared_address(tiles + now + place<CHANNELS>(16 * n + rowsSecond, 2 * step + chunkFirst)));
                multiply(s[2 * n], a[step], b[0], b[1]);
                multiply(s[2 * n + 1], a[step], b[2], b[3]);
            }
        }
        // only tiles at the end of what a query sees hold keys that it does not
        if (first + KEYS > (causal ? min(limit, firstQuery + warp * 16 + 1) : limit)) {
            const int seen0 = causal ? min(limit, row + 1) : limit, seen1 = causal ? min(limit, row + 9) : limit;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
                const int key = first + 8 * n + 2 * (lane & 3);
                s[n][0] = key < seen0 ? s[n][0] : -INF;
                s[n][1] = key + 1 < seen0 ? s[n][1] : -INF;
                s[n][2] = key < seen1 ? s[n][2] : -INF;
                s[n][3] = key + 1 < seen1 ? s[n][3] : -INF;
            }
        }
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float highest = most[h];
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
                highest = fmaxf(highest, fmaxf(s[n][2 * h], s[n][2 * h + 1]));
            }
            highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, 1));
            highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, 2));
            const float base = highest == -INF ? 0.0f : highest * scale;
            const float fade = power_of_two(most[h] * scale - base);
            most[h] = highest;
            float sum = 0;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
                s[n][2 * h] = power_of_two(s[n][2 * h] * scale - base);
                s[n][2 * h + 1] = power_of_two(s[n][2 * h + 1] * scale - base);
                sum += s[n][2 * h] + s[n][2 * h + 1];
            }
            total[h] = total[h] * fade + sum;
#pragma unroll
            for (int n = 0; n < CHANNELS / 8; n++) {
                sums[n][2 * h] *= fade;
                sums[n][2 * h + 1] *= fade;
            }
        }
        arrived<1>();
        __syncthreads();
        if (first + KEYS < end) {
            fetch<CHANNELS, KEYS, THREADS>(tiles + now, vp, v.s2, first + KEYS, end, headDim, alignedIn);
        }
        fetched();
#pragma unroll
        for (int step = 0; step < KEYS / 16; step++) {
            const unsigned p[4] = {pack(s[2 * step][0], s[2 * step][1]), pack(s[2 * step][2], s[2 * step][3]),
                pack(s[2 * step + 1][0], s[2 * step + 1][1]), pack(s[2 * step + 1][2], s[2 * step + 1][3])};
#pragma unroll
            for (int n = 0; n < CHANNELS / 16; n++) {
                unsigned b[4];
                load_transposed(b, shared_address(tiles + next + place<CHANNELS>(16 * step + rowsFirst, 2 * n + chunkSecond)));
                multiply(sums[2 * n], p, b[0], b[1]);
                multiply(sums[2 * n + 1], p, b[2], b[3]);
            }
        }
        // the tile of the values just used is free, the next keys lie in what was spare, the next values where the keys lay
        const int used = next;
        next = now;
        now = spare;
        spare = used;
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float all = total[h];
        all += __shfl_xor_sync(0xffffffffu, all, 1);
        all += __shfl_xor_sync(0xffffffffu, all, 2);
        const float share = all == 0 ? 0.0f : 1 / all;
        const int query = row + 8 * h;
        u16* to = (u16*)out.p + batch * out.s1 + query * out.s2 + (i64)head * headDim;
        if (query < queries) {
#pragma unroll
            for (int n = 0; n < CHANNELS / 8; n++) {
                const int channel = 8 * n + 2 * (lane & 3);
                const unsigned both = pack(sums[n][2 * h] * share, sums[n][2 * h + 1] * share);
                if (alignedOut && channel < headDim) {
                    *(unsigned*)(to + channel) = both;
                } else if (channel < headDim) {
                    to[channel] = (u16)both;
                    if (channel + 1 < headDim) {
                        to[channel + 1] = (u16)(both >> 16);
                    }
                }
            }
        }
    }
}

#define ATTENTION(name, channels, warps, blocks) \
    extern "C" __global__ __launch_bounds__(32 * warps, blocks) void name(View q, View k, View v, View out, \
            const __grid_constant__ Counts valid, int queries, int keys, int headDim, int heads, int group, int causal, \
            float scale, int alignedIn, int alignedOut) { \
        attend<channels, warps>(q, k, v, out, valid, queries, keys, headDim, heads, group, causal, scale, alignedIn, alignedOut); \
    }

ATTENTION(heads_64, 64, 4, 3)
ATTENTION(heads_128, 128, 4, 3)
