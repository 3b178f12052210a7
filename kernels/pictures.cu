// Operations on pictures [batch, height, width, channels]; a row is a pixel.
#include "common.cuh"

// Cross-correlation as a product: pixels of out by kernels, in tiles of 64 by 64 that 256 threads compute 4 by 4.
// weight is [outChannels, kernelHeight, kernelWidth, in].
extern "C" __global__ __launch_bounds__(256) void conv2d(View x, View weight, View bias, View out, i64 pixels, int height,
        int width, int in, int outHeight, int outWidth, int outChannels, int kernelHeight, int kernelWidth, int stride,
        int top, int left, int biased) {
    const int TILE = 64, DEPTH = 16;
    __shared__ float xs[DEPTH][TILE + 4];
    __shared__ float ws[DEPTH][TILE + 4];
    const i64 firstPixel = (i64)blockIdx.x * TILE;
    const int firstOut = blockIdx.y * TILE;
    const int tx = threadIdx.x & 15, ty = threadIdx.x >> 4;
    float sums[4][4] = {};
    // each thread stages channel tx of pixels and kernels ty, ty + 16, ..
    int py[4], px[4];
    i64 pb[4];
    for (int j = 0; j < 4; j++) {
        const i64 pixel = firstPixel + ty + 16 * j;
        px[j] = (int)(pixel % outWidth) * stride - left;
        py[j] = (int)(pixel / outWidth % outHeight) * stride - top;
        pb[j] = pixel < pixels ? pixel / outWidth / outHeight : -1;
    }
    for (int ky = 0; ky < kernelHeight; ky++) {
        for (int kx = 0; kx < kernelWidth; kx++) {
            i64 from[4];
            for (int j = 0; j < 4; j++) {
                const int yy = py[j] + ky, xx = px[j] + kx;
                const bool inside = pb[j] >= 0 && yy >= 0 && yy < height && xx >= 0 && xx < width;
                from[j] = inside ? pb[j] * x.s0 + yy * x.s1 + xx * x.s2 : -1;
            }
            for (int c = 0; c < in; c += DEPTH) {
                const int channel = c + tx;
                for (int j = 0; j < 4; j++) {
                    const int o = firstOut + ty + 16 * j;
                    xs[tx][ty + 16 * j] = from[j] >= 0 && channel < in ? get(x, from[j] + channel) : 0.0f;
                    ws[tx][ty + 16 * j] = o < outChannels && channel < in
                            ? get(weight, (((i64)o * kernelHeight + ky) * kernelWidth + kx) * in + channel) : 0.0f;
                }
                __syncthreads();
                for (int k = 0; k < DEPTH; k++) {
                    float a[4], b[4];
                    for (int j = 0; j < 4; j++) {
                        a[j] = xs[k][ty * 4 + j];
                        b[j] = ws[k][tx * 4 + j];
                    }
                    for (int i = 0; i < 4; i++) {
                        for (int j = 0; j < 4; j++) {
                            sums[i][j] += a[i] * b[j];
                        }
                    }
                }
                __syncthreads();
            }
        }
    }
    for (int i = 0; i < 4; i++) {
        const i64 pixel = firstPixel + ty * 4 + i;
        if (pixel >= pixels) {
            continue;
        }
        const i64 to = out.row(pixel);
        for (int j = 0; j < 4; j++) {
            const int o = firstOut + tx * 4 + j;
            if (o < outChannels) {
                put(out, to + o, sums[i][j] + (biased ? get(bias, o) : 0.0f));
            }
        }
    }
}

// Pixels first.. of a convolution's result as rows of what its kernel sees there: out [pixels, kernelHeight, kernelWidth, in].
// Block x is a pixel, block y a place in the kernel.
extern "C" __global__ void columns(View x, View out, i64 first, int height, int width, int in, int outHeight, int outWidth,
        int kernelWidth, int stride, int top, int left) {
    const i64 pixel = first + blockIdx.x;
    const i64 batch = pixel / outWidth / outHeight;
    const int y = (int)(pixel / outWidth % outHeight) * stride - top + blockIdx.y / kernelWidth;
    const int column = (int)(pixel % outWidth) * stride - left + blockIdx.y % kernelWidth;
    const bool inside = y >= 0 && y < height && column >= 0 && column < width;
    const i64 from = batch * x.s0 + y * x.s1 + column * x.s2;
    const i64 to = ((i64)blockIdx.x * gridDim.y + blockIdx.y) * in;
    for (int c = threadIdx.x; c < in; c += blockDim.x) {
        put(out, to + c, inside ? get(x, from + c) : 0.0f);
    }
}

// Block x is a pixel of out.
extern "C" __global__ void upsample(View x, View out, int height, int width, int channels) {
    const i64 row = blockIdx.x;
    const i64 column = row % (2 * width) / 2, y = row / (2 * width) % (2 * height) / 2, batch = row / (2 * width) / (2 * height);
    const i64 from = x.row((batch * height + y) * width + column), to = out.row(row);
    for (int i = threadIdx.x; i < channels; i += blockDim.x) {
        put(out, to + i, get(x, from + i));
    }
}

// A thread copies 16 bytes of a pixel of x to the four it becomes; lanes of them a pixel. Block y is a row of x, z the batch element.
extern "C" __global__ void upsample_wide(View x, View out, int width, int lanes) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x, column = i / lanes, lane = i % lanes;
    if (column >= (unsigned)width) {
        return;
    }
    const int bytes = x.type == F32 ? 4 : 2;
    const char* from = (const char*)x.p + bytes * (blockIdx.z * x.s0 + blockIdx.y * x.s1 + column * x.s2) + 16 * lane;
    char* to = (char*)out.p + bytes * (blockIdx.z * out.s0 + 2 * blockIdx.y * out.s1 + 2 * column * out.s2) + 16 * lane;
    const uint4 value = *(const uint4*)from;
    *(uint4*)to = value;
    *(uint4*)(to + bytes * out.s2) = value;
    *(uint4*)(to + bytes * out.s1) = value;
    *(uint4*)(to + bytes * (out.s1 + out.s2)) = value;
}

// The first channels of each pixel of x.
extern "C" __global__ void first_channels(View x, View out, i64 pixels, int channels) {
    const i64 e = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (e < pixels * channels) {
        const i64 pixel = e / channels;
        const int c = (int)(e % channels);
        put(out, out.row(pixel) + c, get(x, x.row(pixel) + c));
    }
}
