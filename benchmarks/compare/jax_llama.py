"""The reference Llama trained by JAX on random tokens; prints one JSON object."""

import argparse
import json
import resource
import time

import jax
import numpy
import optax
from jax import numpy as jnp

VOCABULARY, WIDTH, LAYERS, HEADS, KV_HEADS, HIDDEN, LENGTH = 4096, 288, 8, 8, 2, 768, 256
HEAD_DIM = WIDTH // HEADS


def initial(key):
    keys = iter(jax.random.split(key, 1 + 7 * LAYERS))
    normal = lambda *shape: 0.02 * jax.random.normal(next(keys), shape)
    kv = KV_HEADS * HEAD_DIM
    layer = lambda: {"input_norm": jnp.ones(WIDTH), "post_norm": jnp.ones(WIDTH), "q": normal(WIDTH, WIDTH),
                     "k": normal(WIDTH, kv), "v": normal(WIDTH, kv), "o": normal(WIDTH, WIDTH),
                     "gate": normal(WIDTH, HIDDEN), "up": normal(WIDTH, HIDDEN), "down": normal(HIDDEN, WIDTH)}
    return {"embedding": normal(VOCABULARY, WIDTH), "layers": [layer() for _ in range(LAYERS)], "norm": jnp.ones(WIDTH)}


def rms_norm(x, weight):
    wide = x.astype(jnp.float32)
    wide = wide * jax.lax.rsqrt(jnp.square(wide).mean(-1, keepdims=True) + 1e-5)
    return wide.astype(x.dtype) * weight.astype(x.dtype)


def rotate(x):  # [batch, length, heads, head_dim], halves of a head are turned together
    angles = jnp.outer(jnp.arange(LENGTH), 10000.0 ** (-jnp.arange(0, HEAD_DIM, 2) / HEAD_DIM))[None, :, None]
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    first, second = jnp.split(x.astype(jnp.float32), 2, -1)
    return jnp.concatenate((first * cosine - second * sine, second * cosine + first * sine), -1).astype(x.dtype)


def loss_of(model, tokens, targets, dtype):
    batch = tokens.shape[0]
    x = model["embedding"][tokens].astype(dtype)
    for layer in model["layers"]:
        times = lambda y, name: y @ layer[name].astype(dtype)
        heads = lambda y: y.reshape(batch, LENGTH, -1, HEAD_DIM)
        h = rms_norm(x, layer["input_norm"])
        y = jax.nn.dot_product_attention(rotate(heads(times(h, "q"))), rotate(heads(times(h, "k"))),
                                         heads(times(h, "v")), is_causal=True)
        x = x + times(y.reshape(batch, LENGTH, WIDTH), "o")
        h = rms_norm(x, layer["post_norm"])
        x = x + times(jax.nn.silu(times(h, "gate")) * times(h, "up"), "down")
    logits = rms_norm(x, model["norm"]) @ model["embedding"].T.astype(dtype)
    return optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), targets).mean()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    options = parser.parse_args()
    dtype = getattr(jnp, options.dtype)
    model = initial(jax.random.PRNGKey(1337))
    matrices = jax.tree.map(lambda value: value.ndim >= 2, model)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0),
                            optax.adamw(5e-4, b1=0.9, b2=0.95, weight_decay=0.1, mask=matrices))
    state = optimizer.init(model)

    def step(model, state, tokens, targets):
        loss, gradients = jax.value_and_grad(loss_of)(model, tokens, targets, dtype)
        updates, state = optimizer.update(gradients, state, model)
        return optax.apply_updates(model, updates), state, loss

    step = jax.jit(step, donate_argnums=(0, 1))
    tokens = numpy.random.default_rng(1).integers(0, VOCABULARY, (options.batch, LENGTH + 1))
    seconds, losses = [], []
    for _ in range(options.steps):
        start = time.perf_counter()
        model, state, loss = step(model, state, tokens[:, :-1], tokens[:, 1:])
        losses.append(float(loss))
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"program": "JAX", "library": jax.__version__, "dtype": options.dtype, "batch": options.batch,
                      "tokens": options.batch * LENGTH, "seconds": seconds, "losses": losses,
                      "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


main()
