"""Files of tensors: safetensors, written atomically and read with suspicion."""
