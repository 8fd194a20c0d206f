// What stands between the products of a layer, each in one pass over memory. Compiled once for each type of weights, ELEMENT (WIDE
// is 1 where that is float); sums and everything that is not a weight, a key or a value is float. All arrays stand without gaps.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

typedef ELEMENT T;

#define THREADS 128
#define COLUMNS THREADS // of keys, whose scores a block holds at a time
#define WARPS (THREADS / 32)
#define AHEAD 4 // keys or values that a lane waits for at a time
#define ALL 0xffffffffu
#define NOT_FINITE 0xffffffffu

__device__ inline float wide(float x) { return x; }
__device__ inline float wide(__half x) { return __half2float(x); }
__device__ inline float wide(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline void narrow(float x, float *to) { *to = x; }
__device__ inline void narrow(float x, __half *to) { *to = __float2half_rn(x); }
__device__ inline void narrow(float x, __nv_bfloat16 *to) { *to = __float2bfloat16_rn(x); }

// So many values that are read or written at once.
template <typename I, int V> struct alignas(sizeof(I) * V) Pack {
  I x[V];
};

// ---- attention

struct Span {
  unsigned slot, column, count;
};

// What rows have read together already: of each row and head the greatest score and the sum of weights [rows, heads], and the
// mean of values that they give [rows, heads, width].
struct Shared {
  const float *most, *total;
  const T *values;
};

// Of one row and up to G of the heads that share keys: the softmax over all columns of the row's spans, COLUMNS at a time, and
// the sum of values (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"). Keys and values are read by
// subgroups of lanes, a column each, V elements a lane at once and P times.
//   q, out [rows, heads, width]; pool [2, kv_heads, slots, width]
//   spans: where each row's end; whether it has read something already; then three numbers a span
template <int G, int V, int P>
__device__ void attend(const T *q, const T *pool, T *out, const unsigned *ends, const float *slopes, Shared shared,
                       float scale, unsigned rows, unsigned heads, unsigned kv_heads, unsigned width, unsigned slots) {
  extern __shared__ __align__(16) float room[];
  float *queries = room;                    // [G][width], in an order that lanes read side by side
  float *scores = queries + G * width;      // [G][COLUMNS]
  float *sums = scores + G * COLUMNS;       // [WARPS][G][width]
  __shared__ unsigned slot[COLUMNS];
  __shared__ float column[COLUMNS];
  __shared__ float most[G], total[G], factor[G];
  unsigned t = threadIdx.x, row = blockIdx.x, kv = blockIdx.y;
  unsigned group = heads / kv_heads, first_head = blockIdx.z * G, active = min(G, (int)(group - first_head));
  size_t at = ((size_t)row * heads + kv * group + first_head) * width;
  unsigned vectors = width / V, lanes = 1;
  while (lanes < vectors && lanes < 32) lanes *= 2;
  unsigned lane = t % lanes, sub = t / lanes, subs = THREADS / lanes;
  constexpr int Q = V < 4 ? V : 4;
  auto place = [&](unsigned g, unsigned v, unsigned e) { return g * width + e / Q * vectors * Q + v * Q + e % Q; };

  for (unsigned i = t; i < G * width; i += THREADS) {
    unsigned g = i / width, d = i % width;
    queries[place(g, d / V, d % V)] = g < active ? wide(q[at + i]) : 0.f;
  }
  bool begun = shared.most && ends[rows + row];
  size_t head = (size_t)row * heads + kv * group + first_head;
  if (t < G) {
    most[t] = begun && t < active ? shared.most[head + t] : -INFINITY;
    total[t] = begun && t < active ? shared.total[head + t] : 0.f;
  }
  const Span *spans = (const Span *)(ends + 2 * rows);
  unsigned begin = row ? ends[row - 1] : 0, end = ends[row], count = 0;
  for (unsigned s = begin; s < end; s++) count += spans[s].count;
  const T *keys = pool + (size_t)kv * slots * width, *values = pool + (size_t)(kv_heads + kv) * slots * width;
  float acc[G][P * V] = {};
  if (begun && sub == 0) {
#pragma unroll
    for (int p = 0; p < P; p++) {
      unsigned v = lane + p * lanes;
#pragma unroll
      for (int g = 0; g < G; g++)
#pragma unroll
        for (int e = 0; e < V; e++)
          if (v < vectors && g < active)
            acc[g][p * V + e] = shared.total[head + g] * wide(shared.values[at + g * width + v * V + e]);
    }
  }

  for (unsigned base = 0; base < count; base += COLUMNS) {
    unsigned n = min(count - base, COLUMNS);
    __syncthreads();
    if (t < n) {
      unsigned i = base + t, s = begin;
      while (i >= spans[s].count) i -= spans[s++].count;
      slot[t] = spans[s].slot + i;
      column[t] = spans[s].column + i;
    }
    __syncthreads();
    // A subgroup asks for AHEAD keys before it uses the first; what lies behind the last is read twice and left.
    for (unsigned first = sub; first - sub < n; first += AHEAD * subs) {
      float dot[AHEAD][G] = {};
#pragma unroll
      for (int p = 0; p < P; p++) {
        unsigned v = lane + p * lanes;
        if (v >= vectors) break;
        Pack<T, V> k[AHEAD];
#pragma unroll
        for (int u = 0; u < AHEAD; u++)
          k[u] = ((const Pack<T, V> *)(keys + (size_t)slot[min(first + u * subs, n - 1)] * width))[v];
#pragma unroll
        for (int g = 0; g < G; g++)
#pragma unroll
          for (int quad = 0; quad < V / Q; quad++) {
            Pack<float, Q> some = *(const Pack<float, Q> *)(queries + place(g, v, quad * Q));
#pragma unroll
            for (int u = 0; u < AHEAD; u++)
#pragma unroll
              for (int e = 0; e < Q; e++) dot[u][g] += wide(k[u].x[quad * Q + e]) * some.x[e];
          }
      }
#pragma unroll
      for (int u = 0; u < AHEAD; u++) {
        unsigned c = first + u * subs;
#pragma unroll
        for (int g = 0; g < G; g++) {
          for (unsigned o = lanes / 2; o; o /= 2) dot[u][g] += __shfl_xor_sync(ALL, dot[u][g], o);
          if (lane == 0 && c < n) {
            float bias = slopes && g < active ? slopes[kv * group + first_head + g] * column[c] : 0.f;
            scores[g * COLUMNS + c] = dot[u][g] * scale + bias;
          }
        }
      }
    }
    __syncthreads();
    for (unsigned g = t / 32; g < G; g += WARPS) {
      float *some = scores + g * COLUMNS, before = most[g], greatest = before, sum = 0.f;
      for (unsigned c = t % 32; c < n; c += 32) greatest = fmaxf(greatest, some[c]);
      for (unsigned o = 16; o; o /= 2) greatest = fmaxf(greatest, __shfl_xor_sync(ALL, greatest, o));
      for (unsigned c = t % 32; c < n; c += 32) {
        some[c] = expf(some[c] - greatest);
        sum += some[c];
      }
      for (unsigned o = 16; o; o /= 2) sum += __shfl_xor_sync(ALL, sum, o);
      __syncwarp();
      if (t % 32 == 0) {
        most[g] = greatest;
        factor[g] = expf(before - greatest);
        total[g] = total[g] * factor[g] + sum;
      }
    }
    __syncthreads();
#pragma unroll
    for (int g = 0; g < G; g++)
#pragma unroll
      for (int e = 0; e < P * V; e++) acc[g][e] *= factor[g];
    for (unsigned first = sub; first < n; first += AHEAD * subs) {
#pragma unroll
      for (int p = 0; p < P; p++) {
        unsigned v = lane + p * lanes;
        if (v >= vectors) break;
        Pack<T, V> x[AHEAD];
#pragma unroll
        for (int u = 0; u < AHEAD; u++)
          x[u] = ((const Pack<T, V> *)(values + (size_t)slot[min(first + u * subs, n - 1)] * width))[v];
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
          unsigned c = first + u * subs;
#pragma unroll
          for (int g = 0; g < G; g++) {
            float weight = c < n ? scores[g * COLUMNS + c] : 0.f;
#pragma unroll
            for (int e = 0; e < V; e++) acc[g][p * V + e] += weight * wide(x[u].x[e]);
          }
        }
      }
    }
  }

#pragma unroll
  for (int g = 0; g < G; g++)
#pragma unroll
    for (int p = 0; p < P; p++) {
      unsigned v = lane + p * lanes;
#pragma unroll
      for (int e = 0; e < V; e++) {
        float sum = acc[g][p * V + e];
        for (unsigned o = lanes; o < 32; o *= 2) sum += __shfl_xor_sync(ALL, sum, o);
        if (t % 32 < lanes && v < vectors) sums[(t / 32 * G + g) * width + v * V + e] = sum;
      }
    }
  __syncthreads();
  for (unsigned i = t; i < active * width; i += THREADS) {
    float sum = 0.f;
    for (unsigned warp = 0; warp < WARPS; warp++) sum += sums[warp * G * width + i];
    // Of nothing at all: zeros.
    narrow(total[i / width] == 0.f ? 0.f : sum / total[i / width], out + at + i);
  }
}

#define ATTEND(G, V, P)                                                                                                \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                \
      attend_##G##_##V##_##P(const T *q, const T *pool, T *out, const unsigned *ends, const float *slopes,             \
                             const float *most, const float *total, const T *values, float scale, unsigned rows,       \
                             unsigned heads, unsigned kv_heads, unsigned width, unsigned slots) {                      \
    attend<G, V, P>(q, pool, out, ends, slopes, {most, total, values}, scale, rows, heads, kv_heads, width, slots);    \
  }
#define ATTEND_ALL(V, P) ATTEND(1, V, P) ATTEND(4, V, P) ATTEND(8, V, P)
#if WIDE
ATTEND_ALL(4, 1)
ATTEND_ALL(4, 2)
#else
ATTEND_ALL(8, 1)
#endif
ATTEND_ALL(1, 8)

// ---- attention of many rows over one block of columns: two products, and between them

__device__ float sum_of_block(float sum) {
  __shared__ float sums[32];
  for (unsigned o = 16; o; o /= 2) sum += __shfl_xor_sync(ALL, sum, o);
  __syncthreads();
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = threadIdx.x % 32 < blockDim.x / 32 ? sums[threadIdx.x % 32] : 0.f;
  for (unsigned o = 16; o; o /= 2) sum += __shfl_xor_sync(ALL, sum, o);
  return sum;
}

__device__ float most_of_block(float most) {
  __shared__ float all[32];
  for (unsigned o = 16; o; o /= 2) most = fmaxf(most, __shfl_xor_sync(ALL, most, o));
  __syncthreads();
  if (threadIdx.x % 32 == 0) all[threadIdx.x / 32] = most;
  __syncthreads();
  most = all[threadIdx.x % (blockDim.x / 32)];
  for (unsigned o = 16; o; o /= 2) most = fmaxf(most, __shfl_xor_sync(ALL, most, o));
  return most;
}

// Rows as the product of all queries takes them: q [rows, heads, width] -> some [kv_heads, readers * group, width]; or, with
// BACK, values the other way. A block a reader.
template <bool BACK>
__device__ void together(T *q, const unsigned *readers, T *some, unsigned heads, unsigned kv_heads, unsigned width) {
  unsigned reader = blockIdx.x, group = heads / kv_heads;
  T *row = q + (size_t)readers[reader] * heads * width;
  for (unsigned i = threadIdx.x; i < heads * width; i += blockDim.x) {
    unsigned head = i / width, kv = head / group;
    T *other = some + (((size_t)kv * gridDim.x + reader) * group + head % group) * width + i % width;
    if (BACK)
      row[i] = *other;
    else
      *other = row[i];
  }
}

extern "C" __global__ void take_readers(T *q, const unsigned *readers, T *some, unsigned heads, unsigned kv_heads,
                                        unsigned width) {
  together<false>(q, readers, some, heads, kv_heads, width);
}

extern "C" __global__ void give_readers(T *values, const unsigned *readers, T *some, unsigned heads, unsigned kv_heads,
                                        unsigned width) {
  together<true>(values, readers, some, heads, kv_heads, width);
}

// Products of queries and keys -> weights that sum to 1, where they stand [kv_heads, readers * group, count]. A block a row of
// them and a head of keys; a reader reads from[reader]..to[reader].
//   readers: rows, then from, then to; most, total [rows, heads] are written
extern "C" __global__ void weigh(T *scores, const unsigned *readers, const float *slopes, float *most, float *total,
                                 float scale, unsigned heads, unsigned kv_heads, unsigned count, unsigned start) {
  unsigned group = heads / kv_heads, reader = blockIdx.x / group, head = blockIdx.y * group + blockIdx.x % group;
  unsigned n = gridDim.x / group, from = readers[n + reader], to = readers[2 * n + reader];
  scores += ((size_t)blockIdx.y * gridDim.x + blockIdx.x) * count;
  float slope = slopes ? slopes[head] : 0.f, greatest = -INFINITY, sum = 0.f;
  auto score = [&](unsigned c) { return wide(scores[c]) * scale + slope * (start + c); };
  for (unsigned c = from + threadIdx.x; c < to; c += blockDim.x) greatest = fmaxf(greatest, score(c));
  greatest = most_of_block(greatest);
  for (unsigned c = from + threadIdx.x; c < to; c += blockDim.x) sum += expf(score(c) - greatest);
  sum = sum_of_block(sum);
  for (unsigned c = threadIdx.x; c < count; c += blockDim.x)
    narrow(c >= from && c < to ? expf(score(c) - greatest) / sum : 0.f, scores + c);
  if (threadIdx.x == 0) {
    size_t at = (size_t)readers[reader] * heads + head;
    most[at] = greatest;
    total[at] = sum;
  }
}

// ---- keys, values and queries to their places

// A row's queries, keys and values, side by side -> queries [rows, heads, width], and keys and values in the pool. Queries and
// keys are rotated by their row's angles in their first 2 * half dimensions. A block a row.
//   where: positions, then slots; cosines, sines [positions, half]
template <typename I>
__device__ void place(const I *qkv, const float *cosines, const float *sines, const unsigned *where, T *q, T *pool,
                      unsigned heads, unsigned kv_heads, unsigned width, unsigned half, unsigned slots) {
  unsigned row = blockIdx.x, all = (heads + 2 * kv_heads) * width;
  const I *x = qkv + (size_t)row * all;
  size_t angle = (size_t)where[row] * half;
  unsigned slot = where[gridDim.x + row];
  // Two dimensions a thread: a pair that is rotated, or neighbours that are not.
  for (unsigned i = threadIdx.x; i < all / 2; i += blockDim.x) {
    unsigned head = i / (width / 2), j = i % (width / 2);
    bool turns = j < half && head < heads + kv_heads;
    unsigned turning = head < heads + kv_heads ? half : 0;
    unsigned low = turns ? j : 2 * turning + 2 * (j - turning), high = turns ? j + half : low + 1;
    float a = wide(x[head * width + low]), b = wide(x[head * width + high]);
    if (turns) {
      float cosine = cosines[angle + j], sine = sines[angle + j], turned = a * cosine - b * sine;
      b = a * sine + b * cosine;
      a = turned;
    }
    T *to = head < heads ? q + ((size_t)row * heads + head) * width : pool + ((size_t)(head - heads) * slots + slot) * width;
    narrow(a, to + low);
    narrow(b, to + high);
  }
}

extern "C" __global__ void place_narrow(const T *qkv, const float *cosines, const float *sines, const unsigned *where, T *q,
                                        T *pool, unsigned heads, unsigned kv_heads, unsigned width, unsigned half,
                                        unsigned slots) {
  place(qkv, cosines, sines, where, q, pool, heads, kv_heads, width, half, slots);
}

extern "C" __global__ void place_wide(const float *qkv, const float *cosines, const float *sines, const unsigned *where, T *q,
                                      T *pool, unsigned heads, unsigned kv_heads, unsigned width, unsigned half,
                                      unsigned slots) {
  place(qkv, cosines, sines, where, q, pool, heads, kv_heads, width, half, slots);
}

// Slots copied to others: which [2, count], those that are read, then those that are written. A block a slot.
extern "C" __global__ void copy_slots(T *pool, const unsigned *which, unsigned planes, unsigned width, unsigned slots) {
  unsigned from = which[blockIdx.x], to = which[gridDim.x + blockIdx.x];
  for (unsigned i = threadIdx.x; i < planes * width; i += blockDim.x) {
    size_t plane = (size_t)(i / width) * slots;
    pool[(plane + to) * width + i % width] = pool[(plane + from) * width + i % width];
  }
}

// ---- row by row

// A norm, x [rows, width] -> out: of values without their mean and with a bias, or as they are. A block a row, V values a thread
// at once.
template <int V>
__device__ void norm(const float *x, const float *weight, const float *bias, T *out, unsigned width, float eps) {
  const Pack<float, V> *from = (const Pack<float, V> *)(x + (size_t)blockIdx.x * width);
  Pack<T, V> *to = (Pack<T, V> *)(out + (size_t)blockIdx.x * width);
  float mean = 0.f, squares = 0.f;
  if (bias) {
    for (unsigned v = threadIdx.x; v < width / V; v += blockDim.x)
      for (int e = 0; e < V; e++) mean += from[v].x[e];
    mean = sum_of_block(mean) / width;
  }
  for (unsigned v = threadIdx.x; v < width / V; v += blockDim.x) {
    Pack<float, V> some = from[v];
    for (int e = 0; e < V; e++) squares += (some.x[e] - mean) * (some.x[e] - mean);
  }
  float factor = 1.f / sqrtf(sum_of_block(squares) / width + eps);
  for (unsigned v = threadIdx.x; v < width / V; v += blockDim.x) {
    Pack<float, V> some = from[v], scaled = ((const Pack<float, V> *)weight)[v];
    Pack<T, V> result;
    for (int e = 0; e < V; e++)
      narrow((some.x[e] - mean) * factor * scaled.x[e] + (bias ? bias[v * V + e] : 0.f), &result.x[e]);
    to[v] = result;
  }
}

extern "C" __global__ void norm_4(const float *x, const float *weight, const float *bias, T *out, unsigned width, float eps) {
  norm<4>(x, weight, bias, out, width, eps);
}

extern "C" __global__ void norm_1(const float *x, const float *weight, const float *bias, T *out, unsigned width, float eps) {
  norm<1>(x, weight, bias, out, width, eps);
}

// states += out, V values a thread
template <int V> __device__ void add(float *states, const T *out, unsigned count) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count / V) return;
  Pack<float, V> state = ((Pack<float, V> *)states)[i];
  Pack<T, V> more = ((const Pack<T, V> *)out)[i];
  for (int e = 0; e < V; e++) state.x[e] += wide(more.x[e]);
  ((Pack<float, V> *)states)[i] = state;
}

extern "C" __global__ void add_4(float *states, const T *out, unsigned count) { add<4>(states, out, count); }

extern "C" __global__ void add_1(float *states, const T *out, unsigned count) { add<1>(states, out, count); }

enum { SILU, GELU, GELU_TANH };

__device__ inline float activated(float x, unsigned kind) {
  if (kind == SILU) return x / (1.f + expf(-x));
  if (kind == GELU) return x * 0.5f * (1.f + erff(x * 0.70710678118654752f));
  return 0.5f * x * (1.f + tanhf(0.79788456080286536f * x * (1.f + 0.044715f * x * x)));
}

// inner [rows, gated ? 2 * width : width] -> out [rows, width], V at a time.
template <typename I, int V>
__device__ void activate(const I *inner, T *out, unsigned rows, unsigned width, unsigned gated, unsigned kind) {
  unsigned vectors = width / V;
  size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= (size_t)rows * vectors) return;
  size_t row = i / vectors, v = i % vectors;
  const Pack<I, V> *from = (const Pack<I, V> *)inner + row * vectors * (gated ? 2 : 1) + v;
  Pack<I, V> acting = from[0], factor = from[gated ? vectors : 0];
  Pack<T, V> result;
#pragma unroll
  for (int e = 0; e < V; e++) {
    float value = activated(wide(acting.x[e]), kind);
    narrow(gated ? value * wide(factor.x[e]) : value, &result.x[e]);
  }
  ((Pack<T, V> *)out)[i] = result;
}

#define ACTIVATE(NAME, I, V)                                                                                           \
  extern "C" __global__ void activate_##NAME##_##V(const I *inner, T *out, unsigned rows, unsigned width,              \
                                                   unsigned gated, unsigned kind) {                                    \
    activate<I, V>(inner, out, rows, width, gated, kind);                                                              \
  }
ACTIVATE(narrow, T, 4)
ACTIVATE(narrow, T, 1)
ACTIVATE(wide, float, 4)
ACTIVATE(wide, float, 1)

// The lowest id of each row's greatest logits [rows, vocab]; NOT_FINITE where one of them is no finite number. A block a row.
extern "C" __global__ void choose(const T *logits, unsigned *chosen, unsigned vocab) {
  __shared__ float bests[32];
  __shared__ unsigned ids[32];
  logits += (size_t)blockIdx.x * vocab;
  float best = -INFINITY;
  unsigned id = NOT_FINITE;
  bool finite = true;
  for (unsigned i = threadIdx.x; i < vocab; i += blockDim.x) {
    float x = wide(logits[i]);
    finite = finite && isfinite(x);
    if (x > best) {
      best = x;
      id = i;
    }
  }
  auto better = [&](float other, unsigned of) {
    if (other > best || (other == best && of < id)) {
      best = other;
      id = of;
    }
  };
  for (unsigned o = 16; o; o /= 2) better(__shfl_xor_sync(ALL, best, o), __shfl_xor_sync(ALL, id, o));
  if (threadIdx.x % 32 == 0) {
    bests[threadIdx.x / 32] = best;
    ids[threadIdx.x / 32] = id;
  }
  finite = __syncthreads_and(finite);
  if (threadIdx.x == 0) {
    for (unsigned warp = 1; warp < blockDim.x / 32; warp++) better(bests[warp], ids[warp]);
    chosen[blockIdx.x] = finite ? id : NOT_FINITE;
  }
}
