"""Room 3, the correction: special token, gate, experts, their training, and the whole as MoESD."""
