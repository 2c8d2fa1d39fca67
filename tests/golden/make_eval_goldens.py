#!/usr/bin/env python3
"""Makes checkpoints/animals, a small Llama of transformers with its tokenizer, and eval.json: what transformers says of texts
and multiple-choice questions by that model, which `pretrain_llama eval` must say, too.

Usage:
    pip install torch numpy safetensors transformers sentencepiece
    python make_eval_goldens.py

Made with Python 3.11, torch 2.15.0, transformers 5.24.0 and sentencepiece 0.2.3, on the CPU, one thread. The model is
trained for a few steps, so that some of its answers are right; its numbers in eval.json are computed in float64. On another
processor the last digits of the weights may differ.

eval.json:
    text, tokens   a text, and its tokens without BOS
    losses         mean of -ln(probability) of BOS and the tokens, by windows of `context` tokens that are `stride` apart, of
                   which each counts its new ones (https://huggingface.co/docs/transformers/perplexity)
    choices        by layout the lines of a file, and for each the log likelihoods of the endings, the likeliest and the
                   likeliest by its bytes (lm-evaluation-harness's acc and acc_norm)
"""

import io
import itertools
import json
import math
import random
from pathlib import Path

import sentencepiece
import torch
from transformers import LlamaConfig, LlamaForCausalLM

FOLDER = Path(__file__).resolve().parent
CONTEXT = 32

ANIMALS = {
    "cat": ("warm milk and a little fish", "in the house"),
    "dog": ("bones", "in the yard"),
    "hen": ("corn", "in the barn behind the old mill"),
    "cow": ("fresh green grass", "on the hill"),
    "bee": ("flowers", "in a tree"),
}
NAMES = ["Ann", "Ben", "Kim", "Tom", "Zoë"]


def story(name, animal):
    food, place = ANIMALS[animal]
    return f"{name} is a {animal}. {name} likes {food}. {name} lives {place}."


def asked(animal):
    food, _ = ANIMALS[animal]
    return f"Question: What does a {animal} like?\nAnswer: {food}"


def tokenizer_of(texts):
    """As `pretrain_llama prepare` trains it."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in texts for line in text.split("\n")),
        model_writer=model,
        model_type="bpe",
        vocab_size=320,
        byte_fallback=True,
        character_coverage=1.0,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=4,
    )
    return model.getvalue()


def trained(texts, tokenizer):
    torch.manual_seed(1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.vocab_size(),
            hidden_size=24,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_id(),
            eos_token_id=tokenizer.eos_id(),
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    draw = random.Random(1)
    for _ in range(150):
        draw.shuffle(texts)
        tokens = [token for text in texts for token in [tokenizer.bos_id(), *tokenizer.encode(text)]]
        windows = torch.tensor(tokens[: len(tokens) // CONTEXT * CONTEXT]).reshape(-1, CONTEXT)[:16]
        loss = model(windows, labels=windows).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


@torch.no_grad()
def nats(model, tokens):
    """-ln(probability) of each token but the first."""
    logits = model(torch.tensor([tokens[:-1]])).logits[0]
    return -logits.log_softmax(-1)[range(len(tokens) - 1), tokens[1:]]


def strided_loss(model, tokens, context, stride):
    total, count, counted_to = 0.0, 0, 1
    for begin in range(0, len(tokens), stride):
        end = min(begin + context, len(tokens))
        new = end - counted_to
        total += nats(model, tokens[begin:end])[-new:].sum().item()
        count += new
        counted_to = end
        if end == len(tokens):
            break
    assert count == len(tokens) - 1
    return total / count


def answer(model, tokenizer, text, endings):
    likelihoods, per_byte = [], []
    for ending in endings:
        whole = tokenizer.encode(text + " " + ending)
        count = len(whole) - len(tokenizer.encode(text))
        seen = [tokenizer.bos_id(), *whole][-(CONTEXT + 1) :]
        likelihoods.append(-nats(model, seen)[-count:].sum().item())
        per_byte.append(likelihoods[-1] / len(ending.encode()))
    return {
        "log_likelihoods": likelihoods,
        "choice": likelihoods.index(max(likelihoods)),
        "normalised_choice": per_byte.index(max(per_byte)),
    }


def normalisation_matters(model, tokenizer):
    """Questions on which it depends whether likelihoods are divided by bytes, characters or tokens."""
    draw = random.Random(2)
    pool = [part for parts in ANIMALS.values() for part in parts] + NAMES + ["Zoë and Zoë", "ë", "1, 2", "3! And that is all"]
    found = {}
    while len(found) < 2:
        text, endings = f"{draw.choice(NAMES)} is a {draw.choice(list(ANIMALS))}. Zoë", draw.sample(pool, 4)
        got = answer(model, tokenizer, text, endings)
        sizes = {"characters": [len(ending) for ending in endings],
                 "tokens": [len(tokenizer.encode(text + " " + ending)) - len(tokenizer.encode(text)) for ending in endings]}
        for name, of_endings in sizes.items():
            scores = [likelihood / size for likelihood, size in zip(got["log_likelihoods"], of_endings)]
            if scores.index(max(scores)) != got["normalised_choice"]:
                found.setdefault(name, (text, endings, 0))
    return list(found.values())


def questions():
    """(text, endings, right) by layout."""
    foods, places = ([part[i] for part in ANIMALS.values()] for i in (0, 1))
    hellaswag = [(f"{name} is a {animal}. {name} likes", [food + "." for food in foods], i)
                 for name, (i, animal) in itertools.product(NAMES[3:], enumerate(ANIMALS))]
    hellaswag += [(story(NAMES[i - 1], animal) + " " + story(NAMES[i], animal).rsplit(" lives")[0] + " lives",
                   [place + "." for place in places], i) for i, animal in enumerate(ANIMALS)]  # longer than the context
    arc = [(f"What does a {animal} like?", foods, i) for i, animal in enumerate(ANIMALS)]
    return hellaswag, arc


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    texts = [story(name, animal) for name in NAMES for animal in ANIMALS] + [asked(animal) for animal in ANIMALS] * 2
    tokenizer_model = tokenizer_of(texts)
    tokenizer = sentencepiece.SentencePieceProcessor(model_proto=tokenizer_model)
    folder = FOLDER / "checkpoints" / "animals"
    trained(texts, tokenizer).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "tokenizer.model").write_bytes(tokenizer_model)
    model = LlamaForCausalLM.from_pretrained(folder).double()

    text = "\n".join(story(name, animal) for name, animal in zip(reversed(NAMES), ANIMALS)) + "\n\n  And that is all: 1, 2, 3! "
    tokens = tokenizer.encode(text)
    with_bos = [tokenizer.bos_id(), *tokens]
    windows = [(CONTEXT, CONTEXT // 2), (CONTEXT, 1), (CONTEXT, CONTEXT - 1), (7, 3), (2, 1)]
    losses = [{"context": context, "stride": stride, "loss": strided_loss(model, with_bos, context, stride)}
              for context, stride in windows]
    hellaswag, arc = questions()
    hellaswag += normalisation_matters(model, tokenizer)
    letters = "ABCDE"
    lines = {
        "hellaswag": [{"ind": i, "ctx": text, "endings": endings, "label": right if i % 2 else str(right)}
                      for i, (text, endings, right) in enumerate(hellaswag)],
        "arc": [{"id": str(i),
                 "question": {"stem": text, "choices": [{"text": ending, "label": label}
                                                        for ending, label in zip(endings, letters)]},
                 "answerKey": letters[right]}
                for i, (text, endings, right) in enumerate(arc)],
        "ai2_arc": [{"id": str(i), "question": text, "choices": {"text": endings, "label": list("12345")},
                     "answerKey": str(right + 1)}
                    for i, (text, endings, right) in enumerate(arc)],
    }
    answers = {"hellaswag": [answer(model, tokenizer, text, endings) for text, endings, _ in hellaswag],
               "arc": [answer(model, tokenizer, f"Question: {text}\nAnswer:", endings) for text, endings, _ in arc]}
    answers["ai2_arc"] = answers["arc"]
    for name, asked_for in (("hellaswag", hellaswag), ("arc", arc)):
        for kind in ("choice", "normalised_choice"):
            right = sum(got[kind] == q[2] for got, q in zip(answers[name], asked_for))
            print(f"{name}: {kind} right {right} of {len(asked_for)}")
    content = {
        "text": text,
        "tokens": tokens,
        "losses": losses,
        "choices": {name: [{"line": line} | answered for line, answered in zip(lines[name], answers[name])] for name in lines},
    }
    for got in itertools.chain(*answers.values()):  # rounding to float changes no choice
        best, second = sorted(got["log_likelihoods"])[:-3:-1]
        assert best - second > 1e-4 * abs(best)
    rows = lambda values: "[\n" + ",\n".join("    " + json.dumps(value) for value in values) + "\n  ]"
    choices = ",\n".join(f"  {json.dumps(name)}: {rows(values)}" for name, values in content["choices"].items())
    (FOLDER / "eval.json").write_text(
        "{\n" + f'"text": {json.dumps(text)},\n"tokens": {json.dumps(tokens)},\n'
        + f'"losses": {rows(losses)},\n"choices": {{\n{choices}\n}}\n}}\n'
    )


if __name__ == "__main__":
    main()
