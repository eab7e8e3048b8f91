"""Synthetic videos: small, smooth and known."""

import numpy as np


def moving_disc(frames=9, height=72, width=128, speed=3.0, radius=14):
    """[T, H, W, 3] float32 in [0, 1]: an orange disc that crosses a blue gradient."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ground = np.stack([0.15 + 0 * x, 0.2 + 0.3 * y / height, 0.5 + 0.4 * x / width], axis=-1)
    disc = np.array([0.95, 0.6, 0.2], dtype=np.float32)
    video = []
    for t in range(frames):
        distance = np.hypot(x - width * 0.25 - speed * t, y - height / 2)
        cover = np.clip(radius + 0.5 - distance, 0, 1)[..., None]
        video.append(ground * (1 - cover) + disc * cover)
    return np.stack(video).astype(np.float32)
