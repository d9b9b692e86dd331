"""The adapter of a local text model, on a tiny random one: answers are kept, bad ones retried, then refused."""

import json

import pytest

from neural_computer.recording.cligen.llm_captions import Captioner, CaptionError, length_problem, prompt
from tests import needs


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch = needs.package("torch", "parity")
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("model")
    names = ["<unk>", "<eos>", *"abcdefghijklmnopqrstuvwxyz"]
    inner = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", eos_token="<eos>", pad_token="<eos>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(names), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.parity
@pytest.mark.slow
def test_an_answer_is_asked_for_once(model, tmp_path):
    captioner, question = Captioner(model, tmp_path, tokens=8), prompt("semantic", "the facts")
    text = captioner(question, lambda text: None)
    (kept,) = tmp_path.glob("*.json")
    assert text and json.loads(kept.read_text())["text"] == text
    kept.write_text(json.dumps({"text": "from the cache"}))
    assert Captioner(model, tmp_path, tokens=8)(question, lambda text: None) == "from the cache"
    kept.write_text("cut o")
    assert Captioner(model, tmp_path, tokens=8)(question, lambda text: None) == text
    assert (
        Captioner(model, tmp_path, tokens=8)("another", lambda text: None) and len(list(tmp_path.glob("*.json"))) == 2
    )


@pytest.mark.parity
@pytest.mark.slow
def test_a_bad_answer_is_asked_for_again_then_refused(model, tmp_path):
    seen: list[str] = []

    def fault(text: str) -> str | None:
        seen.append(text)
        return "is the first" if len(seen) == 1 else None

    assert Captioner(model, tmp_path, tokens=8)("x", fault) == seen[1] != seen[0]
    with pytest.raises(CaptionError, match="in 2 tries; .* is never right"):
        Captioner(model, tmp_path / "other", tries=2, tokens=8)("x", lambda text: "is never right")


def test_a_captions_length_is_checked():
    assert length_problem("semantic", "word " * 50) is None and "has 3 words" in length_problem(
        "semantic", "one two three"
    )
