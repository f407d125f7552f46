"""Multiresolution knowledge distillation (Salehi et al., CVPR 2021)."""
