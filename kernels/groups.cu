// Normalisation of pictures [batch, height, width, channels] by groups of neighbouring channels; a row is a pixel.
#include "common.cuh"

// 16 bytes of a pixel's channels, as f32 in registers.
template <typename T> struct Wide;

template <> struct Wide<float> {
    static const int N = 4;

    static __device__ __forceinline__ void unpack(const uint4& raw, float* v) {
        v[0] = __uint_as_float(raw.x);
        v[1] = __uint_as_float(raw.y);
        v[2] = __uint_as_float(raw.z);
        v[3] = __uint_as_float(raw.w);
    }

    static __device__ __forceinline__ uint4 pack(const float* v) {
        return make_uint4(__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]), __float_as_uint(v[3]));
    }

    static __device__ __forceinline__ float silu_of(float x) { return silu(x); }
};

template <> struct Wide<u16> {
    static const int N = 8;

    static __device__ __forceinline__ void unpack(const uint4& raw, float* v) {
        const unsigned pairs[4] = {raw.x, raw.y, raw.z, raw.w};
        for (int i = 0; i < 4; i++) {
            v[2 * i] = __uint_as_float(pairs[i] << 16);
            v[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
        }
    }

    static __device__ __forceinline__ unsigned pair(float low, float high) {
        unsigned bits;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
        return bits;
    }

    static __device__ __forceinline__ uint4 pack(const float* v) {
        return make_uint4(pair(v[0], v[1]), pair(v[2], v[3]), pair(v[4], v[5]), pair(v[6], v[7]));
    }

    // within 2e-6 of the value, a thousandth of a step of bf16
    static __device__ __forceinline__ float silu_of(float x) { return __fdividef(x, 1.0f + __expf(-x)); }
};

// Where the pixels of one picture lie, in elements from its first.
struct Pixels {
    i64 row, pixel;
    unsigned width;
    bool even;

    __device__ Pixels(const View& v) : row(v.s1), pixel(v.s2), width((unsigned)v.d2), even(v.s1 == v.d2 * v.s2) {}

    __device__ __forceinline__ i64 at(unsigned p) const {
        return even ? p * pixel : (i64)(p / width) * row + (i64)(p % width) * pixel;
    }
};

// A thread's sums of differences from its first values' mean, so that nothing cancels: at most as many bits are lost as the
// values outnumber the first ones.
struct Moments {
    float shift, sum, squares;

    __device__ __forceinline__ void add(float v) {
        const float d = v - shift;
        sum += d;
        squares += d * d;
    }

    __device__ float mean(float count) const { return shift + sum / count; }

    __device__ float spread(float count) const { return fmaxf(squares - sum * (sum / count), 0.0f); }
};

// Mean and sum of squared distances from it of a part of the pixels: partials [batch, groups, parts, 2]; block x is the part.
// A thread reads the same 16 bytes of every so manieth pixel, which span GROUPS groups or a piece of one; threads that share a
// group are merged in order, in f64. Block y is the batch element.
template <typename T, int GROUPS>
__device__ void moments_wide(const View& x, double* partials, int pixels, int channels, int size, float* means, float* spreads) {
    const int N = Wide<T>::N, EACH = N / GROUPS;
    const int lanes = channels / N, rows = blockDim.x / lanes, lane = threadIdx.x % lanes, row = threadIdx.x / lanes;
    const int each = (pixels + gridDim.x - 1) / gridDim.x;
    const int first = min((int)blockIdx.x * each, pixels), last = min(first + each, pixels);
    const Pixels place(x);
    const T* from = (const T*)x.p + blockIdx.y * x.s0 + lane * N;
    Moments moments[GROUPS];
    int count = 0;
    if (row < rows && first + row < last) {
        float v[N];
        Wide<T>::unpack(*(const uint4*)(from + place.at(first + row)), v);
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            float sum = 0;
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                sum += v[g * EACH + i];
            }
            moments[g].shift = sum / EACH;
            moments[g].sum = 0;
            moments[g].squares = 0;
        }
        const int AHEAD = 4;
        int p = first + row;
        for (; p + (AHEAD - 1) * rows < last; p += AHEAD * rows) {
            uint4 raw[AHEAD];
#pragma unroll
            for (int j = 0; j < AHEAD; j++) {
                raw[j] = *(const uint4*)(from + place.at(p + j * rows));
            }
#pragma unroll
            for (int j = 0; j < AHEAD; j++) {
                Wide<T>::unpack(raw[j], v);
#pragma unroll
                for (int i = 0; i < N; i++) {
                    moments[i / EACH].add(v[i]);
                }
            }
        }
        for (; p < last; p += rows) {
            Wide<T>::unpack(*(const uint4*)(from + place.at(p)), v);
#pragma unroll
            for (int i = 0; i < N; i++) {
                moments[i / EACH].add(v[i]);
            }
        }
        count = EACH * ((last - first - row + rows - 1) / rows);
    }
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
        means[g * blockDim.x + threadIdx.x] = count ? moments[g].mean((float)count) : 0.0f;
        spreads[g * blockDim.x + threadIdx.x] = count ? moments[g].spread((float)count) : 0.0f;
    }
    __syncthreads();
    const int groups = channels / size, lanesEach = size > N ? size / N : 1;
    for (int group = threadIdx.x; group < groups; group += blockDim.x) {
        const int part = (group % GROUPS) * blockDim.x + (GROUPS > 1 ? group / GROUPS : group * lanesEach);
        double sum = 0, all = 0, spread = 0;
        for (int r = 0; r < rows && first + r < last; r++) {
            const int counted = EACH * ((last - first - r + rows - 1) / rows);
            for (int l = 0; l < lanesEach; l++) {
                sum += (double)counted * means[part + r * lanes + l];
                all += counted;
            }
        }
        const double mean = all > 0 ? sum / all : 0.0;
        for (int r = 0; r < rows && first + r < last; r++) {
            const int counted = EACH * ((last - first - r + rows - 1) / rows);
            for (int l = 0; l < lanesEach; l++) {
                const double off = means[part + r * lanes + l] - mean;
                spread += spreads[part + r * lanes + l] + counted * off * off;
            }
        }
        double* to = partials + (((i64)blockIdx.y * groups + group) * gridDim.x + blockIdx.x) * 2;
        to[0] = mean;
        to[1] = spread;
    }
}

// spans: groups that 16 bytes span.
extern "C" __global__ __launch_bounds__(256) void group_moments_wide(View x, double* partials, int pixels, int channels, int size,
        int spans) {
    __shared__ float means[8 * 256];
    __shared__ float spreads[8 * 256];
    if (x.type == BF16) {
        switch (spans) {
            case 1: return moments_wide<u16, 1>(x, partials, pixels, channels, size, means, spreads);
            case 2: return moments_wide<u16, 2>(x, partials, pixels, channels, size, means, spreads);
            case 4: return moments_wide<u16, 4>(x, partials, pixels, channels, size, means, spreads);
            default: return moments_wide<u16, 8>(x, partials, pixels, channels, size, means, spreads);
        }
    }
    switch (spans) {
        case 1: return moments_wide<float, 1>(x, partials, pixels, channels, size, means, spreads);
        case 2: return moments_wide<float, 2>(x, partials, pixels, channels, size, means, spreads);
        default: return moments_wide<float, 4>(x, partials, pixels, channels, size, means, spreads);
    }
}

// As group_moments_wide for any type, place and size of groups; block y is the group, block z the batch element.
extern "C" __global__ void group_moments(View x, double* partials, int pixels, int channels, int size) {
    const int each = (pixels + gridDim.x - 1) / gridDim.x;
    const int first = min((int)blockIdx.x * each, pixels), last = min(first + each, pixels);
    const Pixels place(x);
    const i64 from = blockIdx.z * x.s0 + (i64)blockIdx.y * size;
    Moments moments = {0, 0, 0};
    int count = 0;
    for (i64 e = threadIdx.x; e < (i64)(last - first) * size; e += blockDim.x) {
        const float v = get(x, from + place.at((unsigned)(first + e / size)) + e % size);
        if (count++ == 0) {
            moments.shift = v;
        }
        moments.add(v);
    }
    const double mine = count ? moments.mean((float)count) : 0.0f;
    const double all = (double)(last - first) * size;
    const double mean = block_sum(count * mine) / (all > 0 ? all : 1);
    const double spread = block_sum(count ? moments.spread((float)count) + count * (mine - mean) * (mine - mean) : 0.0);
    if (threadIdx.x == 0) {
        double* to = partials + (((i64)blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x) * 2;
        to[0] = mean;
        to[1] = spread;
    }
}

// The parts' moments as one mean and variance, merged in a fixed order; block x is the group, y the batch element.
extern "C" __global__ void group_finish(const double* partials, View moments, int pixels, int size, int parts) {
    const double* from = partials + ((i64)blockIdx.y * gridDim.x + blockIdx.x) * parts * 2;
    const int each = (pixels + parts - 1) / parts;
    double sum = 0;
    for (int i = threadIdx.x; i < parts; i += blockDim.x) {
        sum += from[2 * i] * max(0, min(each, pixels - i * each));
    }
    const double mean = block_sum(sum) / pixels;
    double spread = 0;
    for (int i = threadIdx.x; i < parts; i += blockDim.x) {
        const double off = from[2 * i] - mean;
        spread += from[2 * i + 1] + (double)size * max(0, min(each, pixels - i * each)) * off * off;
    }
    const double variance = block_sum(spread) / ((double)pixels * size);
    if (threadIdx.x == 0) {
        put(moments, moments.row(2 * (i64)blockIdx.y) + blockIdx.x, (float)mean);
        put(moments, moments.row(2 * (i64)blockIdx.y + 1) + blockIdx.x, (float)variance);
    }
}

extern "C" __global__ void group_norm(View x, View moments, View weight, View bias, View out, i64 pixels, int channels, int size,
        int shared, int withSilu, float eps) {
    const i64 row = blockIdx.x;
    const i64 batch = shared ? 0 : row / pixels;
    const i64 means = moments.row(2 * batch), variances = moments.row(2 * batch + 1);
    const i64 from = x.row(row), to = out.row(row);
    for (int i = threadIdx.x; i < channels; i += blockDim.x) {
        const int group = i / size;
        const float factor = 1.0f / sqrtf(get(moments, variances + group) + eps);
        const float v = (get(x, from + i) - get(moments, means + group)) * factor * get(weight, i) + get(bias, i);
        put(out, to + i, withSilu ? silu(v) : v);
    }
}

// A thread normalises the same 16 bytes of every so manieth pixel of its block's part; block y is the batch element.
template <typename T, bool SILU>
__device__ void norm_wide(const View& x, const View& moments, const View& weight, const View& bias, const View& out, int pixels,
        int channels, int size, int shared, float eps) {
    const int N = Wide<T>::N;
    const int lanes = channels / N, rows = blockDim.x / lanes, lane = threadIdx.x % lanes, row = threadIdx.x / lanes;
    if (row >= rows) {
        return;
    }
    const i64 batch = shared ? 0 : blockIdx.y;
    const i64 means = moments.row(2 * batch), variances = moments.row(2 * batch + 1);
    float mean[N], factor[N], offset[N];
#pragma unroll
    for (int i = 0; i < N; i++) {
        const int channel = lane * N + i, group = channel / size;
        mean[i] = get(moments, means + group);
        factor[i] = 1.0f / sqrtf(get(moments, variances + group) + eps) * get(weight, channel);
        offset[i] = get(bias, channel);
    }
    const Pixels place(x), target(out);
    const T* from = (const T*)x.p + blockIdx.y * x.s0 + lane * N;
    T* to = (T*)out.p + blockIdx.y * out.s0 + lane * N;
    const int each = (pixels + gridDim.x - 1) / gridDim.x;
    const int first = min((int)blockIdx.x * each, pixels), last = min(first + each, pixels);
    const int AHEAD = 4;
    for (int p = first + row; p < last; p += AHEAD * rows) {
        uint4 raw[AHEAD];
#pragma unroll
        for (int j = 0; j < AHEAD; j++) {
            if (p + j * rows < last) {
                raw[j] = *(const uint4*)(from + place.at(p + j * rows));
            }
        }
#pragma unroll
        for (int j = 0; j < AHEAD; j++) {
            if (p + j * rows < last) {
                float v[N];
                Wide<T>::unpack(raw[j], v);
#pragma unroll
                for (int i = 0; i < N; i++) {
                    v[i] = (v[i] - mean[i]) * factor[i] + offset[i];
                    v[i] = SILU ? Wide<T>::silu_of(v[i]) : v[i];
                }
                *(uint4*)(to + target.at(p + j * rows)) = Wide<T>::pack(v);
            }
        }
    }
}

extern "C" __global__ __launch_bounds__(256) void group_norm_wide(View x, View moments, View weight, View bias, View out, int pixels,
        int channels, int size, int shared, int withSilu, float eps) {
    if (x.type == BF16) {
        return withSilu ? norm_wide<u16, true>(x, moments, weight, bias, out, pixels, channels, size, shared, eps)
                : norm_wide<u16, false>(x, moments, weight, bias, out, pixels, channels, size, shared, eps);
    }
    return withSilu ? norm_wide<float, true>(x, moments, weight, bias, out, pixels, channels, size, shared, eps)
            : norm_wide<float, false>(x, moments, weight, bias, out, pixels, channels, size, shared, eps);
}
