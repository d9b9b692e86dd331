"""A whole image-to-video pipeline of diffusers, small and random, in a folder as it is published."""

from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from neural_computer import flow
from tests.parity.oracle import randomised

WORDS = ("python", "1+1", "prints", "2", "blurry", "ls", "-l")
TEXT_LENGTH = 512
"""diffusers tells text from image rows by this number."""


class Sampler(diffusers.UniPCMultistepScheduler):
    """diffusers' UniPC at the release's times, which begin at .999; its own begin at 1 - 1e-6."""

    def set_timesteps(self, num_inference_steps: Any = None, device: Any = None, sigmas: Any = None, mu: Any = None):
        shift = self.config.flow_shift
        t = flow.unipc(num_inference_steps, shift).times.astype("float64")
        super().set_timesteps(sigmas=t / (shift - (shift - 1) * t), device=device)


def write(folder: Path) -> diffusers.WanImageToVideoPipeline:
    """The pipeline, which `folder` then holds in the published layout."""
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {word: i for i, word in enumerate(WORDS, 3)}
    tokenizer = Tokenizer(models.WordLevel(words, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    text = transformers.UMT5Config(
        vocab_size=16, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, dropout_rate=0.0
    )
    image = transformers.CLIPVisionConfig(
        hidden_size=80, intermediate_size=96, num_hidden_layers=3, num_attention_heads=1, image_size=28, patch_size=14,
        hidden_act="gelu",
    )  # fmt: skip
    transformer = diffusers.WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=24, in_channels=36, text_dim=32, ffn_dim=64, num_layers=2,
        image_dim=80, added_kv_proj_dim=48,
    )  # fmt: skip
    pipeline = diffusers.WanImageToVideoPipeline(
        tokenizer=transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ),
        text_encoder=randomised(transformers.UMT5EncoderModel(text), 0, 0.1),
        image_encoder=randomised(transformers.CLIPVisionModel(image), 1, 0.1),
        image_processor=transformers.CLIPImageProcessor(),
        transformer=randomised(transformer, 2, 0.1),
        vae=randomised(diffusers.AutoencoderKLWan(base_dim=8, num_res_blocks=1), 3, 0.05),
        scheduler=Sampler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, num_train_timesteps=1000
        ),
    )
    pipeline.save_pretrained(folder)
    torch.set_grad_enabled(False)
    return pipeline
