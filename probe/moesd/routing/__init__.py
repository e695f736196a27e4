"""Routing of images to experts: top1 and calibrated per prompt, stratified per image."""
