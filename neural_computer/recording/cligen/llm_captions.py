"""Captions by a local language model (the paper used Llama 3.1 70B): each is cached on disk, bad ones are retried.

The model is a folder that `transformers` can load, with weights in safetensors. Nothing is downloaded and no code of the
folder is run. It needs PyTorch, which `transformers` imports.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from neural_computer.errors import Error
from neural_computer.files import write_whole

INSTRUCTIONS = {
    "semantic": "Summarise what happens in this terminal recording, in about 55 words, without quoting its output.",
    "regular": "Tell the key commands of this terminal recording and what they print, in about 52 words.",
    "detailed": "Describe the last screen of this terminal recording, its literal text, colours and layout, in about 76 words.",
}


class CaptionError(Error, RuntimeError):
    """The model gave no usable caption; the message has the last one and its problem."""


@dataclass(frozen=True)
class Captioner:
    """Generates captions with the model in folder `model`; folder `cache` keeps them by a hash of all they depend on."""

    model: Path
    cache: Path
    tries: int = 3
    """The first caption is decoded greedily; later ones are sampled, each with its number as the seed"""
    tokens: int = 160

    def __call__(self, prompt: str, problem: Callable[[str], str | None]) -> str:
        """The first caption for which `problem` returns None. Raises CaptionError after `tries` captions."""
        path = self.cache / f"{self._key(prompt)}.json"
        cached = _read(path)
        if cached is not None and not problem(cached):
            return cached
        reason = text = ""
        for attempt in range(self.tries):
            text = self._generate(prompt, attempt).strip()
            reason = ("is empty" if not text else problem(text)) or ""
            if not reason:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, json.dumps({"prompt": prompt, "text": text, "attempt": attempt}))
                return text
        raise CaptionError(
            f"{self.model.name}: no usable caption in {self.tries} tries; the last {reason}: {text[:200]!r}"
        )

    def _key(self, prompt: str) -> str:
        parts = json.dumps([prompt, self.tokens, self._fingerprint])
        return hashlib.sha256(parts.encode()).hexdigest()

    @cached_property
    def _fingerprint(self) -> list[list[Any]]:
        """Identity of the model without reading its weights: names and sizes of its files, hashes of the small ones."""
        files = sorted(path for path in self.model.iterdir() if path.is_file())
        if not any(path.suffix == ".safetensors" for path in files):
            raise ValueError(f"{self.model}: holds no .safetensors; give a folder that save_pretrained has written")
        small = (path.read_bytes() if path.stat().st_size < 2**20 else b"" for path in files)
        return [[p.name, p.stat().st_size, hashlib.sha256(b).hexdigest()] for p, b in zip(files, small, strict=True)]

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        local = {"local_files_only": True, "trust_remote_code": False}
        tokenizer = AutoTokenizer.from_pretrained(self.model, **local)
        return tokenizer, AutoModelForCausalLM.from_pretrained(self.model, use_safetensors=True, **local).eval()

    def _generate(self, prompt: str, attempt: int) -> str:
        from transformers import set_seed

        tokenizer, model = self._loaded
        if tokenizer.chat_template:
            messages = [{"role": "user", "content": prompt}]
            prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=not tokenizer.chat_template)
        set_seed(attempt)
        output = model.generate(
            **inputs,
            max_new_tokens=self.tokens,
            do_sample=attempt > 0,
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        )
        return tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def prompt(tier: str, facts: str) -> str:
    """Prompt for a tier's caption; `facts` are the template's captions of the clip."""
    return f"{INSTRUCTIONS[tier]}\n\n{facts}\n\nAnswer with the description alone."


def length_problem(tier: str, text: str) -> str | None:
    """Problem of a caption with fewer than 15 or more than 200 words; else None."""
    count = len(text.split())
    return None if 15 <= count <= 200 else f"has {count} words; a {tier} caption has 15 to 200"


def _read(path: Path) -> str | None:
    """Cached caption; None if there is none or the file is damaged."""
    try:
        text = json.loads(path.read_text())["text"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return text if isinstance(text, str) else None
