"""The correction MoESD: gate, special token, experts, their training, and the routing of images."""
