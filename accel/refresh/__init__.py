"""`accel refresh`: repeated runs become calibrated baselines, unless something speaks against it.

calibration: what repeats tell of the limits. refusals: what must not become a baseline. proof: the
planted defects under the new limits. diff: what a reviewer reads. command: the order of all that.
"""
