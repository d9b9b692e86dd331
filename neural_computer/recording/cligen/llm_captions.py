"""A local text model that words captions (the paper used Llama 3.1 70B): every answer is kept on disk, bad ones are retried.

The model is a folder that `transformers` can load; nothing is fetched, no code of the folder is run, weights are
safetensors. It needs PyTorch, which `transformers` imports.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ASK = {
    "semantic": "Summarise what happens in this terminal recording, in about 55 words, without quoting its output.",
    "regular": "Tell the key commands of this terminal recording and what they print, in about 52 words.",
    "detailed": "Describe the last screen of this terminal recording, its literal text, colours and layout, in about 76 words.",
}


class WriterError(RuntimeError):
    """The model gave no usable answer; the message has the last one and what is wrong with it."""


@dataclass(frozen=True)
class Writer:
    """Asks the model in folder `model`; answers are kept in folder `cache` under a hash of all that they depend on."""

    model: Path
    cache: Path
    tries: int = 3
    """The first answer is the likeliest; later ones are sampled, each with its number as the seed"""
    tokens: int = 160

    def __call__(self, prompt: str, fault: Callable[[str], str | None]) -> str:
        """The model's answer to which `fault` has no objection. Raises WriterError after `tries` answers."""
        path = self.cache / f"{self._key(prompt)}.json"
        kept = _read(path)
        if kept is not None and not fault(kept):
            return kept
        wrong = text = ""
        for attempt in range(self.tries):
            text = self._answer(prompt, attempt).strip()
            wrong = ("is empty" if not text else fault(text)) or ""
            if not wrong:
                _write(path, {"prompt": prompt, "text": text, "attempt": attempt})
                return text
        raise WriterError(
            f"{self.model.name}: no usable answer in {self.tries} tries; the last {wrong}: {text[:200]!r}"
        )

    def _key(self, prompt: str) -> str:
        parts = json.dumps([prompt, self.tokens, self._fingerprint])
        return hashlib.sha256(parts.encode()).hexdigest()

    @cached_property
    def _fingerprint(self) -> list[list[Any]]:
        """What tells this model from others without reading its weights: small files' hashes, all files' sizes."""
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

    def _answer(self, prompt: str, attempt: int) -> str:
        from transformers import set_seed

        tokenizer, model = self._loaded
        if tokenizer.chat_template:
            said = [{"role": "user", "content": prompt}]
            prompt = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        asked = tokenizer(prompt, return_tensors="pt", add_special_tokens=not tokenizer.chat_template)
        set_seed(attempt)
        given = model.generate(
            **asked,
            max_new_tokens=self.tokens,
            do_sample=attempt > 0,
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        )
        return tokenizer.decode(given[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)


def prompt(tier: str, facts: str) -> str:
    """What a model is asked for a tier, given the template's captions of the clip, which hold all there is to know."""
    return f"{ASK[tier]}\n\n{facts}\n\nAnswer with the description alone."


def length(tier: str, text: str) -> str | None:
    """What is wrong with a caption's length, or None: a tier's words lie between 15 and 200."""
    count = len(text.split())
    return None if 15 <= count <= 200 else f"has {count} words; a {tier} caption has 15 to 200"


def _read(path: Path) -> str | None:
    """A kept answer; None where there is none or it is damaged."""
    try:
        text = json.loads(path.read_text())["text"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return text if isinstance(text, str) else None


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.partial")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)
