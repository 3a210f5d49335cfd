"""What the example scripts share: data, batches, pictures. Not installed: `import common`."""
