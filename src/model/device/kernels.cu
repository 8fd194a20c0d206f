// Rows of keys or values to their slots: pool [heads, all, width], slots [rows], rows [rows, heads, width]. One thread an
// element; elements are moved as they are, whatever their type.

template <typename T>
__device__ void put(T *pool, const unsigned *slots, const T *rows, unsigned count, unsigned heads, unsigned all,
                    unsigned width) {
  unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count * heads * width) return;
  unsigned column = at % width, head = at / width % heads, row = at / width / heads;
  pool[((size_t)head * all + slots[row]) * width + column] = rows[at];
}

extern "C" __global__ void put_2(unsigned short *pool, const unsigned *slots, const unsigned short *rows, unsigned count,
                                 unsigned heads, unsigned all, unsigned width) {
  put(pool, slots, rows, count, heads, all, width);
}

extern "C" __global__ void put_4(unsigned *pool, const unsigned *slots, const unsigned *rows, unsigned count, unsigned heads,
                                 unsigned all, unsigned width) {
  put(pool, slots, rows, count, heads, all, width);
}
