// How softmax(q k^T / sqrt(headDim)) is spread over groups of keys, and its entropy: 64 queries of a head a block, keys 64 at a time,
// with an online softmax as in attention.cu.
#include "common.cuh"

enum { TILE = 64, DEPTH = 16, MOST_GROUPS = 64 };

// out [batch, heads * queries, 1 + groups]: the entropy, then the shares. Of the groups first .. first + count, the entropy with the
// first of them. Blocks: x queries, y heads, z the batch.
extern "C" __global__ void __launch_bounds__(256) attention_shares(View q, View k, View out, const int* groups, int queries, int keys,
        int headDim, int first, int count, float scale) {
    __shared__ float qs[DEPTH][TILE + 4];
    __shared__ float ks[DEPTH][TILE + 4];
    __shared__ float ps[TILE][TILE + 1];
    __shared__ float sums[MOST_GROUPS][TILE];
    __shared__ float fades[TILE], totals[TILE];
    __shared__ int groupOf[TILE];
    const int firstQuery = blockIdx.x * TILE, head = blockIdx.y, batch = blockIdx.z;
    const int tx = threadIdx.x & 15, ty = threadIdx.x >> 4;
    const i64 column = (i64)head * headDim;
    float most[4], total[4], weighted[4];
    for (int i = 0; i < 4; i++) {
        most[i] = -INF;
        total[i] = 0;
        weighted[i] = 0;
    }
    for (int i = threadIdx.x; i < count * TILE; i += 256) {
        sums[i / TILE][i % TILE] = 0;
    }
    for (int firstKey = 0; firstKey < keys; firstKey += TILE) {
        const int width = min(TILE, keys - firstKey);
        if (threadIdx.x < width) {
            groupOf[threadIdx.x] = groups[firstKey + threadIdx.x] - first;
        }
        float s[4][4] = {};
        for (int c = 0; c < headDim; c += DEPTH) {
            for (int j = 0; j < 4; j++) {
                const int r = ty + 16 * j, query = firstQuery + r, key = firstKey + r, channel = c + tx;
                qs[tx][r] = query < queries && channel < headDim ? get(q, batch * q.s1 + query * q.s2 + column + channel) : 0.0f;
                ks[tx][r] = key < keys && channel < headDim ? get(k, batch * k.s1 + key * k.s2 + column + channel) : 0.0f;
            }
            __syncthreads();
            for (int d = 0; d < DEPTH; d++) {
                float a[4], b[4];
                for (int j = 0; j < 4; j++) {
                    a[j] = qs[d][ty * 4 + j];
                    b[j] = ks[d][tx * 4 + j];
                }
                for (int i = 0; i < 4; i++) {
                    for (int j = 0; j < 4; j++) {
                        s[i][j] += a[i] * b[j];
                    }
                }
            }
            __syncthreads();
        }
        // sixteen threads of a warp hold a query's scores
        for (int i = 0; i < 4; i++) {
            float highest = -INF;
            for (int j = 0; j < 4; j++) {
                s[i][j] = tx * 4 + j < width ? s[i][j] * scale : -INF;
                highest = fmaxf(highest, s[i][j]);
            }
            for (int offset = 8; offset > 0; offset >>= 1) {
                highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, offset));
            }
            const float next = fmaxf(most[i], highest);
            const float fade = most[i] == -INF ? 0.0f : expf(most[i] - next);
            if (most[i] != -INF) {
                weighted[i] = fade * (weighted[i] + total[i] * (most[i] - next));
                total[i] *= fade;
            }
            for (int j = 0; j < 4; j++) {
                const float below = s[i][j] == -INF ? 0.0f : s[i][j] - next;
                const float p = s[i][j] == -INF ? 0.0f : expf(below);
                ps[ty * 4 + i][tx * 4 + j] = p;
                total[i] += p;
                weighted[i] += p * below;
            }
            most[i] = next;
            if (tx == 0) {
                fades[ty * 4 + i] = fade;
            }
        }
        __syncthreads();
        // a thread a query, all walking the same keys, whose neighbours mostly are of one group
        if (threadIdx.x < TILE) {
            const float fade = fades[threadIdx.x];
            for (int g = 0; g < count; g++) {
                sums[g][threadIdx.x] *= fade;
            }
            for (int key = 0; key < width;) {
                const int group = groupOf[key];
                float sum = 0;
                while (key < width && groupOf[key] == group) {
                    sum += ps[threadIdx.x][key++];
                }
                if (group >= 0 && group < count) {
                    sums[group][threadIdx.x] += sum;
                }
            }
        }
        __syncthreads();
    }
    for (int i = 0; i < 4; i++) {
        for (int offset = 8; offset > 0; offset >>= 1) {
            total[i] += __shfl_xor_sync(0xffffffffu, total[i], offset);
            weighted[i] += __shfl_xor_sync(0xffffffffu, weighted[i], offset);
        }
        const int query = firstQuery + ty * 4 + i;
        if (tx == 0) {
            totals[ty * 4 + i] = total[i];
            if (first == 0 && query < queries) {
                const float entropy = logf(total[i]) - weighted[i] / total[i], largest = logf((float)keys);
                // rounding may leave it a little outside its bounds; NaN stays NaN
                put(out, batch * out.s1 + ((i64)head * queries + query) * out.s2,
                        entropy < 0 ? 0.0f : entropy > largest ? largest : entropy);
            }
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count * TILE; i += 256) {
        const int g = i % count, r = i / count, query = firstQuery + r;
        if (query < queries) {
            put(out, batch * out.s1 + ((i64)head * queries + query) * out.s2 + 1 + first + g, sums[g][r] / totals[r]);
        }
    }
}
