// The layers of a DepthNet on one image, for any processor that g++ knows; built by native.py.
//
// Maps are rows of pixels, each with its channels side by side and `ld` floats to the next pixel.
// Every pixel has room for its channels rounded up to 8, so vectors are written whole: what falls
// past the last channel is zero times a weight, and is written over or never read.

#include <algorithm>
#include <vector>

namespace {

typedef float Vector __attribute__((vector_size(32), aligned(4), may_alias));
typedef int Bits __attribute__((vector_size(32), aligned(4), may_alias));

constexpr long LANES = 8;
constexpr long CACHED = 64 * 1024;  // floats of a ring: half of a usual second-level cache
constexpr float SCALE = 1.0507009873554805f, ALPHA = 1.6732632423543772f;

inline Vector& at(float* place) { return *reinterpret_cast<Vector*>(place); }
inline Vector at(const float* place) { return *reinterpret_cast<const Vector*>(place); }

// Keeps a vector in a register: g++ would read it from memory again for each of its products.
inline void hold(Vector& vector) {
#ifdef __AVX__
    asm("" : "+x"(vector));
#endif
}

inline long whole(long channels) { return (channels + LANES - 1) / LANES * LANES; }

// e^x - 1 = 2^n (e^r - 1) + (2^n - 1) with x = n ln 2 + r, which loses no digits near zero; e^r - 1
// by its Taylor series to r^6, which leaves 1.3e-7 at |r| = ln 2 / 2. Below -20 nothing changes.
// NaN stays NaN, in x - low, and minus infinity becomes it.
inline Vector selu(Vector x) {
    const Vector zero = {};
    const float round = 12582912.f;  // 1.5 * 2^23: adding it leaves an integer in the low bits
    const Vector low = x < zero ? x : zero;
    const Vector clamped = low > zero - 20.f ? low : zero - 20.f;
    const Vector shifted = clamped * 1.44269504f + round;
    const Vector r = clamped - (shifted - round) * 0.693147181f;
    const Vector power = (Vector)(((Bits)shifted << 23) + 0x3f800000);
    const Vector square = r * r;
    const Vector tail = (r * (1.f / 6) + .5f) +
                        square * ((r * (1.f / 120) + 1.f / 24) + square * (1.f / 720));
    return SCALE * (x - low) + SCALE * ALPHA * (power * (square * tail + r) + (power - 1.f));
}

// What a convolution reads: `rows` rows of `row` floats each, `next` floats apart, and the pixel
// beside it `ld` floats on. A 1x1 convolution reads one row of its channels.
struct Window {
    long rows, row, next, ld;
};

struct Finish {
    bool add, activate;  // to what is there; SELU
};

template <int PIXELS, int VECTORS>
void block(const float* x, const Window& window, const float* weights, float* y, long ldy,
           Finish finish) {
    Vector sums[PIXELS][VECTORS];
    for (int p = 0; p < PIXELS; ++p)
        for (int v = 0; v < VECTORS; ++v) {
            sums[p][v] = at(weights + v * LANES);
            if (finish.add) sums[p][v] += at(y + p * ldy + v * LANES);
        }
    weights += VECTORS * LANES;
    for (long i = 0; i < window.rows; ++i)
        for (long j = 0; j < window.row; ++j, weights += VECTORS * LANES) {
            Vector weight[VECTORS];
            for (int v = 0; v < VECTORS; ++v) hold(weight[v] = at(weights + v * LANES));
            for (int p = 0; p < PIXELS; ++p) {
                const float one = x[i * window.next + p * window.ld + j];
                for (int v = 0; v < VECTORS; ++v) sums[p][v] += one * weight[v];
            }
        }
    if (finish.activate)
        for (int p = 0; p < PIXELS; ++p)
            for (int v = 0; v < VECTORS; ++v) sums[p][v] = selu(sums[p][v]);
    for (int p = 0; p < PIXELS; ++p)
        for (int v = 0; v < VECTORS; ++v) at(y + p * ldy + v * LANES) = sums[p][v];
}

// One panel of output channels for a run of pixels. The last block reaches back over pixels that
// are done, unless it adds: then what is left goes one by one.
template <int PIXELS, int VECTORS>
void panel(const float* x, const Window& window, long pixels, const float* weights, float* y,
           long ldy, Finish finish) {
    long done = 0;
    for (; done + PIXELS <= pixels; done += PIXELS)
        block<PIXELS, VECTORS>(x + done * window.ld, window, weights, y + done * ldy, ldy, finish);
    if (done < pixels && done > 0 && !finish.add) {
        done = pixels - PIXELS;
        block<PIXELS, VECTORS>(x + done * window.ld, window, weights, y + done * ldy, ldy, finish);
        return;
    }
    for (; done < pixels; ++done)
        block<1, VECTORS>(x + done * window.ld, window, weights, y + done * ldy, ldy, finish);
}

// A matrix product: a run of pixels times packed weights. Twelve sums stay in registers.
void product(const float* x, const Window& window, long pixels, const float* weights, float* y,
             long ldy, long outputs, Finish finish) {
    const long depth = window.rows * window.row + 1;  // the bias stands first
    for (long left = whole(outputs); left > 0;) {
        const long width = std::min(left, 3 * LANES);
        const auto run = width == LANES       ? panel<12, 1>
                         : width == 2 * LANES ? panel<6, 2>
                                              : panel<4, 3>;
        run(x, window, pixels, weights, y, ldy, finish);
        weights += depth * width;
        y += width;
        left -= width;
    }
}

// Pixels [from, to) of one row of maps upsampled by two, bilinearly, corners not aligned.
void upsample(const float* x, long ld, long h, long w, long row, long from, long to, long channels,
              float* y, long ldy) {
    const auto source = [](long place, long size, long& a, long& b) {
        a = std::max((place + 1) / 2 - 1, 0L);
        b = std::min((place + 1) / 2, size - 1);
        return place % 2 ? .25f : .75f;  // the weight of b
    };
    long up, down, left, right;
    const float below = source(row, h, up, down);
    for (long place = from; place < to; ++place, y += ldy) {
        const float beside = source(place, w, left, right);
        const float *a = x + (up * w + left) * ld, *b = x + (up * w + right) * ld;
        const float *c = x + (down * w + left) * ld, *d = x + (down * w + right) * ld;
        for (long e = 0; e < channels; e += LANES)
            at(y + e) = (1 - below) * ((1 - beside) * at(a + e) + beside * at(b + e)) +
                        below * ((1 - beside) * at(c + e) + beside * at(d + e));
    }
}

template <int SIDE, int PIXELS>
void filter(const std::vector<const float*>& rows, long place, long stride, long side,
            const float* weights, float* y) {
    if (SIDE) side = SIDE;
    Vector sums[PIXELS];
    for (int p = 0; p < PIXELS; ++p) sums[p] = at(weights);
    for (long i = 0; i < side; ++i)
        for (long j = 0; j < side; ++j) {
            const Vector weight = at(weights + (1 + i * side + j) * LANES);
            for (int p = 0; p < PIXELS; ++p)
                sums[p] += weight * at(rows[i] + place + (p + j) * stride);
        }
    for (int p = 0; p < PIXELS; ++p) at(y + place + p * stride) = selu(sums[p]);
}

// A row of pixels through depthwise windows and SELU; a window of `SIDE`, or of any side if 0.
template <int SIDE>
void filter_row(const std::vector<const float*>& rows, long stride, long pixels, long channels,
                const float* weights, float* y, long side) {
    for (long e = 0; e < channels; e += LANES, weights += (side * side + 1) * LANES) {
        long p = 0;
        for (; p + 4 <= pixels; p += 4)
            filter<SIDE, 4>(rows, p * stride + e, stride, side, weights, y);
        for (; p < pixels; ++p) filter<SIDE, 1>(rows, p * stride + e, stride, side, weights, y);
    }
}

}  // namespace

extern "C" {

// y: h x w x outputs = [SELU] of a convolution with a window of side x side pixels at `step`, of x:
// rows of `row` pixels, already padded; plus, if `low`, maps at half the size, upsampled.
void convolve(const float* x, long ld, long row, long side, long step, long inputs,
              const float* weights, const float* low, long low_ld, float* y, long ldy, long h,
              long w, long outputs, long activate) {
    const bool pointwise = side == 1 && step == 1;
    if (pointwise && !low) {
        w *= h;
        h = 1;
    }
    const Window window{side, pointwise ? inputs : side * ld, row * ld, step * ld};
    const long run = std::max(48L, 4096 / (side * window.row) / 12 * 12);
    for (long i = 0; i < h; ++i)
        for (long from = 0; from < w; from += run) {
            const long pixels = std::min(run, w - from);
            float* out = y + (i * w + from) * ldy;
            if (low)
                upsample(low, low_ld, h / 2, w / 2, i, from, from + pixels, whole(outputs), out,
                         ldy);
            product(x + (i * step * row + from * step) * ld, window, pixels, weights, out, ldy,
                    outputs, {low != nullptr, activate != 0});
        }
}

// y: h x w x outputs = project(SELU(depthwise(SELU(expand(x) [+ low upsampled])))).
//
// No expanded map is ever whole: a ring of `side` expanded rows stays in cache, and wide maps are
// cut into columns that keep it there.
void expand_project(const float* x, long ld, long inputs, const float* expand, const float* low,
                    long low_ld, long expanded, long side, const float* depthwise,
                    const float* project, float* y, long ldy, long h, long w, long outputs) {
    const long stride = whole(expanded) | LANES;  // an odd number of vectors spreads over cache sets
    const long reach = side / 2;
    const long columns = std::min(w, std::max(16L, CACHED / (side * stride) - 2 * reach));
    const long length = (columns + 2 * reach) * stride;
    std::vector<float> ring(side * length), line(columns * stride);
    std::vector<const float*> rows(side);
    const Window window{1, inputs, 0, ld}, filtered{1, expanded, 0, stride};
    const auto run = side == 3 ? filter_row<3> : side == 5 ? filter_row<5> : filter_row<0>;
    for (long left = 0; left < w; left += columns) {
        const long pixels = std::min(columns, w - left);
        const long from = std::max(left - reach, 0L), to = std::min(left + pixels + reach, w);
        std::fill(ring.begin(), ring.end(), 0.f);
        for (long i = 0; i < h + reach; ++i) {
            float* row = ring.data() + i % side * length;
            float* place = row + (from - left + reach) * stride;
            if (i >= h) {
                std::fill(row, row + length, 0.f);
            } else {
                if (low)
                    upsample(low, low_ld, h / 2, w / 2, i, from, to, whole(expanded), place,
                             stride);
                product(x + (i * w + from) * ld, window, to - from, expand, place, stride, expanded,
                        {low != nullptr, true});
            }
            if (i < reach) continue;
            for (long k = 0; k < side; ++k)  // the row after the newest is the oldest
                rows[k] = ring.data() + (i + 1 + k) % side * length;
            run(rows, stride, pixels, expanded, depthwise, line.data(), side);
            product(line.data(), filtered, pixels, project, y + ((i - reach) * w + left) * ldy, ldy,
                    outputs, {false, false});
        }
    }
}

// y: h x w x channels = the means of 2 x 2 pixels of x.
void pool(const float* x, long ld, float* y, long ldy, long h, long w, long channels) {
    for (long i = 0; i < h; ++i)
        for (long j = 0; j < w; ++j) {
            const float* a = x + (i * 2 * w + j) * 2 * ld;
            const float* b = a + 2 * w * ld;
            for (long e = 0; e < channels; e += LANES)
                at(y + (i * w + j) * ldy + e) =
                    (at(a + e) + at(a + ld + e) + at(b + e) + at(b + ld + e)) * .25f;
        }
}
}
