"""The module that stands for a purifier which is in memory, where a config names a file (`method: python`)."""
