// Layers of a graph network in one parallel region, forwards and backwards. Interface in C, called by kernel.py.
//
// Layer l of a pass, for n nodes of `width` channels; what is in brackets is optional:
//
//     S = scale_l P_l X  [+ R]            gather the rows of the neighbours, add the initial residual
//     Z = S            or S M_l           M_l = (1 - beta_l) I + beta_l W_l
//     A = Z            or relu(Z)
//     H = A            or A + H           skip: H is the state before dropout
//     X = H            or mask_l H        the factor 1 / (1 - p) of dropout is part of scale_(l+1)
//
// A block of BLOCK rows goes through all of these while it is in the cache. For the backward pass S is kept, and one
// bit an element that says where a gradient passes relu and mask. The masks of a block come from a random stream of
// its own, started by (key, layer, block): they depend neither on the number of threads nor on the processor.
//
// Vectors are those of the compiler (GCC, Clang): 16, 8 or 4 numbers, as the processor has them.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
enum { LANES = 16, REGISTERS = 32 };
typedef uint16_t Bits;
#elif defined(__AVX__)
#include <immintrin.h>
enum { LANES = 8, REGISTERS = 16 };
typedef uint8_t Bits;
#elif defined(__aarch64__)
enum { LANES = 4, REGISTERS = 32 };
typedef uint8_t Bits;
#else
enum { LANES = 4, REGISTERS = 16 };
typedef uint8_t Bits;
#endif

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define INLINE inline __attribute__((always_inline))

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Mask __attribute__((vector_size(4 * LANES)));  // 0 or -1
typedef float Unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));
typedef uint64_t Words __attribute__((vector_size(64)));

enum {
    BLOCK = 48,  // rows: a multiple of the rows of every tile below
    AHEAD = 8,   // stored entries of P between the one that is added and the one that is fetched
};

INLINE Vector load(const float* at) { return *reinterpret_cast<const Unaligned*>(at); }
INLINE void store(float* at, Vector value) { *reinterpret_cast<Unaligned*>(at) = value; }
INLINE Vector only(Mask where, Vector value) { return where ? value : Vector{}; }

INLINE Mask numbers() {
    Mask lane;
    UNROLL for (int i = 0; i < LANES; i++) lane[i] = 1 << i;
    return lane;
}

INLINE Mask unpack(Bits bits) { return (numbers() & static_cast<int32_t>(bits)) != 0; }

INLINE Bits pack(Mask mask) {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask);
#elif defined(__AVX__)
    return _mm256_movemask_ps((__m256)mask);
#else
    const Mask bit = mask & numbers();
    return bit[0] | bit[1] | bit[2] | bit[3];
#endif
}

// Random bytes ---------------------------------------------------------------------------------------------------------

// Eight generators SFC64 (Chris Doty-Humphrey, PractRand) side by side.
struct Stream {
    Words a, b, c, counter;

    INLINE Words next() {
        const Words out = a + b + counter;
        counter += 1;
        a = b ^ (b >> 11);
        b = c + (c << 3);
        c = ((c << 24) | (c >> 40)) + out;
        return out;
    }
};

INLINE Words mixed(Words x) {  // the finaliser of SplitMix64 (Steele, Lea & Flood 2014)
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

// `count` random bytes, a multiple of 16, of this layer and block; up to 63 more are written.
static void random_bytes(uint64_t key, int layer, int block, int count, uint8_t* out) {
    const uint64_t step = 0x9e3779b97f4a7c15u;
    const Words lane = {0, 1, 2, 3, 4, 5, 6, 7};
    const Words start = mixed(mixed(mixed(Words{} + key) + static_cast<uint64_t>(layer)) + static_cast<uint64_t>(block));
    Stream stream = {mixed(start + (3 * lane + 1) * step), mixed(start + (3 * lane + 2) * step),
                     mixed(start + (3 * lane + 3) * step), Words{} + 1};
    for (int i = 0; i < 12; i++) stream.next();
    for (int i = 0; i < count; i += 64) {
        const Words word = stream.next();
        std::memcpy(out + i, &word, 64);
    }
}

// Sparse products ------------------------------------------------------------------------------------------------------

struct Matrix {  // CSR
    const int32_t *start, *column;
    const float* value;
};

template <int VECTORS, class Use>
INLINE void gather(const Matrix& p, int row, const float* x, int width, int from, Use use) {
    Vector sum[VECTORS] = {};
    const int end = p.start[row + 1];
    for (int entry = p.start[row]; entry < end; entry++) {
        const float value = p.value[entry];
        const float* other = x + static_cast<size_t>(p.column[entry]) * width + from;
        UNROLL for (int j = 0; j < VECTORS; j++) sum[j] += value * load(other + LANES * j);
    }
    UNROLL for (int j = 0; j < VECTORS; j++) use(from + LANES * j, sum[j]);
}

// use(column, vector) for all of row `row` of P X.
template <class Use>
INLINE void propagate(const Matrix& p, int rows, int row, const float* x, int width, Use use) {
    const int last = std::min(p.start[row + 1] + AHEAD, p.start[rows]);
    for (int entry = p.start[row] + AHEAD; entry < last; entry++) {
        const float* other = x + static_cast<size_t>(p.column[entry]) * width;
        for (int j = 0; j < width; j += 16) __builtin_prefetch(other + j);
    }
    int from = 0;
    for (; from + 4 * LANES <= width; from += 4 * LANES) gather<4>(p, row, x, width, from, use);
    for (; from + 2 * LANES <= width; from += 2 * LANES) gather<2>(p, row, x, width, from, use);
    for (; from < width; from += LANES) gather<1>(p, row, x, width, from, use);
}

// Dense products -------------------------------------------------------------------------------------------------------

constexpr int WIDE = REGISTERS == 32 ? 4 : 2;  // vectors of the widest tile

constexpr int tile_rows(int vectors) {
    return REGISTERS == 32 ? (vectors == 4 ? 6 : vectors == 2 ? 12 : 16) : (vectors == 2 ? 6 : 12);
}

// sum[i][j] += sum over k < depth of a[i row_step + k k_step] b[k b_step + j LANES ...]
template <int ROWS, int VECTORS>
INLINE void multiply(const float* a, ptrdiff_t row_step, ptrdiff_t k_step, const float* b, ptrdiff_t b_step, int depth,
                     Vector (&sum)[ROWS][VECTORS]) {
    _Pragma("GCC unroll 1") for (int k = 0; k < depth; k++, a += k_step, b += b_step) {
        Vector right[VECTORS];
        UNROLL for (int j = 0; j < VECTORS; j++) right[j] = load(b + LANES * j);
        UNROLL for (int i = 0; i < ROWS; i++) {
            const float left = a[i * row_step];
            UNROLL for (int j = 0; j < VECTORS; j++) sum[i][j] += left * right[j];
        }
    }
}

template <int VECTORS, class Use>
INLINE void panel(const float* a, const float* packed, int rows, int width, int from, Use use) {
    constexpr int ROWS = tile_rows(VECTORS);
    for (int row = 0; row < rows; row += ROWS) {
        Vector sum[ROWS][VECTORS] = {};
        multiply<ROWS, VECTORS>(a + static_cast<ptrdiff_t>(row) * width, width, 1, packed + static_cast<size_t>(from) * width,
                                VECTORS * LANES, width, sum);
        const int some = std::min(ROWS, rows - row);
        UNROLL for (int i = 0; i < ROWS; i++) {
            if (i < some) {
                UNROLL for (int j = 0; j < VECTORS; j++) use(row + i, from + LANES * j, sum[i][j]);
            }
        }
    }
}

// use(row, column, vector) for all of A B: A is (rows, width), B (width, width) as `pack_weight` lays it out. Rows of A
// are read up to a whole tile.
template <class Use>
INLINE void dense(const float* a, const float* packed, int rows, int width, Use use) {
    int from = 0;
    if (WIDE == 4) {
        for (; from + 4 * LANES <= width; from += 4 * LANES) panel<4>(a, packed, rows, width, from, use);
    }
    for (; from + 2 * LANES <= width; from += 2 * LANES) panel<2>(a, packed, rows, width, from, use);
    for (; from < width; from += LANES) panel<1>(a, packed, rows, width, from, use);
}

template <int ROWS, int VECTORS>
INLINE void outer_tile(const float* s, const float* g, int rows, int width, int i, int j, float* total) {
    Vector sum[ROWS][VECTORS];
    float* at = total + static_cast<size_t>(i) * width + j;
    UNROLL for (int p = 0; p < ROWS; p++) UNROLL for (int q = 0; q < VECTORS; q++)
        sum[p][q] = load(at + static_cast<ptrdiff_t>(p) * width + LANES * q);
    multiply<ROWS, VECTORS>(s + i, 1, width, g + j, width, rows, sum);
    UNROLL for (int p = 0; p < ROWS; p++) UNROLL for (int q = 0; q < VECTORS; q++)
        store(at + static_cast<ptrdiff_t>(p) * width + LANES * q, sum[p][q]);
}

// total += S^T G, (width, width).
static void outer(const float* s, const float* g, int rows, int width, float* total) {
    constexpr int ROWS = REGISTERS == 32 ? 8 : 4;
    int j = 0;
    for (; j + 2 * LANES <= width; j += 2 * LANES)
        for (int i = 0; i < width; i += ROWS) outer_tile<ROWS, 2>(s, g, rows, width, i, j, total);
    for (; j < width; j += LANES)
        for (int i = 0; i < width; i += 2 * ROWS) outer_tile<2 * ROWS, 1>(s, g, rows, width, i, j, total);
}

// The layers of a pass -------------------------------------------------------------------------------------------------

extern "C" {

struct Pool {  // the functions of the OpenMP library that torch has loaded
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);
    void (*barrier)();
    int (*thread)();
    int (*threads)();
};

struct Layers {
    Pool pool;
    int32_t threads;  // at most
    int32_t nodes, width, channels;  // width: channels, padded to a multiple of 16
    int32_t first, count;            // layers first .. first + count - 1 of the network
    int32_t relu;
    int32_t dropped;  // of 256 values of a random byte
    uint64_t key;     // of the masks
    const Matrix *forward, *backward;  // P_l and its transpose, by layer
    const float *scale, *beta;         // by layer
    const float* weight;               // W_l, (count, channels, channels), or null
    const float* residual;             // (nodes, width), or null
    float* skip;                       // (nodes, width), or null: H, written over; in the backward pass its gradient
    const float* x;                    // input of the first layer, or gradient of the output, (nodes, width)
    float *out, *one, *other;          // (nodes, width): X of the last layer, or gradient of x; two buffers
    float* support;                    // S by layer, (count, blocks * BLOCK, width), or null
    Bits *passed, *kept;               // by layer, (count, nodes, width / LANES), or null
    float* grad_residual;              // added to
    float* grad_weight;                // (count, channels, channels)
    float* work;                       // of `layers_work` numbers
};

}  // extern "C"

static size_t work_of_thread(int width) {
    return 2 * BLOCK * static_cast<size_t>(width) + BLOCK * static_cast<size_t>(width) / 4 + 16 +
           2 * static_cast<size_t>(width) * width;
}

namespace {

// A thread's view of a pass. WIDTH is the width if it is known when this is compiled, else 0.
template <int WIDTH>
struct Worker {
    const Layers& pass;
    const int blocks, threads, thread, begin, end;
    float *shared, *scratch, *gradient, *partial;
    uint8_t* random;

    Worker(const Layers& pass, int threads, int thread)
        : pass(pass), blocks((pass.nodes + BLOCK - 1) / BLOCK), threads(threads), thread(thread),
          begin(static_cast<int64_t>(blocks) * thread / threads),
          end(static_cast<int64_t>(blocks) * (thread + 1) / threads), shared(pass.work) {
        const size_t block = static_cast<size_t>(BLOCK) * width();
        scratch = pass.work + 2 * square() + thread * work_of_thread(width());
        gradient = scratch + block;
        partial = gradient + block;
        random = reinterpret_cast<uint8_t*>(partial + 2 * square());
    }

    int width() const { return WIDTH ? WIDTH : pass.width; }
    int rows(int block) const { return std::min<int>(BLOCK, pass.nodes - block * BLOCK); }
    size_t square() const { return static_cast<size_t>(width()) * width(); }
    size_t at(int row) const { return static_cast<size_t>(row) * width(); }
    float* packed(int layer) const { return shared + (layer & 1) * square(); }
    float* sums(int layer) const { return partial + (layer & 1) * square(); }
    float* support(int layer, int block) const {
        return pass.support ? pass.support + (static_cast<size_t>(layer) * blocks + block) * BLOCK * width() : scratch;
    }
    Bits* bits(Bits* of, int layer, int row) const {
        return of ? of + (static_cast<size_t>(layer) * pass.nodes + row) * (width() / LANES) : nullptr;
    }

    // Lay out this thread's part of M_l, or of its transpose, as `dense` reads it: panel after panel of columns.
    void pack_weight(int layer, bool transposed) const {
        if (!pass.weight || layer < 0 || layer >= pass.count) return;
        const int f = pass.channels, width = this->width();
        const float* w = pass.weight + static_cast<size_t>(layer) * f * f;
        const float beta = pass.beta[layer];
        float* to = packed(layer);
        for (int from = 0, size = WIDE * LANES; from < width; from += size) {
            while (from + size > width) size /= 2;
            for (int k = width * thread / threads; k < width * (thread + 1) / threads; k++) {
                float* row = to + static_cast<size_t>(from) * width + static_cast<size_t>(k) * size;
                for (int i = 0; i < size; i++) {
                    const int c = from + i;
                    const float value = k >= f || c >= f ? 0.0f : beta * (transposed ? w[static_cast<size_t>(c) * f + k] : w[static_cast<size_t>(k) * f + c]);
                    row[i] = k == c && k < f ? value + (1.0f - beta) : value;
                }
            }
        }
    }

    void forward_block(int layer, int block, const float* x, float* out) const {
        const int first = block * BLOCK, count = rows(block), width = this->width(), dropped = pass.dropped;
        const bool relu = pass.relu;
        const float scale = pass.scale[layer];
        const Matrix p = pass.forward[layer];
        const float* residual = pass.residual ? pass.residual + at(first) : nullptr;
        float *s = support(layer, block), *skip = pass.skip ? pass.skip + at(first) : nullptr;
        Bits *passes = bits(pass.passed, layer, first), *keeps = bits(pass.kept, layer, first);
        const uint8_t* bytes = random;
        out += at(first);
        for (int r = 0; r < count; r++) {
            float* to = s + r * width;
            const float* added = residual ? residual + r * width : nullptr;
            propagate(p, pass.nodes, first + r, x, width, [&](int c, Vector sum) {
                store(to + c, added ? scale * sum + load(added + c) : scale * sum);
            });
        }
        if (dropped) random_bytes(pass.key, pass.first + layer, block, count * width, random);
        const auto finish = [=](int r, int c, Vector z) {
            const int here = r * width + c;
            Mask passed = ~Mask{}, kept = passed;
            if (relu) {
                passed = (z <= 0.0f) == 0;  // NaN passes: a run that diverges has to be seen
                z = only(passed, z);
            }
            if (dropped) {
                Bytes random;
                std::memcpy(&random, bytes + here, LANES);
                kept = __builtin_convertvector(random, Mask) >= dropped;
            }
            if (skip) {
                z += load(skip + here);
                store(skip + here, z);
                if (keeps) keeps[here / LANES] = pack(kept);
            } else {
                passed &= kept;
            }
            if (passes) passes[here / LANES] = pack(passed);
            store(out + here, only(kept, z));
        };
        if (pass.weight) {
            std::fill(s + count * width, s + BLOCK * width, 0.0f);
            dense(s, packed(layer), count, width, finish);
        } else {
            for (int r = 0; r < count; r++)
                for (int c = 0; c < width; c += LANES) finish(r, c, load(s + r * width + c));
        }
    }

    void forward() const {
        pack_weight(0, false);
        pass.pool.barrier();
        const float* x = pass.x;
        for (int layer = 0; layer < pass.count; layer++) {
            float* out = layer == pass.count - 1 ? pass.out : layer & 1 ? pass.one : pass.other;
            pack_weight(layer + 1, false);
            for (int block = begin; block < end; block++) forward_block(layer, block, x, out);
            x = out;
            pass.pool.barrier();
        }
    }

    // The gradient of Z for a block, from that of the layer's output: given, or to be gathered from the layer above.
    void gradient_block(int layer, int block, const float* grad, bool given) const {
        const int first = block * BLOCK, count = rows(block), width = this->width();
        const Bits *passes = bits(pass.passed, layer, first), *keeps = bits(pass.kept, layer, first);
        float *to = gradient, *skip = pass.skip ? pass.skip + at(first) : nullptr;
        const auto finish = [=](int here, Vector d) {
            if (skip) {
                if (keeps) d = only(unpack(keeps[here / LANES]), d);
                d += load(skip + here);
                store(skip + here, d);
            }
            store(to + here, passes ? only(unpack(passes[here / LANES]), d) : d);
        };
        if (given) {
            for (int here = 0; here < count * width; here += LANES) finish(here, load(grad + at(first) + here));
            return;
        }
        const float scale = pass.scale[layer + 1];
        const Matrix p = pass.backward[layer + 1];
        for (int r = 0; r < count; r++)
            propagate(p, pass.nodes, first + r, grad, width, [=](int c, Vector sum) { finish(r * width + c, scale * sum); });
    }

    void backward_block(int layer, int block, float* out) const {
        const int first = block * BLOCK, count = rows(block), width = this->width();
        float* total = pass.grad_residual ? pass.grad_residual + at(first) : nullptr;
        out += at(first);
        const auto finish = [=](int r, int c, Vector d) {
            const int here = r * width + c;
            store(out + here, d);
            if (total) store(total + here, load(total + here) + d);
        };
        if (pass.weight) {
            std::fill(gradient + count * width, gradient + BLOCK * width, 0.0f);
            outer(support(layer, block), gradient, count, width, sums(layer));
            dense(gradient, packed(layer), count, width, finish);
        } else {
            for (int r = 0; r < count; r++)
                for (int c = 0; c < width; c += LANES) finish(r, c, load(gradient + r * width + c));
        }
    }

    // Add up the threads' sums of a layer's weight gradient, this thread's part of the rows.
    void reduce(int layer) const {
        if (!pass.weight || layer >= pass.count) return;
        const int f = pass.channels;
        const float beta = pass.beta[layer], *first = pass.work + 2 * square() + (sums(layer) - scratch);
        for (int k = f * thread / threads; k < f * (thread + 1) / threads; k++) {
            float* to = pass.grad_weight + (static_cast<size_t>(layer) * f + k) * f;
            for (int c = 0; c < f; c++) {
                float sum = 0.0f;
                for (int t = 0; t < threads; t++) sum += first[t * work_of_thread(width()) + at(k) + c];
                to[c] = beta * sum;
            }
        }
    }

    void backward() const {
        pack_weight(pass.count - 1, true);
        pass.pool.barrier();
        const float* grad = pass.x;
        for (int layer = pass.count - 1; layer >= 0; layer--) {
            float* out = layer & 1 ? pass.one : pass.other;
            pack_weight(layer - 1, true);
            reduce(layer + 1);
            if (pass.weight) std::fill(sums(layer), sums(layer) + square(), 0.0f);
            for (int block = begin; block < end; block++) {
                gradient_block(layer, block, grad, layer == pass.count - 1);
                backward_block(layer, block, out);
            }
            grad = out;
            pass.pool.barrier();
        }
        reduce(0);
        const float scale = pass.scale[0];
        const Matrix p = pass.backward[0];
        const int width = this->width();
        for (int row = begin * BLOCK; row < std::min<int>(end * BLOCK, pass.nodes); row++) {
            float* to = pass.out + at(row);
            propagate(p, pass.nodes, row, grad, width, [=](int c, Vector sum) { store(to + c, scale * sum); });
        }
    }
};

template <int WIDTH, bool FORWARD>
void work(void* pass) {
    const Layers& layers = *static_cast<const Layers*>(pass);
    const Worker<WIDTH> worker(layers, layers.pool.threads(), layers.pool.thread());
    if (FORWARD) {
        worker.forward();
    } else {
        worker.backward();
    }
}

template <bool FORWARD>
void run(const Layers* pass) {
    const int width = pass->width;
    const auto of_width = width == 16 ? work<16, FORWARD> : width == 32 ? work<32, FORWARD> : width == 64 ? work<64, FORWARD> : work<0, FORWARD>;
    pass->pool.parallel(of_width, const_cast<Layers*>(pass), pass->threads, 0);
}

}  // namespace

extern "C" {

// Numbers that a vector holds: `passed` and `kept` have one Bits for each.
int32_t layers_lanes() { return LANES; }

int32_t layers_block() { return BLOCK; }

// Numbers that `work` has to hold.
size_t layers_work(int32_t width, int32_t threads) {
    return 2 * static_cast<size_t>(width) * width + threads * work_of_thread(width);
}

void layers_forward(const Layers* pass) { run<true>(pass); }

void layers_backward(const Layers* pass) { run<false>(pass); }

// The random bytes of a layer's mask, (nodes, width), for tests: an element is dropped where its byte < `dropped`. Up to
// 63 more are written.
void layers_random(uint64_t key, int32_t layer, int32_t nodes, int32_t width, uint8_t* out) {
    for (int32_t row = 0; row < nodes; row += BLOCK) {
        const int32_t count = std::min<int32_t>(BLOCK, nodes - row) * width;
        random_bytes(key, layer, row / BLOCK, count, out + static_cast<size_t>(row) * width);
    }
}

}  // extern "C"
