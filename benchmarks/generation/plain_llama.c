// What a page of C without a library does: writes tokens with the Llama whose weights generation.cpp has put into
// a file, each the likeliest: plain_llama <weights> [<tokens>]. Prints tokens in a second and the first tokens.
// cc -Ofast -fopenmp -march=native plain_llama.c -lm

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static float* allocate(int64_t size) {
  float* memory = calloc((size_t)size, sizeof(float));
  if (!memory) {
    fprintf(stderr, "out of memory\n");
    exit(1);
  }
  return memory;
}

// y[rows] = w[rows, columns] x
static void multiply(float* y, const float* w, const float* x, int rows, int columns) {
#pragma omp parallel for
  for (int i = 0; i < rows; i++) {
    float sum = 0;
    for (int j = 0; j < columns; j++) sum += w[(int64_t)i * columns + j] * x[j];
    y[i] = sum;
  }
}

static void rms_norm(float* y, const float* x, const float* w, int size) {
  float squares = 0;
  for (int i = 0; i < size; i++) squares += x[i] * x[i];
  const float scale = 1 / sqrtf(squares / size + 1e-5f);
  for (int i = 0; i < size; i++) y[i] = w[i] * x[i] * scale;
}

// Pairs (i, i + half) of each head, as Hugging Face's Llama rotates them.
static void rotate(float* x, int heads, int size, int position) {
  const int half = size / 2;
  for (int i = 0; i < half; i++) {
    const float angle = position / powf(10000, 2.0f * i / size), c = cosf(angle), s = sinf(angle);
    for (int h = 0; h < heads; h++) {
      float *a = x + h * size + i, *b = a + half;
      const float first = *a * c - *b * s, second = *b * c + *a * s;
      *a = first;
      *b = second;
    }
  }
}

int main(int count, char** arguments) {
  FILE* file = count > 1 ? fopen(arguments[1], "rb") : NULL;
  int32_t sizes[7];
  if (!file || fread(sizes, sizeof(int32_t), 7, file) != 7) {
    fprintf(stderr, "plain_llama <weights> [<tokens>]\n");
    return 1;
  }
  const int vocab = sizes[0], dim = sizes[1], hidden = sizes[2], layers = sizes[3], heads = sizes[4],
            kv_heads = sizes[5], positions = sizes[6], size = dim / heads, kv_dim = kv_heads * size;
  const int tokens = count > 2 ? atoi(arguments[2]) : 200;
  const int64_t of_layer = 2 * dim + 2 * (int64_t)dim * dim + 2 * (int64_t)kv_dim * dim + 3 * (int64_t)dim * hidden;
  const int64_t total = (int64_t)vocab * dim + layers * of_layer + dim;
  float* weights = allocate(total);
  if (tokens > positions || fread(weights, sizeof(float), (size_t)total, file) != (size_t)total) {
    fprintf(stderr, "the weights are too few, or the tokens too many\n");
    return 1;
  }
  fclose(file);
  float *x = allocate(dim), *norm = allocate(dim), *q = allocate(dim), *out = allocate(dim),
        *gate = allocate(hidden), *up = allocate(hidden), *logits = allocate(vocab),
        *scores = allocate((int64_t)heads * positions);
  float *keys = allocate((int64_t)layers * positions * kv_dim), *values = allocate((int64_t)layers * positions * kv_dim);
  int* text = malloc(sizeof(int) * (size_t)(tokens + 1));
  double best = 1e9;
  for (int round = 0; round < 5; round++) {
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    text[0] = 1;
    for (int t = 0; t < tokens; t++) {
      memcpy(x, weights + (int64_t)text[t] * dim, sizeof(float) * (size_t)dim);
      const float* w = weights + (int64_t)vocab * dim;
      for (int l = 0; l < layers; l++) {
        float *k = keys + ((int64_t)l * positions + t) * kv_dim, *v = values + ((int64_t)l * positions + t) * kv_dim;
        const float* attention_norm = w;
        const float *wq = w + dim, *wk = wq + dim * dim, *wv = wk + kv_dim * dim, *wo = wv + kv_dim * dim;
        const float* mlp_norm = wo + dim * dim;
        const float *w_gate = mlp_norm + dim, *w_up = w_gate + hidden * dim, *w_down = w_up + hidden * dim;
        w = w_down + hidden * dim;
        rms_norm(norm, x, attention_norm, dim);
        multiply(q, wq, norm, dim, dim);
        multiply(k, wk, norm, kv_dim, dim);
        multiply(v, wv, norm, kv_dim, dim);
        rotate(q, heads, size, t);
        rotate(k, kv_heads, size, t);
#pragma omp parallel for
        for (int h = 0; h < heads; h++) {
          float *s = scores + (int64_t)h * positions, most = -1e30f, sum = 0;
          const int64_t at = (int64_t)l * positions * kv_dim + h / (heads / kv_heads) * size;
          for (int p = 0; p <= t; p++) {
            s[p] = 0;
            for (int i = 0; i < size; i++) s[p] += q[h * size + i] * keys[at + (int64_t)p * kv_dim + i];
            s[p] /= sqrtf((float)size);
            if (s[p] > most) most = s[p];
          }
          for (int p = 0; p <= t; p++) sum += s[p] = expf(s[p] - most);
          for (int i = 0; i < size; i++) out[h * size + i] = 0;
          for (int p = 0; p <= t; p++) {
            for (int i = 0; i < size; i++) out[h * size + i] += s[p] / sum * values[at + (int64_t)p * kv_dim + i];
          }
        }
        multiply(norm, wo, out, dim, dim);
        for (int i = 0; i < dim; i++) x[i] += norm[i];
        rms_norm(norm, x, mlp_norm, dim);
        multiply(gate, w_gate, norm, hidden, dim);
        multiply(up, w_up, norm, hidden, dim);
        for (int i = 0; i < hidden; i++) gate[i] *= up[i] / (1 + expf(-gate[i]));
        multiply(norm, w_down, gate, dim, hidden);
        for (int i = 0; i < dim; i++) x[i] += norm[i];
      }
      rms_norm(norm, x, w, dim);
      multiply(logits, weights, norm, vocab, dim);
      int likeliest = 0;
      for (int i = 1; i < vocab; i++) {
        if (logits[i] > logits[likeliest]) likeliest = i;
      }
      text[t + 1] = likeliest;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    const double seconds = (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    if (seconds < best) best = seconds;
  }
  printf("plain C float32: %.0f tokens/s;", tokens / best);
  for (int i = 1; i < 9 && i <= tokens; i++) printf(" %d", text[i]);
  printf("\n");
  return 0;
}
