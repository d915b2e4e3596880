"""Sweeps: several training runs from one base recipe, with varied values, side by side."""
