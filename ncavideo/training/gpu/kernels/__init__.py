"""Triton kernels, which need Triton to be imported; `engines/triton_kernel.py` has layouts."""
