"""The images of a prompt as a mixture of those of its counterfactuals: shares and reweighting."""
