import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neural_computer.data.tokens import ByteTokenizer, UMT5Tokenizer, clean

LINES = ["the cursor moves to the menu", "a terminal lists the files", "the window closes", "echo hello && ls"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Unigram tokenizer with UMT5's special ids: 0 <pad>, 1 </s>, 2 <unk>."""
    return save(tmp_path_factory.mktemp("tokenizer"), ["<pad>", "</s>", "<unk>"])


def save(path: Path, special: list[str]) -> str:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    end = tokenizer.token_to_id("</s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", end)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    fast.save_pretrained(path)
    return str(path)


def test_bytes_are_shifted_by_one_and_padded_with_zero():
    np.testing.assert_array_equal(ByteTokenizer(4)(["aé", ""]), [[98, 196, 170, 0], [0, 0, 0, 0]])
    with pytest.raises(ValueError, match="'abcde': has 5 bytes, text.length=4"):
        ByteTokenizer(4)(["abcde"])


def test_captions_end_with_their_mark_and_are_padded_with_zero(folder):
    from transformers import AutoTokenizer

    ids = UMT5Tokenizer(folder, 40)([LINES[0], "", LINES[2]])
    assert ids.shape == (3, 40) and ids.dtype == np.int32
    for row, line in zip(ids, (LINES[0], "", LINES[2]), strict=True):
        real = row[row != 0]
        assert real[-1] == 1 and not row[len(real) :].any()
        assert AutoTokenizer.from_pretrained(folder).decode(real[:-1]).strip() == line
    assert UMT5Tokenizer(folder)([]).shape == (0, 512)


def test_threads_that_are_the_first_to_ask_all_have_it(folder):
    """As the readers of a fresh training are. In a process of its own: it must be the first that imports transformers."""
    program = f"""
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from neural_computer.data.tokens import UMT5Tokenizer
gate = Barrier(8)
def ask(_):
    gate.wait()
    return UMT5Tokenizer({folder!r}, 40)(["a"]).tolist()
answers = list(ThreadPoolExecutor(8).map(ask, range(8)))
assert answers == answers[:1] * 8
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_long_caption_is_rejected_or_cut_with_its_mark_kept(folder):
    whole = UMT5Tokenizer(folder, 64)([LINES[0]])[0]
    tokens = int(np.count_nonzero(whole))
    assert tokens > 5
    with pytest.raises(ValueError, match=f"has {tokens} tokens, text.length=5; .* text.truncate=True"):
        UMT5Tokenizer(folder, 5)([LINES[0]])
    cut = UMT5Tokenizer(folder, 5, truncate=True)([LINES[0]])[0]
    np.testing.assert_array_equal(cut, [*whole[:4], 1])
    np.testing.assert_array_equal(UMT5Tokenizer(folder, tokens)([LINES[0]])[0], whole[:tokens])


@pytest.mark.parametrize(
    "text, cleaned",
    [
        ("  the \t menu\n\n opens ", "the menu opens"),
        ("x &amp;lt; y", "x < y"),
        ("it’s “ls”", 'it\'s "ls"'),
        ("\x1b[31mred\x1b[0m schÃ¶n，ok", "red schön,ok"),
    ],
)
def test_captions_are_cleaned(folder, text, cleaned):
    assert clean(text) == cleaned
    tokenizer = UMT5Tokenizer(folder, 40)
    np.testing.assert_array_equal(tokenizer([text]), tokenizer([cleaned]))


def test_a_tokenizer_is_a_value(folder):
    """Grain compares pipelines by text and sends them to workers."""
    tokenizer = UMT5Tokenizer(folder, 40)
    tokenizer(["ls"])
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy == tokenizer and hash(copy) == hash(tokenizer)
    assert repr(tokenizer) == f"UMT5Tokenizer(name={folder!r}, length=40, truncate=False)"
    np.testing.assert_array_equal(copy(["ls"]), tokenizer(["ls"]))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"text.tokenizer='.*/none': no such folder; put the tokenizer files of google/"
    ):
        UMT5Tokenizer(str(tmp_path / "none"))(["ls"])


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(ValueError, match="holds no tokenizer that can be loaded"):
        UMT5Tokenizer(str(tmp_path))(["ls"])


def test_another_padding_is_rejected(tmp_path):
    """A BERT-like order of special ids: the encoder would attend to the padding."""
    with pytest.raises(ValueError, match="pads with id 1, UMT5 with 0"):
        UMT5Tokenizer(save(tmp_path, ["</s>", "<pad>", "<unk>"]))(["ls"])
