"""Components built around finished ones, in Python, section by section: no toolchain is needed."""
