"""How well the gate and the correction do on prompts whose class is known."""
