"""A classifier as it is published in timm's layout, as small as can be."""

SIDE = 16
TIMM = {
    "architecture": "resnet18",
    "num_classes": 2,
    "model_args": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]},
    "pretrained_cfg": {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "input_size": [3, SIDE, SIDE]},
}
