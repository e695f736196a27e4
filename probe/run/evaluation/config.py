"""Settings of the stage that looks at pictures."""

from __future__ import annotations

from dataclasses import dataclass

from probe.io.settings import Settings, seed_setting, setting
from probe.stats.resampling import Resampling


@dataclass(frozen=True)
class EvaluateConfig(Settings):
    """Who looks at the pictures, and at what."""

    classifier: str = setting("", "Image classifier (folder or hub id); the model's own if empty.")
    clip: str = setting("", "CLIP that scores pictures against prompts; the model's own if empty.")
    features: str = setting(
        "",
        "Vision model (folder or hub id) in whose features drift is measured, e.g. DINOv2's or "
        "Inception's; the CLIP that scores if empty.",
    )
    calibration: str = setting(
        "",
        "A sample whose truth is known, columns true and seen: the classifier's errors are taken "
        "out. Copied into RUN.",
        names_file=bool,
    )
    faces: str = setting(
        "",
        "Show the classifier faces in place of whole pictures, found by: mediapipe (also without "
        "a value; the extra `faces`), weights of its face detector (.tflite), or, with --images, "
        "boxes of any other detector (file_name, left, top, width, height).",
        alone="mediapipe",
        names_file=lambda value: value not in ("", "mediapipe"),
    )
    face_margin: float = setting(
        0.25, "Margin around a face on each side, as a share of its size.", minimum=0
    )
    attribute: str = setting("gender", "Attribute of the classifier that fairness is about.")
    female: str = setting("woman", "The classifier's word for what female prompts ask for.")
    male: str = setting("man", "The classifier's word for what male prompts ask for.")
    clip_margin: float = setting(
        1.0, "Largest change of the mean CLIP score (0 to 100) that does not matter.", minimum=1e-6
    )
    recognition_margin: float = setting(
        0.05,
        "Largest change of the share of pictures recognised that does not matter.",
        minimum=1e-6,
    )
    n_bootstrap: int = setting(2000, "Resamples behind each interval.", minimum=1)
    seed: int = seed_setting("Seed of the resamples.")

    @property
    def resampling(self) -> Resampling:
        """The resamples behind each interval."""
        return Resampling(self.n_bootstrap, self.seed)
