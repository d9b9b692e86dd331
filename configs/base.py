"""Every value there is, at the paper's choice where the paper has one (AdamW 5e-5, weight decay .01, clip 1, dropout .1)."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The base that every config starts from."""
    return ConfigDict(
        {
            "seed": 0,
            "init": "",
            "data": {
                "directory": "",
                "frames": 81,
                "height": 480,
                "width": 832,
                "stride": 1,
                "batch_size": 8,
                "captions": ConfigDict({"plain": 1.0}),
                "split": "train",
            },
            "text": {"kind": "bytes", "width": 128, "length": 512, "heads": 2, "depth": 1, "negative": ""},
            "image": {"kind": "none"},
            "codec": {"kind": "linear", "channels": 16, "fit_films": 256, "chunk": 0, "tile": 0},
            "network": {
                "width": 128,
                "ffn": 512,
                "heads": 2,
                "layers": 4,
                "patch": (1, 2, 2),
                "time_width": 256,
                "positions": (0, 0, 0),
                "dtype": "float32",
                "attention": "xla",
                "context": "gather",
                "causal": False,
                "remat": "none",
                "lora": 0,
            },
            "injection": {"mode": "none", "every": 1},
            "sampling": {
                "target": "v",
                "condition": "wan",
                "clean_first": False,
                "solver": "unipc",
                "steps": 40,
                "shift": 3.0,
                "guidance": 1.0,
            },
            "objective": {"shift": 3.0, "dropout_text": 0.1, "dropout_image": 0.1, "dropout_cond": 0.1},
            "optimizer": {
                "rate": 5e-5,
                "warmup": 0,
                "decay_steps": 0,
                "final_rate": 0.0,
                "b1": 0.9,
                "b2": 0.999,
                "weight_decay": 0.01,
                "clip": 1.0,
                "train": "",
            },
            "average": {"ema": 0.999, "accumulate": 1},
            "schedule": {"steps": 1000, "checkpoint_every": 500, "keep": 2, "log_every": 10, "eval_every": 0},
            "evaluation": {"films": 128, "films_on_the_way": 32, "batch_size": 32, "split": "test"},
            "mesh": {"data": -1, "fsdp": 1, "context": 1, "tensor": 1},
        }
    )
