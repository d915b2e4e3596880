"""Training on an NVIDIA GPU: fused kernels, and an iteration as CUDA graphs."""
