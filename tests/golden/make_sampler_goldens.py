"""Writes sampler.json: the probabilities that transformers' logits processors leave, in the order in which generate applies
them. tests/pretrain_llama/sampler_test.cpp compares."""

import json
import pathlib

import torch
from transformers.generation import logits_process as rules

SCORES = [1.5, -0.25, 3.0, 2.75, 0.5, -2.0, 2.0, 0.0, 1.0, -1.0, 2.5, -0.5]
TEXT = [3, 0, 3, 5, 9]
CASES = [
    {},
    {"temperature": 0.5},
    {"top_k": 3},
    {"top_p": 0.7},
    {"min_p": 0.3},
    {"typical": 0.4},
    {"typical": 0.95},
    {"repetition_penalty": 1.5},
    {"repetition_penalty": 0.8},
    {"logit_bias": {"5": 4.5, "2": -2.0}},
    {"temperature": 1.3, "top_k": 9, "top_p": 0.95, "min_p": 0.1, "typical": 0.9},
    {"logit_bias": {"3": 1.5}, "repetition_penalty": 1.2, "temperature": 0.7, "top_p": 0.9},
    {"temperature": 2.0, "min_p": 0.25, "typical": 0.5},
]


def probabilities(case):
    ids = torch.tensor([TEXT])
    scores = torch.tensor([SCORES], dtype=torch.float64)
    steps = []
    if "logit_bias" in case:
        steps.append(rules.SequenceBiasLogitsProcessor({(int(id),): bias for id, bias in case["logit_bias"].items()}))
    if "repetition_penalty" in case:
        steps.append(rules.RepetitionPenaltyLogitsProcessor(case["repetition_penalty"]))
    if "temperature" in case:
        steps.append(rules.TemperatureLogitsWarper(case["temperature"]))
    if "top_k" in case:
        steps.append(rules.TopKLogitsWarper(case["top_k"]))
    if "top_p" in case:
        steps.append(rules.TopPLogitsWarper(case["top_p"]))
    if "min_p" in case:
        steps.append(rules.MinPLogitsWarper(case["min_p"]))
    if "typical" in case:
        steps.append(rules.TypicalLogitsWarper(case["typical"]))
    for step in steps:
        scores = step(ids, scores)
    return [round(p, 9) for p in scores.softmax(-1)[0].tolist()]


def main():
    cases = [{"options": case, "probabilities": probabilities(case)} for case in CASES]
    lines = ",\n".join("  " + json.dumps(case) for case in cases)
    text = f'{{"scores": {SCORES}, "text": {TEXT}, "cases": [\n{lines}\n]}}\n'
    pathlib.Path(__file__).with_name("sampler.json").write_text(text)


main()
