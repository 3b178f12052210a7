// softmax(q k^T / sqrt(headDim)) v in f32 with an online softmax: 64 queries of a head a block, keys 64 at a time.
#include "common.cuh"

// CHUNKS: 64-wide pieces of a head that the output is kept in. valid: keys each batch element has.
template <int CHUNKS>
__device__ void attend(const View& q, const View& k, const View& v, const View& out, const Counts& valid, int queries, int keys,
        int headDim, int group, int causal, float scale) {
    const int TILE = 64, DEPTH = 16;
    __shared__ float qs[DEPTH][TILE + 4];
    __shared__ float ks[DEPTH][TILE + 4];
    __shared__ float ps[TILE][TILE + 1];
    __shared__ float vs[TILE][TILE];
    const int firstQuery = blockIdx.x * TILE, head = blockIdx.y, batch = blockIdx.z;
    const int tx = threadIdx.x & 15, ty = threadIdx.x >> 4;
    const i64 qHead = (i64)head * headDim, kHead = (i64)(head / group) * headDim;
    const int limit = min(keys, valid.n[batch]);
    const int lastQuery = min(firstQuery + TILE, queries) - 1;
    const int end = causal ? min(limit, lastQuery + 1) : limit;
    float acc[CHUNKS][4][4];
    float most[4], total[4];
    for (int i = 0; i < 4; i++) {
        most[i] = -INF;
        total[i] = 0;
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
        for (int i = 0; i < 16; i++) {
            acc[c][i / 4][i % 4] = 0;
        }
    }
    for (int firstKey = 0; firstKey < end; firstKey += TILE) {
        float s[4][4] = {};
        for (int c = 0; c < headDim; c += DEPTH) {
            for (int j = 0; j < 4; j++) {
                const int r = ty + 16 * j, query = firstQuery + r, key = firstKey + r, channel = c + tx;
                qs[tx][r] = query < queries && channel < headDim ? get(q, batch * q.s1 + query * q.s2 + qHead + channel) : 0.0f;
                ks[tx][r] = key < keys && channel < headDim ? get(k, batch * k.s1 + key * k.s2 + kHead + channel) : 0.0f;
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
        for (int i = 0; i < 4; i++) {
            const int query = firstQuery + ty * 4 + i;
            const int seen = causal ? min(limit, query + 1) : limit;
            float highest = -INF;
            for (int j = 0; j < 4; j++) {
                s[i][j] = firstKey + tx * 4 + j < seen ? s[i][j] * scale : -INF;
                highest = fmaxf(highest, s[i][j]);
            }
            for (int offset = 8; offset > 0; offset >>= 1) {
                highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, offset));
            }
            const float next = fmaxf(most[i], highest);
            const float fade = next == -INF ? 1.0f : expf(most[i] - next);
            float sum = 0;
            for (int j = 0; j < 4; j++) {
                const float p = s[i][j] == -INF ? 0.0f : expf(s[i][j] - next);
                ps[ty * 4 + i][tx * 4 + j] = p;
                sum += p;
            }
            for (int offset = 8; offset > 0; offset >>= 1) {
                sum += __shfl_xor_sync(0xffffffffu, sum, offset);
            }
            total[i] = total[i] * fade + sum;
            most[i] = next;
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
                for (int j = 0; j < 4; j++) {
                    acc[c][i][j] *= fade;
                }
            }
        }
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            if (c * TILE < headDim) {
                for (int e = threadIdx.x; e < TILE * TILE; e += 256) {
                    const int key = firstKey + e / TILE, channel = c * TILE + e % TILE;
                    vs[e / TILE][e % TILE] = key < end && channel < headDim
                            ? get(v, batch * v.s1 + key * v.s2 + kHead + channel) : 0.0f;
                }
                __syncthreads();
                for (int key = 0; key < TILE; key++) {
                    float a[4], b[4];
                    for (int j = 0; j < 4; j++) {
                        a[j] = ps[ty * 4 + j][key];
                        b[j] = vs[key][tx * 4 + j];
                    }
                    for (int i = 0; i < 4; i++) {
                        for (int j = 0; j < 4; j++) {
                            acc[c][i][j] += a[i] * b[j];
                        }
                    }
                }
                __syncthreads();
            }
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        for (int i = 0; i < 4; i++) {
            const int query = firstQuery + ty * 4 + i;
            for (int j = 0; j < 4; j++) {
                const int channel = c * TILE + tx * 4 + j;
                if (query < queries && channel < headDim) {
                    put(out, batch * out.s1 + query * out.s2 + qHead + channel, total[i] == 0 ? 0.0f : acc[c][i][j] / total[i]);
                }
            }
        }
    }
}

#define ATTENTION(name, chunks) \
    extern "C" __global__ __launch_bounds__(256) void name(View q, View k, View v, View out, \
            const __grid_constant__ Counts valid, int queries, int keys, int headDim, int group, int causal, float scale) { \
        attend<chunks>(q, k, v, out, valid, queries, keys, headDim, group, causal, scale); \
    }

ATTENTION(attention_64, 1)
ATTENTION(attention_128, 2)
ATTENTION(attention_256, 4)
ATTENTION(attention_512, 8)
